"""Output URLs, opened like hostile input: only at public addresses, only so long, only so much, only images."""

from __future__ import annotations

import io
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import IO, Any, BinaryIO, Final
from urllib.parse import quote, urljoin, urlsplit

import httpx

from detag.adapters.disk import temporary_file
from detag.adapters.hosts import is_address, is_loopback, is_name, is_number, kind_of
from detag.adapters.http import USER_AGENT, Network, RequestFailed, client, header, location, request_to
from detag.domain import waits
from detag.domain.images import (
    HEAD_BYTES,
    LONG_HEAD_BYTES,
    TAIL_BYTES,
    Image,
    NotAnImage,
    check_tail,
    headers_go_on,
    sniff,
)
from detag.domain.values import dataclass
from detag.ports.errors import Transient
from detag.ports.outputs import Download, OutputUrlExpired, Unsafe

EXPIRED: Final = (400, 401, 403, 404, 410)
"""What an expired URL answers; 400 is S3's word for a signature whose own credentials have expired."""
REDIRECTS: Final = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads: `host` in lower case, `path` with its query."""

    scheme: str
    host: str
    port: int
    path: str


class Guard:
    """What a URL may lead to and give. Each method raises `Unsafe`, and tests take them away one by one."""

    most_bytes = 2 * 1024**3
    """As much as a photo of 500 million pixels, the most by default, has in four channels without any compression."""
    most_spooled = 400 * 1024**2
    """Of a body whose length is not announced: it waits on the function's own disk."""
    seconds = waits.OUTPUT.seconds
    """For one URL, its redirects included, from the first packet to the last byte."""
    redirects = 3

    def __init__(self, local: tuple[str, int] | None = None) -> None:
        self._local = local

    def url(self, target: Target, user: str | None) -> None:
        """Refuse a URL for how it is written."""
        if user is not None:
            raise Unsafe("the URL holds a user name")
        if target.scheme == "http" and (target.host, target.port) == self._local:
            return
        if target.scheme != "https":
            raise Unsafe(f"the URL is not https but {target.scheme[:20]!r}")
        if target.port != 443:
            raise Unsafe(f"the URL names port {target.port}")
        self.host(target.host)

    def host(self, host: str) -> None:
        """Refuse a host that is neither a name nor an address in its usual form: 2130706433, 0x7f.1."""
        if not is_address(host) and is_number(host):
            raise Unsafe("the URL's host is an address in disguise")
        if not is_address(host) and not is_name(host):
            raise Unsafe("the URL's host is not a name")

    def address(self, host: str, port: int, address: str) -> None:
        """Refuse an address that the host has."""
        kind = kind_of(address)
        if kind and not ((host, port) == self._local and is_loopback(address)):
            raise Unsafe(f"the URL leads to {kind} address")

    def encoding(self, encoding: bytes | None) -> None:
        """Refuse a compressed body: what it unpacks to has no bound. Some stores leave the word aws-chunked behind."""
        if (encoding or b"").lower() not in (b"", b"identity", b"aws-chunked"):
            raise Unsafe("the output is sent compressed")

    def size(self, length: int) -> None:
        """Refuse a body for its length in bytes."""
        self._at_most(length, self.most_bytes)

    def spooled(self, length: int) -> None:
        """Refuse a body whose length was not announced for what came so far."""
        self._at_most(length, min(self.most_bytes, self.most_spooled))

    def _at_most(self, length: int, most: int) -> None:
        if length > most:
            raise Unsafe(f"the output is larger than {most} bytes")

    def image(self, head: bytes, length: int) -> Image | None:
        """Refuse what is no image, whatever its Content-Type says."""
        try:
            return sniff(head, length)
        except NotAnImage as error:
            raise Unsafe(error.fact) from None

    def end(self, image: Image | None, head: bytes, tail: bytes) -> None:
        """Refuse an image that stops before its end, as where Content-Length is less than was sent."""
        try:
            shown = image is None or check_tail(image, head, tail)
        except NotAnImage as error:
            raise Unsafe(error.fact) from None
        if not shown:  # an output has no reason to hide its end, as a photo may
            raise Unsafe("this image file stops before its end, or hides it")


_ODD: Final = re.compile("[\x00-\x20\x7f\ud800-\udfff]")
"""What no URL holds: blanks, control characters, and halves of characters, which JSON can write."""


def target_of(url: str, guard: Guard) -> Target:
    """A URL taken apart, once for all: what is judged here is what is connected to. Raises `Unsafe`."""
    if len(url) > 8_192 or _ODD.search(url):
        raise Unsafe("not a URL")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
    except ValueError:
        raise Unsafe("not a URL") from None
    if ("[" in parts.netloc) != (":" in host):
        raise Unsafe("the URL's host is not a name")
    path = quote(parts.path or "/", safe=_KEPT) + (f"?{quote(parts.query, safe=_KEPT)}" if parts.query else "")
    if port is None:
        port = 80 if parts.scheme == "http" else 443
    target = Target(parts.scheme, host, port, path)
    guard.url(target, parts.username)
    return target


_KEPT: Final = "".join(map(chr, range(33, 127)))


