"""A mock in process, without sockets: its client, the server it fetches photos from, and the callback receiver."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from local.runflow.api import make_app
from local.runflow.behaviour import Behaviour
from local.runflow.mock import MockRunflow, Settings, running

EXAMPLES: dict[str, Any] = json.loads((Path(__file__).parents[3] / "data" / "runflow" / "examples.json").read_text())
KEY = "rf_live_local"
RUNS = "/v1/models/runflow/tag-removal/runs"
IMAGE = "https://photos.test/shoe.png?X-Amz-Signature=secret"
CALLBACK = "https://shop.test/callbacks"


@lru_cache
def png(width: int = 16, height: int = 12) -> bytes:
    """A small photo."""
    file = BytesIO()
    Image.new("RGB", (width, height), (120, 80, 40)).save(file, "PNG")
    return file.getvalue()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so, at most twenty seconds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the state has no event to wait for
            await asyncio.sleep(0.002)


@dataclass
class Harness:
    """The mock and what is around it.

    `photos` is what the photo host answers by path (bytes, a status, or an exception to raise), `answers` what the
    receiver answers to callbacks, one after the other and then 200; `callbacks` is what it received.
    """

    mock: MockRunflow
    http: httpx.AsyncClient
    photos: dict[str, bytes | int | Exception | httpx.Response]
    answers: list[int | Exception]
    callbacks: list[httpx.Request] = field(default_factory=list)

    async def create(self, *, headers: dict[str, str] | None = None, **changes: Any) -> httpx.Response:
        """Ask for a run; `changes` replace parts of a plain body, None takes one out."""
        body = {"input": {"image_url": IMAGE}, "callback_url": CALLBACK, "client_ref": "ref-1", **changes}
        body = {name: value for name, value in body.items() if value is not None}
        return await self.http.post(RUNS, json=body, headers=headers)

    async def made(self, **changes: Any) -> str:
        """The id of a run that was made."""
        answer = await self.create(**changes)
        assert answer.is_success, answer.text
        return str(answer.json()["id"])

    async def run(self, run_id: str) -> dict[str, Any]:
        """A run's record."""
        answer = await self.http.get(f"/v1/runs/{run_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def ended(self, run_id: str) -> dict[str, Any]:
        """A run's record, once it has ended and its callbacks are over."""
        run = self.mock.account.runs[run_id]
        await until(lambda: run.status.terminal and all(each.status_code != "pending" for each in run.deliveries))
        await asyncio.sleep(0.01)
        return await self.run(run_id)

    async def done(self, **changes: Any) -> dict[str, Any]:
        """The record of a run that was made and has ended."""
        return await self.ended(await self.made(**changes))

    async def listed(self, **asked: Any) -> list[dict[str, Any]]:
        """The first page of the run list."""
        answer = await self.http.get("/v1/runs", params=asked)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])

    async def fault(self, on: str, do: str, **options: Any) -> dict[str, Any]:
        """Post one rule."""
        answer = await self.http.post("/_admin/faults", json={"on": on, "do": do, **options})
        assert answer.status_code == 201, answer.text
        (rule,) = answer.json()
        return dict(rule)

    async def fired(self) -> list[int]:
        """How often each rule fired."""
        return [rule["fired"] for rule in (await self.http.get("/_admin/faults")).json()]

    async def behave(self, **behaviour: Any) -> None:
        """Choose a reading of the contract."""
        answer = await self.http.post("/_admin/behaviour", json=behaviour)
        assert answer.status_code == 200, answer.text

    async def billing(self) -> dict[str, Any]:
        """What would have been billed."""
        return dict((await self.http.get("/_admin/billing")).json())

    async def fetch(self, url: str) -> httpx.Response:
        """Fetch an output."""
        del self.http.headers["Authorization"]
        try:
            return await self.http.get(url)
        finally:
            self.http.headers["Authorization"] = f"Bearer {KEY}"

    @property
    def envelopes(self) -> list[dict[str, Any]]:
        """The callbacks' bodies."""
        return [json.loads(request.content) for request in self.callbacks]


@asynccontextmanager
async def harness(**settings: Any) -> AsyncIterator[Harness]:
    """A running mock that does nothing to pixels and hardly waits between callbacks, unless told otherwise."""
    quick = {"pixels": "copy", "callback_delays": (0.01, 0.02)}
    behaviour = Behaviour(**quick | settings.pop("behaviour", {}))
    photos: dict[str, bytes | int | Exception | httpx.Response] = {"/shoe.png": png()}
    answers: list[int | Exception] = []
    callbacks: list[httpx.Request] = []

    def outside(request: httpx.Request) -> httpx.Response:
        if request.url.host == "photos.test":
            found = photos.get(request.url.path, 404)
            if isinstance(found, Exception):
                raise found
            if isinstance(found, httpx.Response):
                return found
            return httpx.Response(found) if isinstance(found, int) else httpx.Response(200, content=found)
        callbacks.append(request)
        answer = answers.pop(0) if answers else 200
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, text="noted")

    client = httpx.AsyncClient(transport=httpx.MockTransport(outside))
    settings = {"base_url": "http://runflow.test", "behaviour": behaviour, **settings}
    async with running(Settings(**settings), client=client) as mock:
        transport = httpx.ASGITransport(make_app(mock), client=("127.0.0.1", 4321))
        headers = {"Authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://runflow.test", headers=headers) as http:
            yield Harness(mock, http, photos, answers, callbacks)


def signed_by(secret: str, request: httpx.Request) -> bool:
    """Whether a callback is signed with a secret: the receiver's own arithmetic, not the mock's."""
    digest = hmac.new(secret.encode("utf-8"), request.content, hashlib.sha256).hexdigest()
    return str(request.headers.get("Runflow-Signature")) == digest


def refused(answer: httpx.Response, status: int, code: str) -> bool:
    """Whether an answer is a refusal in the flat envelope."""
    return (
        answer.status_code == status
        and set(answer.json()) == {"code", "message", "errors"}
        and answer.json()["code"] == code
    )
