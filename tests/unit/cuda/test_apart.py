"""What the GPU tests run in processes of their own finds the modules that tests share."""

from apart import run_python


def test_the_modules_that_tests_share_are_found():
    assert run_python("from kernel_network import make_lanes; print(make_lanes.__name__)") == "make_lanes\n"
