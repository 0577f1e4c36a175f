"""Tests on the stand-in driver: each module runs in a process of its own, whose ``libcuda.so.1`` the stand-in is.

The process that pytest was started in must not load the stand-in, since other tests ask whether this machine has a GPU.
So it starts pytest again for each module, and takes over the reports. A module may set ``SETTINGS``, which
`standin.environment` explains.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import standin

HERE = Path(__file__).parent
INSIDE = standin.ACTIVE in os.environ
REPORTS = "STARGAN_RT_STANDIN_REPORTS"
_PER_MODULE: dict[Path, dict[str, list]] = {}


def pytest_collection_modifyitems(items):
    reason = _why_not()
    if reason is not None:
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


def _why_not() -> str | None:
    if sys.platform != "linux":
        return "the stand-in driver is for Linux"
    if standin.COMPILER is None:
        return "the stand-in driver needs a C compiler"
    if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.core") is None:
        return "needs cuda.core: pip install 'stargan-rt[cuda13]'"
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    if INSIDE or HERE not in item.path.parents or _why_not() is not None:
        return None
    if item.path not in _PER_MODULE:
        _PER_MODULE[item.path] = _run(item.path, [other for other in item.session.items if other.path == item.path])
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for data in _PER_MODULE[item.path][item.nodeid]:
        report = item.config.hook.pytest_report_from_serializable(config=item.config, data=data)
        if isinstance(report.longrepr, list):  # where and why a test was skipped; JSON has no tuples
            report.longrepr = tuple(report.longrepr)
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _run(path, items):
    """Return the reports of a module's tests by node id."""
    root = items[0].config.rootpath
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "reports"
        environment = {**standin.environment(getattr(items[0].module, "SETTINGS", None)), REPORTS: str(file)}
        # The tests have been selected already, also those that are marked slow.
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "slow or not slow"]
        command += [item.nodeid for item in items]
        done = subprocess.run(command, cwd=root, env=environment, text=True, capture_output=True)
        lines = file.read_text().splitlines() if file.is_file() else []
    reports: dict[str, list] = {item.nodeid: [] for item in items}
    for data in map(json.loads, lines):
        reports[data["nodeid"]].append(data)
    output = f"the process of this module ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    for item in items:
        if not reports[item.nodeid]:
            report = pytest.TestReport(item.nodeid, item.location, {}, "failed", output, "call")
            data = item.config.hook.pytest_report_to_serializable(config=item.config, report=report)
            reports[item.nodeid].append(data)
            output = f"the process of this module ended with {done.returncode} before this test"
    return reports


if INSIDE:

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(report):
        if REPORTS in os.environ:
            data = _CONFIG[0].hook.pytest_report_to_serializable(config=_CONFIG[0], report=report)
            with open(os.environ[REPORTS], "a") as file:
                file.write(json.dumps(data, default=str) + "\n")

    _CONFIG = []

    def pytest_collection_finish(session):
        _CONFIG.append(session.config)

    @pytest.fixture(scope="session")
    def _driver():
        return standin.StandIn()

    @pytest.fixture
    def driver(_driver):
        """The stand-in, without a log and without errors asked for."""
        _driver.repair()
        _driver.clear()
        yield _driver
        _driver.repair()

    @pytest.fixture
    def cuda():
        """The module cuda.core, and its first device is current."""
        import cuda.core

        cuda.core.Device(0).set_current()
        return cuda.core

    @pytest.fixture
    def device(cuda):
        return cuda.Device(0)
