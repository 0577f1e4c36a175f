import contextlib
import subprocess
import sys

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stargan_rt import EngineLoadError
from stargan_rt.manifest import read_manifest
from stargan_rt.models import bundled_model
from stargan_rt.onnx_header import OnnxHeader, read_header


@pytest.fixture
def file(tmp_path):
    return tmp_path / "g.onnx"


def test_it_reads_what_the_onnx_package_reads():
    path = bundled_model("avatars")
    header, model = read_header(path), onnx.load(path)
    assert header.metadata == {entry.key: entry.value for entry in model.metadata_props}
    assert [line.split()[0] for line in header.inputs] == [value.name for value in model.graph.input]
    assert header.signature == (
        "inputs image uint8 [batch, 128, 128, 3], label float32 [batch, 17]; "
        "outputs translated uint8 [batch, 128, 128, 3]"
    )
    assert header.self_contained


def test_weights_among_the_inputs_are_not_inputs(model, file):
    """As files of old versions of ONNX list them."""
    graph = onnx.load(model)
    weight = graph.graph.initializer[0]
    graph.graph.input.append(onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims))
    onnx.save(graph, file)
    assert read_header(file).inputs == read_header(model).inputs


def test_weights_in_other_files_are_refused(model, file):
    onnx.save(onnx.load(model), file, save_as_external_data=True, size_threshold=0)
    assert not read_header(file).self_contained
    with pytest.raises(EngineLoadError, match="weights in other files"):
        read_manifest(file)


@given(st.floats(0, 1, exclude_max=True))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_cut_off_anywhere_is_refused(model, file, share):
    data = model.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(EngineLoadError, match=r"damaged or not an ONNX|without stargan-rt's manifest"):
        read_manifest(file)


@given(st.binary(max_size=60) | st.binary(max_size=40).map(lambda tail: b"\x08\x08\x3a\x10" + tail))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_a_header_or_a_value_error(file, data):
    file.write_bytes(data)
    with contextlib.suppress(ValueError):
        assert isinstance(read_header(file), OnnxHeader)


@pytest.mark.parametrize("data", [b"", b"\x38\x07", b"\x08\x08\x3a\x02\x5a\x00\x42\x00\x70\x07", b"hello, world"])
def test_other_files_are_refused(file, data):
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"empty|graph|missing|truncated|protobuf field|number where"):
        read_header(file)


def test_an_engine_loads_without_the_onnx_package():

    code = (
        "import sys\nfrom stargan_rt import Engine\nEngine.load('avatars', backend='openvino').close()\n"
        "print('onnx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