@contextmanager
def _receiving() -> Iterator[None]:
    """Around whatever reads from the network: of a failure only the kind is logged, its text may hold the URL."""
    try:
        yield
    except RequestFailed as error:
        raise Transient(f"the output could not be received: {error}") from None


@dataclass(frozen=True, slots=True)
class _Download:
    """See `detag.ports.outputs.Download`."""

    head: bytes
    length: int
    body: BinaryIO


class SafeFetcher:
    """See `detag.ports.outputs.Fetcher`. One connection for each hop; nothing but the address and the path is sent.

    No credentials, cookies or referrer go out. Memory stays at a few times `HEAD_BYTES` whatever the size, or
    `LONG_HEAD_BYTES` for an image with long headers; a body whose length is not announced is first written to a
    temporary file, up to the same bound.
    """

    def __init__(self, tls: ssl.SSLContext, guard: Guard | None = None, network: Network | None = None) -> None:
        self._guard = guard or Guard()
        self._client = client(tls, network or Network(self._guard.address))

    @contextmanager
    def open(self, url: str, seconds: float = waits.OUTPUT.seconds) -> Iterator[Download]:
        """See `Fetcher`."""
        with ExitStack() as stack:
            with _receiving():
                response = self._follow(url, time.monotonic() + min(seconds, self._guard.seconds), stack)
            yield self._download(response, stack)

    def _follow(self, url: str, deadline: float, stack: ExitStack) -> httpx.Response:
        for _ in range(self._guard.redirects + 1):
            response = stack.enter_context(closing(self._get(target_of(url, self._guard), deadline)))
            if response.status_code not in REDIRECTS:
                return response
            url = _redirected(url, location(response))
        raise Unsafe(f"the URL redirects more than {self._guard.redirects} times")

    def _get(self, target: Target, deadline: float) -> httpx.Response:
        headers = [
            (b"Accept", b"image/*"),
            (b"Accept-Encoding", b"identity"),
            (b"User-Agent", USER_AGENT),
            (b"Connection", b"close"),  # it serves this one URL
        ]
        try:
            origin = httpx.URL(scheme=target.scheme, host=target.host, port=target.port)
        except httpx.InvalidURL:
            raise Unsafe("not a URL") from None
        request = request_to(origin, "GET", target.path.encode(), headers, deadline)
        return self._client.send(request, stream=True)

    def _download(self, response: httpx.Response, stack: ExitStack) -> Download:
        if response.status_code in EXPIRED:
            raise OutputUrlExpired(f"the URL answered {response.status_code}")
        if response.status_code != 200:
            raise Transient(f"the URL answered {response.status_code}")
        self._guard.encoding(header(response, b"content-encoding"))
        chunks, announced = response.iter_raw(), header(response, b"content-length")
        if announced is None or header(response, b"transfer-encoding") is not None:
            chunks, length = self._spool(chunks, stack.enter_context(temporary_file()))
        else:
            length = int(announced)
        self._guard.size(length)
        body = _Body(chunks, length)
        reader: io.BufferedReader = io.BufferedReader(body, HEAD_BYTES)
        head = reader.peek(HEAD_BYTES)[:HEAD_BYTES]
        if headers_go_on(head, length):
            reader = io.BufferedReader(reader, LONG_HEAD_BYTES)
            head = reader.peek(LONG_HEAD_BYTES)
        image = self._guard.image(head, length)
        body.ends(lambda tail: self._guard.end(image, head, tail))
        return _Download(head, length, reader)

    def _spool(self, chunks: Iterator[bytes], file: IO[bytes]) -> tuple[Iterator[bytes], int]:
        length = 0
        with _receiving():
            for chunk in chunks:
                length += file.write(chunk)
                self._guard.spooled(length)
        file.seek(0)
        return iter(lambda: file.read(HEAD_BYTES), b""), length


def _redirected(url: str, location: bytes) -> str:
    try:
        return urljoin(url, location.decode(errors="replace"))
    except ValueError:
        raise Unsafe("the URL redirects to what is no URL") from None


class _Body(io.RawIOBase):
    """Exactly `length` bytes of some chunks, and the last of them only once the end of the image was checked."""

    def __init__(self, chunks: Iterator[bytes], length: int) -> None:
        self._chunks, self._left = chunks, length
        self._rest = memoryview(b"")
        self._tail = b""
        self._judge: Callable[[bytes], None] = lambda tail: None

    def ends(self, judge: Callable[[bytes], None]) -> None:
        """Have the last `TAIL_BYTES` judged, at once where they have been read already."""
        self._judge = judge
        if not self._left:
            judge(self._tail)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")[: self._left]
        filled = 0
        while filled < len(view):
            if not self._rest:
                self._rest = memoryview(self._next())
            part = self._rest[: len(view) - filled]
            view[filled : filled + len(part)] = part
            self._rest = self._rest[len(part) :]
            filled += len(part)
        left = self._left - filled
        if left < TAIL_BYTES:
            self._tail = (self._tail + bytes(view[-TAIL_BYTES:]))[-TAIL_BYTES:]
        if filled and not left:
            self._judge(self._tail)
        self._left = left
        return filled

    def _next(self) -> bytes:
        with _receiving():
            chunk = next(self._chunks, b"")
        if not chunk:
            raise Transient("the output ended early")
        return chunk
