"""Services that hang: whatever function calls whatever service, its invocation has time left to say so."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from detag.adapters import aws
from detag.adapters.aws import KEEP, KEEP_OTHERS, aws_client, aws_config
from detag.adapters.clock import SystemClock
from detag.adapters.dynamodb import DynamoJobStore
from detag.adapters.eventbridge import EventBridgeEvents
from detag.adapters.invocation import INVOCATION
from detag.adapters.runflow import KEEP_SECONDS, RunflowRuns
from detag.adapters.s3 import S3PhotoStore, s3_config
from detag.adapters.secrets import SecretsManagerCallbackSecrets
from detag.adapters.sqs import SqsQueue
from detag.ports.errors import Transient

LEFT = 1.0
"""Seconds that a call has in these tests, beyond what it keeps for others."""
ROOT = Path(__file__).parents[2]


class Hanging:
    """A server that takes connections, and then says `start` and no more."""

    def __init__(self) -> None:
        self.start = b""
        self._stop = Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self._listener.settimeout(0.05)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        connections = []
        while not self._stop.is_set():
            try:
                connections.append(self._listener.accept()[0])
            except TimeoutError:
                continue
            if self.start:
                connections[-1].recv(65_536)
                connections[-1].sendall(self.start)
        for connection in (*connections, self._listener):
            connection.close()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    hanging = Hanging()
    for name, value in {
        "AWS_ENDPOINT_URL": hanging.url,
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "made up",
        "AWS_SECRET_ACCESS_KEY": "made up",
    }.items():
        monkeypatch.setenv(name, value)
    yield hanging
    INVOCATION.end()
    hanging.close()


class Key:
    def __call__(self) -> str:
        return "rf_live_1"

    def forget(self) -> None:
        pass


def s3(url: str) -> S3PhotoStore:
    return S3PhotoStore(aws_client("s3", s3_config(url)), "out")


def runflow(url: str) -> RunflowRuns:
    return RunflowRuns(url, Key(), ssl.create_default_context())


def jobs() -> DynamoJobStore:
    return DynamoJobStore(aws_client("dynamodb", aws_config()), "jobs", SystemClock())


def secrets(keep: float | None = None) -> SecretsManagerCallbackSecrets:
    config = aws_config(read_seconds=2.0, attempts=2) if keep else aws_config()
    return SecretsManagerCallbackSecrets(aws_client("secretsmanager", config, keep=keep), "arn")


CALLS: dict[str, tuple[float, Callable[[str], Any]]] = {
    "GetItem": (KEEP["dynamodb"], lambda _: jobs().get("1")),
    "GetObject": (KEEP_OTHERS, lambda url: s3(url).read_head("in", "a.jpg", None, 10)),
    "HeadObject": (KEEP_OTHERS, lambda url: s3(url).existing("a.jpg")),
    "PutObject": (KEEP_OTHERS, lambda url: s3(url).put_record("a.txt", "text", {}, None)),
    "PutEvents": (
        KEEP_OTHERS,
        lambda _: EventBridgeEvents(lambda: aws_client("events", aws_config()), "bus").publish("Photo delivered", {}),
    ),
    "SendMessageBatch": (
        KEEP["sqs"],
        lambda url: SqsQueue(aws_client("sqs", aws_config()), f"{url}/1/q").send([{"job_id": "1"}]),
    ),
    "GetSecretValue": (KEEP_OTHERS, lambda _: secrets().read()),
    "GetSecretValue of callback": (5.0, lambda _: secrets(5.0).read()),
    "GET /v1/runs/1": (KEEP_SECONDS, lambda url: runflow(url).get("1")),
    "GET /v1/runs": (KEEP_SECONDS, lambda url: runflow(url).page()),
}
"""Each call, or one for each way to call: what it keeps, and how it is made."""


@pytest.mark.parametrize("folder", [True, False], ids=["roots by hash", "a bundle"])
@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_hangs_leaves_time_to_write_it_down(
    call: str, folder: bool, server: Hanging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As deployed, with the layer's folder of root certificates; and without one."""
    monkeypatch.setattr(aws, "roots", lambda: str(tmp_path) if folder else None)
    keep, make = CALLS[call]
    began = time.monotonic()
    INVOCATION.begin((keep + LEFT) * 1000)
    with pytest.raises(Transient):
        make(server.url)
    assert INVOCATION.left(keep - 0.5), "it took longer than it had"
    assert time.monotonic() - began >= LEFT / 2 - 0.1, "it did not wait at all"


@pytest.mark.parametrize("call", CALLS)
def test_a_call_without_time_is_not_made(call: str, server: Hanging) -> None:
    keep, make = CALLS[call]
    INVOCATION.begin((keep - 0.1) * 1000)
    began = time.monotonic()
    with pytest.raises(Transient, match="time"):
        make(server.url)
    assert time.monotonic() - began < 1.0


def test_a_run_without_time_is_not_sent(server: Hanging) -> None:
    """Not sent is told from unclear: the claim is given back, and nothing has to be confirmed."""
    INVOCATION.begin((KEEP_SECONDS - 0.1) * 1000)
    with pytest.raises(Transient, match="no time left"):
        runflow(server.url).create("{}", "key", 10.0)


def test_a_body_that_hangs_leaves_time_too(server: Hanging) -> None:
    server.start = (
        b"HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\nContent-Range: bytes 0-9/10\r\nETag: x\r\n\r\n12345"
    )
    INVOCATION.begin((KEEP_OTHERS + LEFT) * 1000)
    with pytest.raises(Transient):
        s3(server.url).read_head("in", "a.jpg", None, 10)
    assert INVOCATION.left(KEEP_OTHERS - 0.5)


@pytest.mark.parametrize("seconds", [30, 55, 120])
def test_what_is_kept_lets_an_item_be_written(seconds: int) -> None:
    """After a hanging S3 or secret there is time for a write of the table, connection and all."""
    assert min(KEEP_OTHERS, seconds) - KEEP["dynamodb"] >= aws.CONNECT_SECONDS + aws.READ_SECONDS


def test_every_client_is_made_with_what_is_left() -> None:
    """Every AWS client of the functions is made by `aws_client`, and so is bound."""
    made = [
        str(path.relative_to(ROOT))
        for folder in ("functions", "layers/detag")
        for path in (ROOT / folder).rglob("*.py")
        if any(
            text in path.read_text(encoding="utf-8") for text in ("session.client", "boto3.client", "boto3.resource")
        )
    ]
    assert made == ["layers/detag/python/detag/adapters/aws.py"]
