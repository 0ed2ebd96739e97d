"""tests/conftest.py: a test with servers reaches those on this machine, and no others."""

from __future__ import annotations

import socket

import pytest
from pytest_socket import SocketConnectBlockedError


def test_loopback_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_another_machine_is_not_reached() -> None:
    address = ("192.0.2.1", 80)  # kept for documentation: nobody has it
    with pytest.raises(SocketConnectBlockedError):
        socket.create_connection(address, timeout=1)
