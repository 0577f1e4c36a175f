"""What nvidia-smi and tegrastats print is read; scripts stand in for both programs, which this machine may lack."""

import shutil
import sys
import time

import pytest

from benchmarks import clocks
from benchmarks.clocks import Watch, parse_nvidia_smi, parse_tegrastats, summarise

SMI = """#!{python}
import sys, time
query = next(word for word in sys.argv if word.startswith("--query-gpu="))
values = dict(zip({fields!r}, ("1980", "2619", "[N/A]", "41", "97")))
values |= {{"driver_version": "580.95", "power.limit": "700.00", "clocks.max.sm": "1980"}}
values |= {{"clocks_throttle_reasons.active": "0x0"}}
line = ", ".join(values[name] for name in query.partition("=")[2].split(","))
print(line, flush=True)
while "--loop-ms" in sys.argv:
    time.sleep(0.01)
    print(line, flush=True)
"""
TEGRA = (
    "11-24-2026 12:00:00 RAM 3165/30536MB (lfb 1x4MB) CPU [1%@729,off] EMC_FREQ 3%@2133 GR3D_FREQ 62%@[305,305] "
    "cpu@49.1C gpu@45.5C tj@50C VDD_GPU_SOC 2000mW/2000mW VDD_IN 7012mW/6900mW"
)


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A PATH without any of the programs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


def program(folder, name, text):
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def test_nvidia_smi_is_sampled_while_the_context_lasts(path):
    program(path, "nvidia-smi", SMI.format(python=sys.executable, fields=list(clocks.FIELDS.values())))
    with Watch() as watch:
        time.sleep(1.0)
    summary = watch.summary
    assert (summary["source"], summary["driver"], summary["power_limit_w"]) == ("nvidia-smi", "580.95", "700.00")
    assert summary["samples"] >= 1
    assert summary["sm_clock_mhz"] == {"min": 1980.0, "median": 1980.0, "max": 1980.0}
    assert summary["temperature_c"]["max"] == 41.0
    assert "power_w" not in summary  # [N/A]


def test_tegrastats_is_sampled_on_a_jetson(path):
    shell = shutil.which("sh", path="/bin:/usr/bin")
    program(path, "tegrastats", f"#!{shell}\necho '{TEGRA}'\nexec {shutil.which('sleep', path='/bin:/usr/bin')} 60\n")
    with Watch() as watch:
        time.sleep(0.5)
    assert watch.summary["source"] == "tegrastats"
    assert watch.summary["power_mw"]["median"] == 7012.0
    assert watch.summary["gpu_clock_mhz"]["median"] == 305.0


def test_without_either_program_the_reason_is_recorded(path):
    with Watch() as watch:
        pass
    assert watch.summary == {"not_measured": "neither nvidia-smi nor tegrastats is on the PATH"}


def test_lines_are_read():
    assert parse_nvidia_smi("1980, 2619, 312.5, 41, 97")["power_w"] == 312.5
    assert parse_nvidia_smi("Unable to determine the device handle") == {}
    found = parse_tegrastats(TEGRA)
    assert (found["memory_clock_mhz"], found["temperature_c"], found["utilization_percent"]) == (2133.0, 45.5, 62.0)


def test_values_are_summarised_and_complaints_kept():
    assert summarise("1, 2, 3, 4, 5\n3, 2, 3, 4, 5\n", parse_nvidia_smi)["sm_clock_mhz"] == {
        "min": 1.0,
        "median": 2.0,
        "max": 3.0,
    }
    assert summarise("No devices were found\n", parse_nvidia_smi) == {"not_measured": "No devices were found"}
    assert summarise("", parse_nvidia_smi) == {"not_measured": "the program printed nothing"}
