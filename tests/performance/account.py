"""An AWS account and a Runflow in memory that count every call, put where botocore and httpcore send requests."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import httpcore
from botocore.awsrequest import AWSResponse

from detag.adapters import aws
from tests.wire import answer

RUN_ID = "0198c0de-7a11-7000-8000-0123456789ab"
ETAG = "0123456789abcdef0123456789abcdef"


def jpeg(size: int) -> bytes:
    """A file of `size` bytes that begins and ends as a JPEG of 40 x 30 pixels."""
    frame = b"\xff\xc0\x00\x0b\x08\x00\x1e\x00\x28\x01\x01\x11\x00"
    return b"\xff\xd8" + frame + b"\xff\xda" + bytes(size - 6 - len(frame)) + b"\xff\xd9"


class Account:
    """What is stored, and how often each operation was called: `DynamoDB.GetItem`, `Runflow.POST`, ..."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.items: dict[str, Any] = {}
        self.sent: list[dict[str, Any]] = []
        """Messages, as they were sent to queues."""
        self.stored = 0
        """Bytes of the last object that was put, as they went over the wire."""

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Every client that is made in the block, and every connection, leads here."""
        aws.session.events.register("before-send", self._answer, unique_id="account")  # type: ignore[arg-type]
        try:
            with patch.object(httpcore, "SyncBackend", lambda: _Network(self)):
                yield
        finally:
            aws.session.events.unregister("before-send", unique_id="account")

    def counted(self) -> dict[str, int]:
        """The calls since this was last asked."""
        calls = dict(self.calls)
        self.calls.clear()
        return calls

    def _answer(self, request: Any, event_name: str, **_ignored: Any) -> AWSResponse:
        _, service, operation = event_name.split(".")
        self.calls[f"{service}.{operation}"] += 1
        if service == "s3":
            return self._s3(request, operation)
        asked = json.loads(request.body)
        return _response(request, 200, json.dumps(getattr(self, f"_{operation}", lambda _: {})(asked)).encode())

    def _s3(self, request: Any, operation: str) -> AWSResponse:
        if operation == "ListObjectVersions":
            return _response(request, 200, b"<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>")
        if operation == "HeadObject":
            return _response(request, 404, b"")
        if operation == "GetObject":
            photo = jpeg(40_000)
            version = "v" + request.url.rpartition("/")[2].partition(".")[0]
            span = {
                "Content-Range": f"bytes 0-{len(photo) - 1}/{len(photo)}",
                "x-amz-version-id": version,
            }
            return _response(request, 206, photo, ETag=f'"{ETAG}"', **span)
        self.stored = 0
        while block := request.body.read(65_536):
            self.stored += len(block)
        return _response(request, 200, b"", ETag=f'"{ETAG}"')

    def _GetItem(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - the name of the operation
        item = self.items.get(asked["Key"]["pk"]["S"])
        return {"Item": item} if item else {}

    def _PutItem(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self.items[asked["Item"]["pk"]["S"]] = asked["Item"]
        return {}

    def _UpdateItem(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"Attributes": {"pk": asked["Key"]["pk"]}}

    def _TransactWriteItems(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        for write in asked["TransactItems"]:
            if "Put" in write:
                self._PutItem(write["Put"])
        return {}

    def _Query(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"Items": [], "Count": 0}

    def _DescribeTable(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"Table": {"CreationDateTime": 1_795_431_600.0}}

    def _GetSecretValue(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        secret = {"secrets": ["whsec_1"]} if "callback" in asked["SecretId"] else {"api_key": "rf_live_1"}
        return {"SecretString": json.dumps(secret)}

    def _SendMessageBatch(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self.sent += [json.loads(entry["MessageBody"]) for entry in asked["Entries"]]
        return {
            "Successful": [{"Id": entry["Id"], "MessageId": "1", "MD5OfMessageBody": "0"} for entry in asked["Entries"]]
        }

    def _PutEvents(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in asked["Entries"]]}


class _Response:
    """The part of an HTTP response that botocore reads."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._body

    def read(self, amount: int | None = None) -> bytes:
        data, self._body = (self._body[:amount], self._body[amount:]) if amount else (self._body, b"")
        return data

    def close(self) -> None:
        pass


def _response(request: Any, status: int, body: bytes, **headers: str) -> AWSResponse:
    named: Any = {"Content-Length": str(len(body)), "Content-Type": "application/x-amz-json-1.0", **headers}
    return AWSResponse(request.url, status, named, _Response(body))


class _Network(httpcore.NetworkBackend):
    """A network on which there is nothing but Runflow: its API, and one output of a run that succeeded."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def connect_tcp(self, *_: object, **__: object) -> httpcore.NetworkStream:
        return _Runflow(self._account)


class _Runflow(httpcore.NetworkStream):
    """One connection, one request after the other."""

    def __init__(self, account: Account) -> None:
        self._account, self._request, self._answer = account, b"", b""

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._request += buffer

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._request:
            self._answer, self._request = self._answered(self._request.decode()), b""
        data, self._answer = self._answer[:max_bytes], self._answer[max_bytes:]
        return data

    def close(self) -> None:
        pass

    def start_tls(self, *_: object, **__: object) -> httpcore.NetworkStream:
        return self

    def get_extra_info(self, info: str) -> Any:
        return False if info == "is_readable" else None

    def _answered(self, request: str) -> bytes:
        method, path = request.split()[:2]
        is_output = path.startswith("/outputs/")
        self._account.calls["Runflow.output" if is_output else f"Runflow.{method}"] += 1
        if is_output:
            return b"".join(answer(200, jpeg(300_000)))
        output = {"outputs": [{"url": "https://outputs.example.com/outputs/1.jpg", "type": "image"}]}
        record = {"id": RUN_ID, "status_code": "succeeded", "cost": "0.14", "output": output}
        return b"".join(answer(201 if method == "POST" else 200, json.dumps(record).encode()))
