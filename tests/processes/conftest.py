import pytest

from tests.support import fleet_process


@pytest.fixture(scope="package")
def fleet(tmp_path_factory):
    """The demo fleet and its Prometheus, for all tests of processes."""
    with fleet_process.fleet(tmp_path_factory.mktemp("fleet")) as found:
        yield found
