"""AWS and Runflow on loopback, over TLS, answering at once (or after a given time): `python -m benchmarks.stubs`.

They answer every call that detag's functions make as for a photo without trouble, and count what was asked:
GET /counts. Items are kept only with --keep (GET /jobs lists them), and always counted in DynamoDB's units. It prints
its port and serves until its standard input ends.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import click

API_KEY: Final = "rf_live_of_the_benchmarks"
SECRET: Final = "whsec_of_the_benchmarks"  # noqa: S105 - of a stub
RUN_ID: Final = "0198c0de-7a11-7000-8000-0123456789ab"
ETAG: Final = "0123456789abcdef0123456789abcdef"

counts: Counter[str] = Counter()


def jpeg(size: int) -> bytes:
    """A file of `size` bytes (at least 1,000) that begins and ends as a JPEG of 4000 x 3000 pixels."""
    frame = b"\xff\xc0\x00\x0b\x08" + (3000).to_bytes(2, "big") + (4000).to_bytes(2, "big") + b"\x01\x01\x11\x00"
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"  # its headers end here, as a photo's do
    return b"\xff\xd8" + frame + scan + b"\x00" * (size - 4 - len(frame) - len(scan)) + b"\xff\xd9"


PHOTO: Final = jpeg(40_000)
OUTPUT: Final = 2_000_000
"""Bytes of a run's output."""
_large: dict[int, bytes] = {}


