import json

from stargan_rt.images import read_image


def test_demo(cli, tmp_path):
    result = cli("demo", "--output", tmp_path / "grid.png", "--json")
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures["backend"] == "openvino"
    assert 0 < figures["min_ms"] <= figures["p50_ms"] <= figures["p90_ms"] <= figures["p99_ms"]
    assert read_image(tmp_path / "grid.png").shape[1] == 8 * 128
    text = cli("demo", "--output", tmp_path / "grid.png").stdout
    assert "p50" in text
    assert "p99" in text
    assert "openvino" in text
