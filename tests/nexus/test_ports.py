import os
import socket
from pathlib import Path

import pytest

from nexus.ports import free_ports, is_free, port_owner


@pytest.fixture
def listening() -> socket.socket:
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server


def test_a_port_somebody_listens_on_is_not_free(listening: socket.socket) -> None:
    with listening:
        port = listening.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_the_listener_is_named(listening: socket.socket) -> None:
    with listening:
        owner = port_owner(listening.getsockname()[1])

    assert owner is not None
    name = Path("/proc/self/comm").read_text().strip()
    assert owner == f"{name} (process {os.getpid()})"


def test_nobody_owns_a_free_port() -> None:
    assert port_owner(free_ports(1)) is None


def test_free_ports_are_free_and_in_a_row() -> None:
    first = free_ports(5)

    assert all(is_free(port) for port in range(first, first + 5))


def test_an_address_that_is_not_ours_is_an_error_and_not_a_taken_port() -> None:
    with pytest.raises(OSError, match="Cannot assign"):
        is_free(10000, "192.0.2.1")
