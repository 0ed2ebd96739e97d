"""HTTP with a bound on the whole of it, for Runflow's API and for its output URLs.

httpx does the talking, over a network of ours: that is where one deadline is kept for a whole request, and where an
address is judged and pinned. What httpx does beyond sending what it was given, and should not here, is switched off in
`client` and in its transport.
"""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import httpcore
import httpx

from detag.ports.outputs import Unsafe

USER_AGENT: Final = b"detag/1"
IDLE_SECONDS: Final = 4.0
"""How long an idle connection is trusted: some servers drop theirs after 5 s."""
CONNECT_SECONDS: Final = 5.0
"""How long one of a host's addresses may take to answer before the next is tried."""
MAX_CONNECTIONS: Final = 32
_BROKEN: Final = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)
"""Everything that a broken connection, a deadline or a server that talks nonsense raises."""
_UNSEEN: Final = frozenset({b"set-cookie", b"location"})
"""Headers of a response that httpx acts upon: it keeps the cookies for later requests, and it builds the request that a
redirect asks for, even where it is not to follow it."""

for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)  # below that, their lines hold URLs and headers

Judge = Callable[[str, int, str], None]
"""Given host, port and one of the host's addresses: raises `Unsafe` where no connection to that address may be made."""
Resolve = Callable[[str, int], Sequence[str]]
Headers = Sequence[tuple[bytes, bytes]]


class RequestFailed(Exception):
    """No answer, or not the whole of it. The text is the kind of failure, such as ReadTimeout, and nothing else."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, the preferred first. Raises OSError or UnicodeError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


def request_to(
    origin: httpx.URL, method: str, target: bytes, headers: Headers, deadline: float, content: bytes | None = None
) -> httpx.Request:
    """A request that is over, one way or the other, at `deadline` (`time.monotonic`).

    `target`, the path with its query, is sent as it is: httpx would resolve its dots and quote it anew, and a presigned
    URL is signed as it is written. With the host and the length of `content`, the headers are all that are sent.
    """
    extensions = {"deadline": deadline, "target": target}
    return httpx.Request(method, origin, headers=list(headers), content=content, extensions=extensions)


def client(tls: ssl.SSLContext, network: Network) -> httpx.Client:
    """A client for requests made by `request_to`; for many threads.

    `send` raises `RequestFailed`, and `Unsafe` where the network's judge does; so does reading a body. Bodies are to be
    read by `iter_raw`: the other ways decompress them.
    """
    # With an auth of its own, even one that does nothing, httpx takes none out of a URL.
    return httpx.Client(transport=PinnedTransport(tls, network), auth=httpx.Auth(), trust_env=False)


def read_all(response: httpx.Response, most: int) -> bytes:
    """A response's body. Raises `RequestFailed` where it breaks off, and where it goes on beyond `most` bytes."""
    data = bytearray()
    for chunk in response.iter_raw():
        data += chunk
        if len(data) > most:
            raise RequestFailed("TooLong")
    return bytes(data)


def header(response: httpx.Response, name: bytes) -> bytes | None:
    """The first header of a name (given in lower case), without the spaces around it."""
    return _first(response.headers.raw, name)


def location(response: httpx.Response) -> bytes:
    """Where a redirect leads; empty where it does not say."""
    where: bytes = response.extensions["location"] or b""
    return where


def _first(headers: Headers, name: bytes) -> bytes | None:
    return next((value.strip() for key, value in headers if key.lower() == name), None)


class PinnedTransport(httpx.BaseTransport):
    """What httpx sends through: connections over a `Network`, kept for later requests for `IDLE_SECONDS`."""

    def __init__(self, tls: ssl.SSLContext, network: Network) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=MAX_CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=network,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request. Raises `RequestFailed` and what the network's judge raises."""
        url, deadline = request.url, request.extensions.get("deadline")
        if deadline is None:
            raise ValueError("every request through this transport has a deadline: see `request_to`")
        left = max(0.0, deadline - time.monotonic())
        timeout = {"connect": deadline, "read": deadline, "write": deadline, "pool": left}
        target = request.extensions.get("target", url.raw_path)
        asked = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=target),
            headers=request.headers.raw,
            content=request.stream,
            extensions={"timeout": timeout},
        )
        try:
            answer = self._pool.handle_request(asked)
        except _BROKEN as error:
            raise RequestFailed(type(error).__name__) from None
        return httpx.Response(
            answer.status,
            headers=[(name, value) for name, value in answer.headers if name.lower() not in _UNSEEN],
            stream=_Body(answer),
            extensions={"location": _first(answer.headers, b"location")},
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._answer.iter_stream()
        except _BROKEN as error:
            raise RequestFailed(type(error).__name__) from None

    def close(self) -> None:
        self._answer.close()


class Network(httpcore.NetworkBackend):
    """The network with deadlines in place of timeouts: the `timeout` handed down by httpcore is a moment, not a length.

    A host is resolved once for each connection, each of its addresses is judged, and the connection goes to the very
    address that passed; TLS is still verified for the host's name.
    """

    def __init__(
        self,
        judge: Judge = lambda host, port, address: None,
        *,
        resolve: Resolve = resolve,
        inner: httpcore.NetworkBackend | None = None,
    ) -> None:
        self._judge, self._resolve, self._inner = judge, resolve, inner or httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that may be used and answers. Raises `Unsafe` where none may be."""
        failure: Exception = httpcore.ConnectError("the host has no address")
        for address in self._addresses(host, port):
            try:
                left = min(CONNECT_SECONDS, _left(timeout, httpcore.ConnectTimeout))
                return _Stream(self._inner.connect_tcp(address, port, left, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the host's name cannot be resolved") from error
        good: list[str] = []
        refusal: Unsafe | None = None
        for address in addresses:
            try:
                self._judge(host, port, address)
                good.append(address)
            except Unsafe as error:
                refusal = error
        if refusal is not None and not good:
            raise refusal
        return good


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner, self._used = inner, time.time()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))
        self._used = time.time()
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            left = _left(timeout, httpcore.ConnectTimeout)
            return _Stream(self._inner.start_tls(ssl_context, server_hostname, left))
        except BaseException:
            self.close()
            raise

    def get_extra_info(self, info: str) -> Any:
        # Of an idle connection, "readable" means "dropped". A function that was frozen meanwhile learns neither of the
        # drop nor, on its stopwatch, of the time: only by the wall clock. A POST on a dead connection gets no answer.
        if info == "is_readable" and not 0 <= time.time() - self._used <= IDLE_SECONDS:
            return True
        return self._inner.get_extra_info(info)


def _left(deadline: float | None, late: type[Exception]) -> float:
    if deadline is None:
        raise ValueError("every request through this network has a deadline: see `PinnedTransport`")
    left = deadline - time.monotonic()
    if left <= 0:
        raise late("the deadline has passed")
    return left
