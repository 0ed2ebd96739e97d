"""How the functions' AWS clients talk."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import urllib3.util.connection
from boto3.session import Session

from detag.adapters import aws as adapter
from tests.emulator import Aws


@pytest.mark.parametrize("own_roots", [False, True])
def test_a_body_does_not_wait_for_its_header(
    aws: Aws, own_roots: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body does not wait for the acknowledgement of its header."""
    undelayed: list[bool] = []
    connect = urllib3.util.connection.create_connection

    def watched(*arguments: Any, **named: Any) -> socket.socket:
        connection: socket.socket = connect(*arguments, **named)
        undelayed.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)
        return connection

    monkeypatch.setattr(urllib3.util.connection, "create_connection", watched)
    monkeypatch.setattr(adapter, "roots", lambda: str(tmp_path) if own_roots else None)
    for name, value in aws.emulator.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(adapter, "session", Session())  # the process's own may hold credentials of an earlier test
    adapter.aws_client("dynamodb", adapter.aws_config()).list_tables()
    assert undelayed == [True]
