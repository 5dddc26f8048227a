"""A real server of MLflow's, and what stands between it and those that it answers."""

import pytest

from support.servers import Proxy, mlflow_server


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Of a server of the module's own."""
    with mlflow_server(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture
def proxy(address):
    """In front of that server, anew for each test."""
    with Proxy(address) as proxy:
        yield proxy
