"""Whom TLS trusts: certifi's roots, from a folder in which OpenSSL finds the one that it needs; and how long AWS's
clients wait.

For AWS's clients that takes private names of botocore. This file holds all that does, and
tests/integration/test_roots.py says when botocore is no longer the one it was tested with.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Final

import certifi
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies
from urllib3.util import Timeout

TESTED_WITH: Final = "1.44.5"
"""Botocore's version."""


def roots() -> str | None:
    """The folder that layers/dependencies/roots.py makes of certifi's bundle; None where it was not made.

    The bundle costs 17 ms of CPU whenever it is read, and botocore reads it for every connection.
    """
    folder = Path(certifi.__file__).with_name("roots")
    return str(folder) if folder.is_dir() else None


def trust(client: Any, config: Any, folder: str) -> Any:
    """Have an AWS client, made with this botocore `Config`, trust the roots of a folder and no others; returns what it
    sends through from now on.
    """
    https: Any = _Https(
        proxies=get_environ_proxies(client.meta.endpoint_url),
        timeout=(config.connect_timeout, config.read_timeout),  # type: ignore[arg-type]
        max_pool_connections=config.max_pool_connections,
        # As botocore's own client has it. Without it every body waits for the acknowledgement of its header: 40 ms.
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],  # type: ignore[list-item]
    )
    https.folder = folder
    client.meta.events.register("before-send", lambda request, **_: https.send(request))
    return https


def session_of(client: Any) -> Any:
    """What an AWS client sends through, unless `trust` gave it another."""
    return client._endpoint.http_session  # noqa: SLF001 - see above


def bound(session: Any, timeout: Timeout) -> None:
    """Have a session of botocore's ask this urllib3 `Timeout` for a copy before each request."""
    session._timeout = session._manager.connection_pool_kw["timeout"] = timeout  # noqa: SLF001 - see above


class _Https(URLLib3Session):
    """Botocore's own way to send a request, but for where its trust comes from."""

    folder: str

    def _setup_ssl_cert(self, conn: Any, url: str, verify: Any) -> None:
        # Should botocore rename it, then this does nothing, and the bundle is read again: slower, never less strict.
        super()._setup_ssl_cert(conn, url, verify)  # type: ignore[misc]
        conn.ca_certs, conn.ca_cert_dir = None, self.folder
