"""A paid output, put over TLS: what S3 verifies of the request, a small server verifies here."""

from __future__ import annotations

import io
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import IO, Any, cast

import botocore.httpchecksum
import pytest

from detag.adapters.aws import aws_client
from detag.adapters.s3 import S3PhotoStore, s3_config
from detag.ports.errors import Transient
from tests.integration.test_roots import authority

DATA = bytes(range(256)) * 1_000


class _Bucket(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stored: bytes | None = None

    def do_PUT(self) -> None:
        """What S3 refuses is refused: both lengths at once, no decoded length, another length than was said."""
        chunked = self.headers.get("Transfer-Encoding") == "chunked"
        decoded = self.headers.get("X-Amz-Decoded-Content-Length")
        good = chunked and "Content-Length" not in self.headers and decoded is not None
        if good:
            data = b"".join(chunks(io.BytesIO(b"".join(chunks(self.rfile)))))
            good = len(data) == int(str(decoded))
            _Bucket.stored = data if good else None
        self.close_connection = True
        self.send_response(200 if good else 400)
        self.send_header("ETag", '"e"')
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def chunks(file: Any) -> Iterator[bytes]:
    """The chunks of a body, by either of the two encodings that it has; trailers are passed over."""
    while size := int(file.readline().split(b";")[0], 16):
        yield file.read(size)
        file.readline()
    while file.readline().strip():
        pass


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3PhotoStore]:
    ours = authority(tmp_path / "ca", "ours")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(ours / "certificate.pem", ours / "key.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Bucket)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"https://127.0.0.1:{server.server_port}"
    for name, value in {
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "made up",
        "AWS_SECRET_ACCESS_KEY": "made up",
        "AWS_CA_BUNDLE": str(ours / "ca.pem"),
    }.items():
        monkeypatch.setenv(name, value)
    _Bucket.stored = None
    yield S3PhotoStore(aws_client("s3", s3_config(url)), "out")
    server.shutdown()
    server.server_close()


def put(store: S3PhotoStore) -> None:
    store.put("shoe.jpg", io.BytesIO(DATA), len(DATA), "image/jpeg", {"detag-job": "1"}, None)


def test_a_stream_is_stored_whole_over_tls(store: S3PhotoStore) -> None:
    put(store)
    assert _Bucket.stored == DATA


def test_the_body_itself_tells_its_length(store: S3PhotoStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also once some of it was read, and to the SDK's own question: it need not look at what else was said."""
    asked: list[int | None] = []
    ask = botocore.httpchecksum.determine_content_length

    def length_of(body: object) -> int | None:
        asked.append(ask(body))
        return asked[-1]

    monkeypatch.setattr(botocore.httpchecksum, "determine_content_length", length_of)
    put(store)
    assert asked == [len(DATA)]


def test_a_stream_without_a_length_is_refused(store: S3PhotoStore) -> None:
    """As an SDK sends it that is not told a length at all: so the server does see the difference."""

    class Stream:
        def __init__(self) -> None:
            self._data = io.BytesIO(DATA)

        def read(self, size: int = -1) -> bytes:
            return self._data.read(size)

    request = {"Bucket": "out", "Key": "shoe.jpg"}
    with pytest.raises(Transient, match=r"PutObject: (400|interrupted)"):  # interrupted: it hangs up early
        store._put(request, cast("IO[bytes]", Stream()))
