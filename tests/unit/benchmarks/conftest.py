"""One small generator for all that race."""

import pytest

from benchmarks.case import Case


@pytest.fixture(scope="session")
def case(tmp_path_factory):
    case = Case(tmp_path_factory.mktemp("case"), threads=1, conv_dim=8, blocks=1, image_size=32)
    case.write()
    return case
