"""Outputs brought to S3 in one of several ways: `deliver.py FOLDERS WAY SIZE TIMES`.

It prints the ms and CPU ms of each, and the most MiB of memory beyond what the process had after a small one.
"""

import io
import json
import os
import re
import socket
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

sys.path[:0] = sys.argv[1].split(os.pathsep)
way, size, times = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
endpoint = urlsplit(os.environ["AWS_ENDPOINT_URL"])
host, port = endpoint.hostname or "", endpoint.port or 0
source_port = int(os.environ.get("SOURCE_PORT", port))

import certifi  # noqa: E402
import httpx  # noqa: E402

from detag import cold_start  # noqa: E402
from detag.adapters.outputs import Guard, SafeFetcher  # noqa: E402
from detag.domain.images import sniff  # noqa: E402
from detag.ports.outputs import Unsafe  # noqa: E402
from detag.wiring import TLS, photo_store  # noqa: E402


class Loopback(Guard):
    """The guard of output URLs, open for the stub: https at its port. What the output has to be is checked as ever."""

    def url(self, target: Any, user: str | None) -> None:
        """Only the stub."""
        if (target.scheme, target.host, target.port) != ("https", host, source_port):
            raise Unsafe("not the stub")

    def address(self, host: str, port: int, address: str) -> None:
        """Any: it is the stub's."""


def streamed() -> Callable[[int], None]:
    """As deliver does it."""
    photos, fetcher = photo_store("outputs", "", os.environ), SafeFetcher(TLS, Loopback())

    def once(length: int) -> None:
        with fetcher.open(f"https://{host}:{source_port}/run-outputs/{length}") as download:
            image = sniff(download.head, download.length)
            photos.put("out.jpg", download.body, download.length, image.content_type, {}, None)

    return once


def fetched(length: int, take: Callable[[BinaryIO], None]) -> None:
    """An ordinary client that gives the body as a file."""
    with (
        httpx.Client(verify=TLS) as client,
        client.stream("GET", f"https://{host}:{source_port}/run-outputs/{length}") as answer,
    ):
        take(io.BufferedReader(Chunks(answer.iter_bytes()), 1 << 16))


class Chunks(io.RawIOBase):
    """Chunks as a file."""

    def __init__(self, chunks: Any) -> None:
        self._chunks, self._rest = iter(chunks), b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Some bytes."""
        self._rest = self._rest or next(self._chunks, b"")
        part = self._rest[: len(buffer)]
        buffer[: len(part)] = part
        self._rest = self._rest[len(part) :]
        return len(part)


def client() -> Any:
    """An S3 client as boto3 makes it."""
    import boto3
    from botocore.config import Config

    return boto3.client("s3", config=Config(s3={"addressing_style": "path"}), verify=certifi.where())


def read_all() -> Callable[[int], None]:
    """All of it in memory, then put_object."""
    s3 = client()
    return lambda length: fetched(
        length, lambda file: s3.put_object(Bucket="outputs", Key="out.jpg", Body=file.read(), ContentType="image/jpeg")
    )


def upload_fileobj() -> Callable[[int], None]:
    """boto3's own transfers, as they are set."""
    s3 = client()
    return lambda length: fetched(length, lambda file: s3.upload_fileobj(file, "outputs", "out.jpg"))


def bare_sockets() -> Callable[[int], None]:
    """Two sockets and a buffer: no check, no checksum, no signature. Nobody can be faster."""
    buffer = memoryview(bytearray(1 << 18))

    def connected(port: int) -> ssl.SSLSocket:
        return TLS.wrap_socket(socket.create_connection((host, port)), server_hostname=host)

    def once(length: int) -> None:
        with closing(connected(source_port)) as source, closing(connected(port)) as sink:
            source.sendall(f"GET /run-outputs/{length} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            sink.sendall(f"PUT /outputs-bucket HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
            got = source.recv(1 << 16)
            got = got[got.index(b"\r\n\r\n") + 4 :]
            sink.sendall(got)
            left = length - len(got)
            while left:
                count = source.recv_into(buffer)
                sink.sendall(buffer[:count])
                left -= count
            sink.recv(1 << 12)

    return once


def memory(name: str) -> float:
    """MiB, by the kernel's account: VmRSS now, VmHWM at the most."""
    if not Path("/proc/self/status").exists():
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_048_576  # macOS: bytes
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(found[1]) / 1024 if found else 0.0


once = {"streamed": streamed, "read all": read_all, "upload_fileobj": upload_fileobj, "bare sockets": bare_sockets}[
    way
]()
cold_start.done()
once(1_000)
base = memory("VmRSS")
wall, cpu = [], []
for _ in range(times):
    began, used = time.perf_counter(), time.process_time()
    once(size)
    wall.append((time.perf_counter() - began) * 1000)
    cpu.append((time.process_time() - used) * 1000)
sys.stdout.write(json.dumps({"wall": wall, "cpu": cpu, "mib": memory("VmHWM") - base, "base": base}))
sys.stdout.flush()
os._exit(0)
