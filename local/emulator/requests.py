"""Counts the requests that were let through, by who sent them: what a program costs in calls to AWS."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict

from local.loopback import App, Receive, Scope, Send

PATH = "/_detag/requests"
_SCOPE = re.compile(rb"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/")


def counted(app: App) -> App:
    """`app`, answering at `PATH` with an object: program (the first product of its User-Agent) -> service -> requests.

    A presigned URL and an API's own path name no service: they count as `url`.
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == PATH:
            body = json.dumps(counts).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        if scope["type"] == "http":
            found = dict(scope["headers"])
            service = _SCOPE.search(found.get(b"authorization", b""))
            program = found.get(b"user-agent", b"").partition(b"/")[0].decode("latin-1")
            counts[program][service[1].decode("latin-1") if service else "url"] += 1
        await app(scope, receive, send)

    return counting
