"""GPU tests are skipped, with the reason, where no GPU can be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def pytest_collection_modifyitems(config, items):
    here = Path(__file__).parent
    mine = [item for item in items if here in item.path.parents]
    reason = _why_not()
    if reason and os.environ.get("STARGAN_RT_REQUIRE_GPU"):
        raise pytest.UsageError(f"STARGAN_RT_REQUIRE_GPU is set, but {reason}")
    for item in mine:
        item.add_marker(pytest.mark.gpu)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


def _why_not() -> str | None:
    try:
        from cuda.core import Device

        Device(0).set_current()
    except Exception as error:
        return f"no GPU can be used: {type(error).__name__}: {error}"
    return None
