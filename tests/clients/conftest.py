"""One server for all clients; each test file begins with no documents on it."""

from collections.abc import Iterator

import pytest
from client_server import Server, empty, running, write_package


@pytest.fixture(scope="session")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server with the package of `client_server`."""
    folder = tmp_path_factory.mktemp("clients")
    with running(write_package(folder / "app"), folder / "data") as server:
        yield server


@pytest.fixture(scope="module")
def server(running_server: Server) -> Server:
    """The server without documents."""
    empty(running_server)
    return running_server