class Table:
    """The job table, as far as a photo without trouble needs it, and what its writes are charged for."""

    def __init__(self, keep: bool) -> None:
        self._keep = keep
        self.items: dict[str, Any] = {}

    def get(self, pk: str) -> Any:
        """An item, charged: a unit for each 4 KB, as reads are consistent."""
        item = self.items.get(pk)
        counts["read units"] += max(1, -(-size_of(item or {}) // 4_096))
        return item

    def put(self, item: dict[str, Any], each: int = 1) -> None:
        """Keep an item: `each` units for each KB (two in a transaction), and one for each change of an index."""
        pk = item["pk"]["S"]
        before = self.items.get(pk, {})
        counts["write units"] += each * max(1, -(-size_of(item) // 1_024))
        for index in (("lane", "due_at"), ("outcome", "closed_at")):
            old, new = [before.get(name) for name in index], [item.get(name) for name in index]
            if old != new:
                counts["write units"] += (None not in old) + (None not in new)
        if self._keep:
            self.items[pk] = item


def size_of(item: dict[str, Any]) -> int:
    """Bytes of an item, as DynamoDB counts them, within a few: names and values."""
    return sum(len(name) + len(json.dumps(next(iter(value.values())))) for name, value in item.items())


def aws_json(target: str, asked: dict[str, Any], table: Table) -> object:
    """The answer to a call of one of the services that speak JSON."""
    operation = target.rpartition(".")[2]
    if operation == "GetItem":
        item = table.get(asked["Key"]["pk"]["S"])
        return {"Item": item} if item else {}
    if operation == "Query":
        return {"Items": [], "Count": 0}
    if operation == "DescribeTable":
        return {"Table": {"CreationDateTime": time.time()}}
    if operation == "PutItem":
        table.put(asked["Item"])
    if operation == "UpdateItem":
        counts["write units"] += 1
        return {"Attributes": {}}
    if operation == "TransactWriteItems":
        for write in asked["TransactItems"]:
            if "Put" in write:
                table.put(write["Put"]["Item"], each=2)
            else:
                counts["write units"] += 2
    if operation == "GetSecretValue":
        secret = {"secrets": [SECRET]} if "callback" in str(asked["SecretId"]).lower() else {"api_key": API_KEY}
        return {"SecretString": json.dumps(secret)}
    if operation == "SendMessageBatch":
        sent = [{"Id": one["Id"], "MessageId": "1", "MD5OfMessageBody": "0"} for one in asked["Entries"]]
        return {"Successful": sent}
    if operation == "PutEvents":
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}
    return {}


def runflow(method: str, port: int) -> object:
    """The answer of Runflow's API: every run has succeeded."""
    if method == "POST":
        return {"id": RUN_ID, "status_code": "queued"}
    output = {"outputs": [{"url": f"https://127.0.0.1:{port}/run-outputs/{OUTPUT}", "type": "image"}]}
    return {"id": RUN_ID, "status_code": "succeeded", "output": output, "cost": "0.14"}


class Connection(threading.Thread):
    """One connection: a request after the other."""

    def __init__(self, raw: socket.socket, tls: ssl.SSLContext, runflow_seconds: float, table: Table) -> None:
        super().__init__(daemon=True)
        self._raw, self._tls, self._runflow_seconds, self._table = raw, tls, runflow_seconds, table
        self._raw_port: int = raw.getsockname()[1]
        self._scratch = bytearray(1 << 18)

    def run(self) -> None:
        """Serve until the other side has gone."""
        try:
            self._raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with (
                self._tls.wrap_socket(self._raw, server_side=True) as channel,
                channel.makefile("rb", 1 << 18) as reader,
            ):
                while self._serve(channel, reader):
                    pass
        except OSError:
            return

    def _serve(self, channel: ssl.SSLSocket, reader: Any) -> bool:
        line = reader.readline().decode("latin-1").split()
        if not line:
            return False
        headers: dict[str, str] = {}
        while (text := reader.readline()) not in (b"\r\n", b""):
            name, _, value = text.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        method, url = line[0], line[1]
        if headers.get("expect", "").lower() == "100-continue":
            channel.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        target = headers.get("x-amz-target", "")
        body = self._body(reader, headers, keep=bool(target))
        if target:
            counts[target] += 1
            self._answer(channel, 200, json.dumps(aws_json(target, json.loads(body), self._table)).encode())
        elif url == "/counts":
            self._answer(channel, 200, json.dumps(counts).encode())
            counts.clear()
        elif url == "/jobs":
            jobs = [pk.removeprefix("job#") for pk in self._table.items if pk.startswith("job#")]
            self._answer(channel, 200, json.dumps(jobs).encode())
        elif url.startswith("/v1/"):
            counts[f"Runflow.{method}"] += 1
            time.sleep(self._runflow_seconds)
            self._answer(
                channel, 201 if method == "POST" else 200, json.dumps(runflow(method, self._raw_port)).encode()
            )
        elif url.startswith("/run-outputs/"):
            counts["Runflow.output"] += 1
            size = int(url.rpartition("/")[2])
            self._answer(channel, 200, _large.setdefault(size, jpeg(size)), "image/jpeg")
        else:
            counts[f"S3.{method}"] += 1
            self._s3(channel, method, url)
        return headers.get("connection", "").lower() != "close"

    def _s3(self, channel: ssl.SSLSocket, method: str, url: str) -> None:
        if "versions" in url.partition("?")[2].split("&"):  # of a bucket without objects
            listing = b"<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>"
            self._answer(channel, 200, listing, "application/xml")
        elif method == "GET":
            version = "v" + url.partition("?")[0].rpartition("/")[2].partition(".")[0]
            span = f"Content-Range: bytes 0-{len(PHOTO) - 1}/{len(PHOTO)}\r\nx-amz-version-id: {version}\r\n"
            self._answer(channel, 206, PHOTO, "image/jpeg", span)
        elif method == "PUT":
            self._answer(channel, 200, b"", "text/plain")
        elif method == "POST":  # the beginning or the end of a multipart upload
            kind = (
                "InitiateMultipartUpload"
                if "uploads" in url.partition("?")[2].split("&")
                else "CompleteMultipartUpload"
            )
            self._answer(
                channel, 200, f"<{kind}Result><UploadId>1</UploadId></{kind}Result>".encode(), "application/xml"
            )
        else:
            channel.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    def _answer(
        self, channel: ssl.SSLSocket, status: int, body: bytes, kind: str = "application/json", more: str = ""
    ) -> None:
        head = f"HTTP/1.1 {status} OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        head += f'ETag: "{ETAG}"\r\n{more}\r\n'
        if len(body) < 65_536:
            channel.sendall(head.encode() + body)
            return
        channel.sendall(head.encode())
        view = memoryview(body)
        for start in range(0, len(body), 1 << 18):
            channel.sendall(view[start : start + (1 << 18)])

    def _body(self, reader: Any, headers: dict[str, str], *, keep: bool) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int(reader.readline().split(b";")[0], 16):
                self._skip(reader, size)
                reader.readline()
            while reader.readline() not in (b"\r\n", b""):
                pass
            return b""
        length = int(headers.get("content-length", 0))
        if keep:
            data: bytes = reader.read(length)
            return data
        self._skip(reader, length)
        return b""

    def _skip(self, reader: Any, length: int) -> None:
        view = memoryview(self._scratch)
        while length:
            got = reader.readinto(view[: min(length, len(view))])
            if not got:
                raise ConnectionResetError
            length -= got


@click.command()
@click.option("--certificate", type=click.Path(exists=True, path_type=Path), required=True, help="With its key (PEM).")
@click.option("--runflow-ms", type=float, default=0.0, help="How long Runflow thinks.")
@click.option("--keep", is_flag=True, help="Keep the items of the job table.")
def main(certificate: Path, runflow_ms: float, keep: bool) -> None:
    """Serve on a free port of 127.0.0.1."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    click.echo(listener.getsockname()[1])
    threading.Thread(target=_accept, args=(listener, tls, runflow_ms / 1000, Table(keep)), daemon=True).start()
    sys.stdin.read()


def _accept(listener: socket.socket, tls: ssl.SSLContext, runflow_seconds: float, table: Table) -> None:
    while True:
        raw, _ = listener.accept()
        Connection(raw, tls, runflow_seconds, table).start()


if __name__ == "__main__":
    main()
