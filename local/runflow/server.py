"""The mock on a socket of this machine's loopback interface."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from local.loopback import programs_only
from local.runflow.api import make_app
from local.runflow.mock import Settings, running

Address = tuple[str, int]
HOST = "127.0.0.1"


def listen(port: int) -> socket.socket:
    """A listening socket on loopback; port 0 takes a free one. Raises OSError where the port is taken."""
    # With the protocol named, asyncio turns on TCP_NODELAY; without it every answer would wait 40 ms for an ACK.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
        sock.listen(1024)
    except OSError:
        sock.close()
        raise
    return sock


def url_of(sock: socket.socket) -> str:
    """The URL of a listening socket."""
    return f"http://{HOST}:{sock.getsockname()[1]}"


def serve(settings: Settings, sock: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is called once requests are answered."""
    asyncio.run(_serve(settings, sock, ready))


async def _serve(settings: Settings, sock: socket.socket, ready: Callable[[], None]) -> None:
    transports: dict[Address, asyncio.Transport] = {}

    class Protocol(H11Protocol):
        """Keeps the connections by client address, so that a fault can close one without a response."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            transports[transport.get_extra_info("peername")] = transport
            self._address = transport.get_extra_info("peername")
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            transports.pop(self._address, None)
            super().connection_lost(exc)

    class Server(uvicorn.Server):
        """Calls `ready` once it accepts requests."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Shut down cleanly: uvicorn would raise the signal again before the temporary files are deleted."""
            loop = asyncio.get_running_loop()
            for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.add_signal_handler(signum, self.handle_exit, signum, None)
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    def hang_up(client: Address | None) -> None:
        if client in transports:
            transports[client].abort()

    async with running(settings) as mock:
        server = Server(
            uvicorn.Config(
                programs_only(make_app(mock, hang_up), sock.getsockname()[1]),
                http=Protocol,
                ws="none",
                lifespan="off",
                access_log=logging.getLogger("uvicorn.access").isEnabledFor(logging.INFO),
                log_config=None,
                timeout_graceful_shutdown=2,
            )
        )
        await server.serve(sockets=[sock])
