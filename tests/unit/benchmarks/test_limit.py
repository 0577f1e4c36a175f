"""The limit counts right and computes in the precision that it names."""

import pytest

from benchmarks import limit
from benchmarks.limit import Layers, OpenVINOLimit
from stargan_rt.errors import StarGANError


def test_multiplications_of_the_network_are_counted_from_its_shapes(case):
    # conv 8, one block, 5 labels, 32x32; a transposed convolution counts like the convolution it mirrors
    first, last = 32 * 32 * 8 * 8 * 49, 32 * 32 * 3 * 8 * 49
    down = 16 * 16 * 16 * 8 * 16 + 8 * 8 * 32 * 16 * 16
    assert case.gmac() * 1e9 == first + last + 2 * down + 2 * 8 * 8 * 32 * 32 * 9


def test_a_chain_has_the_multiplications_of_its_layers():
    assert Layers(8, 16, 3).macs == 3 * 16 * 16 * 8 * 8 * 9
    assert Layers(32, None, 2).macs == 2 * 32**3


@pytest.mark.parametrize(("precision", "words"), [("fp32", {"f32"}), ("bf16", {"bf16"}), ("int8", {"i8", "u8"})])
def test_chains_run_in_their_precision(monkeypatch, precision, words):
    monkeypatch.setattr(limit, "CHAINS", (Layers(64, 16, 2), Layers(64, None, 2)))
    try:
        measured = OpenVINOLimit(precision, 1)
    except StarGANError as error:
        pytest.skip(str(error))
    assert measured.computed_in <= words
    assert set(measured.turn(2)) == set(measured.facts["macs"]) == {"conv 3x3, 64 channels, 16x16", "matmul 64"}
