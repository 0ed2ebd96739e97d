"""A network without sockets: what would have been connected to, and what was said there."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpcore


def answer(status: int = 200, body: bytes = b"", **headers: str) -> list[bytes]:
    """An HTTP answer. Content-Length is the body's, unless another is given; None leaves it out."""
    named = {"Content-Length": str(len(body))} | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in named.items() if value != "none"]
    return ["\r\n".join([f"HTTP/1.1 {status} So", *lines, "", ""]).encode(), body]


@dataclass
class Wire(httpcore.NetworkBackend):
    """Gives each connection the next of some answers: the parts that are received, one by one."""

    answers: Sequence[Iterable[bytes]]
    connected: list[tuple[str, int]] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    hosts: list[str | None] = field(default_factory=list)
    """The names that TLS was begun for; None for a connection without."""
    lines: list[_Line] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    """How long each connecting and each reading was given, in seconds."""
    refuse: set[str] = field(default_factory=set)
    """Addresses where nobody answers."""

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *_: object, **__: object
    ) -> httpcore.NetworkStream:
        self.connected.append((host, port))
        self.timeouts.append(timeout or 0)
        if host in self.refuse:
            raise httpcore.ConnectError("nobody there")
        self.sent.append(b"")
        self.hosts.append(None)
        self.lines.append(_Line(self, iter(self.answers[len(self.lines)])))
        return self.lines[-1]

    @property
    def all_closed(self) -> bool:
        """Whether no connection was left open."""
        return all(line.closed for line in self.lines)


class _Line(httpcore.NetworkStream):
    def __init__(self, wire: Wire, parts: Iterator[bytes]) -> None:
        self._wire, self._parts, self._rest = wire, parts, b""
        self.closed = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._wire.timeouts.append(timeout or 0)
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return b""
            self._rest = part
        data, self._rest = self._rest[:max_bytes], self._rest[max_bytes:]
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._wire.sent[-1] += buffer

    def close(self) -> None:
        self.closed = True

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        self._wire.hosts[-1] = server_hostname
        return self

    def get_extra_info(self, info: str) -> Any:
        return None


def resolver(names: dict[str, list[str]]) -> Callable[[str, int], list[str]]:
    """Gives the addresses of some names, and of an address itself. Any other is unknown."""

    def resolve(host: str, _port: int) -> list[str]:
        if host in names:
            return names[host]
        if host.replace(".", "").isdigit() or ":" in host:
            return [host]
        raise OSError("no such name")

    return resolve
