"""Keeps web pages away from the servers of the local stack: a browser on this machine reaches loopback too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

NAMES = ("127.0.0.1", "localhost")

# In a shape that AWS clients read, whichever service they asked.
REFUSAL = "<ErrorResponse><Error><Code>{}</Code><Message>{}</Message></Error></ErrorResponse>"


def refused(scope: Scope, port: int) -> str | None:
    """Why a request is not one of a program on this machine, or None.

    A page is told by what its browser adds and no page can take away: `Origin`, and `Sec-Fetch-Site`, which is `none`
    only for what the user opened. A name of the page's own that leads to loopback (DNS rebinding) shows in `Host`.
    """
    values: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        values.setdefault(name.lower(), []).append(value)
    hosts = values.get(b"host", [])
    if len(hosts) != 1 or hosts[0].lower() not in {f"{name}:{port}".encode() for name in NAMES}:
        return "This server answers only to its own address."
    if b"origin" in values or any(value != b"none" for value in values.get(b"sec-fetch-site", [])):
        return "This server answers no web page."
    return None


async def refuse(send: Send, why: str, code: str = "AccessDenied") -> None:
    """Answer 403, without any CORS header. `code` is one of S3's."""
    body = REFUSAL.format(code, why).encode()
    headers = [(b"content-type", b"application/xml"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def programs_only(app: App, port: int) -> App:
    """`app`, answering 403 to what `refused` tells; it gets no WebSocket, which none of its clients opens."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http" and (why := refused(scope, port)):
            await refuse(send, why)
        else:
            await app(scope, receive, send)

    return guarded
