"""HTTP with a bound on the whole of it, for Runflow's API and for the links it gives.

httpcore is used as it is: the engine of httpx, without the client around it. It follows no redirect, keeps no cookie,
decodes no body and reads no environment; it takes the network as an argument, which is where a deadline is kept and an
address is judged and pinned; and with it 19 ms of CPU go into the import at a cold start where httpx takes 48.
"""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import httpcore

from detag.ports.outputs import Unsafe

USER_AGENT: Final = b"detag/1"
IDLE_SECONDS: Final = 4.0
"""How long an idle connection is trusted: some servers drop theirs after 5 s."""
CONNECT_SECONDS: Final = 5.0
"""How long one of a host's addresses may take to answer before the next is tried."""
FAILURES: Final = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)
"""Everything that a broken connection, a deadline or a server that talks nonsense raises."""

logging.getLogger("httpcore").setLevel(logging.WARNING)  # its debug lines hold URLs and headers

Judge = Callable[[str, int, str], None]
"""Given host, port and one of the host's addresses: raises `Unsafe` where no connection to that address may be made."""
Resolve = Callable[[str, int], Sequence[str]]


class TooLong(Exception):
    """A body went on beyond its bound."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, the preferred first. Raises OSError or UnicodeError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


def until(deadline: float) -> dict[str, Any]:
    """Request extensions that end every operation at a moment of `time.monotonic`. Only for a `Network`."""
    left = max(0.0, deadline - time.monotonic())
    return {"timeout": {"connect": deadline, "read": deadline, "write": deadline, "pool": left}}


def read_all(response: httpcore.Response, most: int) -> bytes:
    """A response's body. Raises `TooLong` beyond `most` bytes."""
    data = bytearray()
    for chunk in response.iter_stream():
        data += chunk
        if len(data) > most:
            raise TooLong(f"an answer of more than {most} bytes")
    return bytes(data)


def header(response: httpcore.Response, name: bytes) -> bytes | None:
    """The first header of a name (given in lower case), without the spaces around it."""
    return next((value.strip() for key, value in response.headers if key.lower() == name), None)


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
        # drop nor, on its stopwatch, of the time: only the wall clock tells. A POST on a dead connection ends in doubt.
        if info == "is_readable" and not 0 <= time.time() - self._used <= IDLE_SECONDS:
            return True
        return self._inner.get_extra_info(info)


def _left(deadline: float | None, late: type[Exception]) -> float:
    if deadline is None:
        raise ValueError("every request through this network has a deadline: see `until`")
    left = deadline - time.monotonic()
    if left <= 0:
        raise late("the deadline has passed")
    return left
