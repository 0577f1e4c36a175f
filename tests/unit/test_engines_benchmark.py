"""The benchmark of built engines runs end to end and tells what it claims to tell."""

import json

from benchmarks.engines import main


def test_every_runner_is_timed_and_compared(tmp_path, monkeypatch):
    monkeypatch.setenv("STARGAN_RT_CACHE", str(tmp_path / "cache"))
    output = tmp_path / "engines.json"
    flags = ["--rounds", "2", "--calls", "2", "--conv-dim", "8", "--image-size", "32", "--output", str(output)]
    main(flags, standalone_mode=False)
    rows = json.loads(output.read_text())["runners"]
    assert list(rows) == ["PyTorch eager fp32", *(f"stargan-rt OpenVINO {p}" for p in ("fp32", "bf16", "int8"))]
    assert rows["PyTorch eager fp32"]["times_eager"] == 1.0
    assert rows["stargan-rt OpenVINO fp32"]["psnr_db"] > 55
    assert rows["stargan-rt OpenVINO int8"]["convolutions"]["int8"] == 17
