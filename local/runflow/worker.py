"""Executes runs: fetch the photo, process its pixels, end the run."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import math
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from urllib.parse import unquote_to_bytes

import httpx

from local.runflow import pixels
from local.runflow.account import Account
from local.runflow.behaviour import Behaviour
from local.runflow.model import Failure, Output, Run, Status
from local.runflow.outputs import Outputs

log = logging.getLogger(__name__)

MAX_BYTES = 100 * 2**20


class Unfit(Exception):
    """The input cannot be processed: the run fails, free of charge."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(code, message, "preprocess")


class Workers:
    """Processes `count` runs at a time; the others wait in the queue, however long (contract section 3, "Capacity").

    `ended` is called once a run is terminal.
    """

    def __init__(
        self,
        account: Account,
        outputs: Outputs,
        client: httpx.AsyncClient,
        behaviour: Callable[[], Behaviour],
        ended: Callable[[Run], None],
        count: int,
    ) -> None:
        self._account = account
        self._outputs = outputs
        self._client = client
        self._behaviour = behaviour
        self._ended = ended
        self._count = count
        self._queue: asyncio.Queue[Run] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="pixels")

    def start(self) -> None:
        """Start taking runs from the queue."""
        for _ in range(self._count):
            self._spawn(self._work())

    async def stop(self) -> None:
        """Stop; every run stays as it is."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown(wait=True, cancel_futures=True)

    def enqueue(self, run: Run) -> None:
        """Queue a run. While it stalls or is forgotten it occupies no worker."""
        wait = max(run.fate.stall_seconds, run.fate.forget_seconds)
        if run.fate.stall_seconds:
            self._account.begin(run)
        if not wait:
            self._queue.put_nowait(run)
        elif math.isfinite(wait):
            self._spawn(self._later(run, wait))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _later(self, run: Run, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._queue.put_nowait(run)

    async def _work(self) -> None:
        while True:
            run = await self._queue.get()
            began = monotonic()
            behaviour = self._behaviour()
            if run.status is Status.QUEUED:
                run.status = Status.DISPATCHING
                await asyncio.sleep(0)
                self._account.begin(run)
            result = await self._result(run, behaviour)
            # Only the mock's own work is limited: a run that a fault rule slows down does not hold up the others.
            self._spawn(self._end(run, result, began, behaviour.run_seconds - (monotonic() - began)))

    async def _end(self, run: Run, result: tuple[Output, ...] | Failure, began: float, wait: float) -> None:
        if wait > 0:
            await asyncio.sleep(wait)
        if run.id not in self._account.runs:
            return  # a reset removed it meanwhile
        if isinstance(result, Failure):
            self._account.fail(run, result)
        else:
            self._account.finish(run, result)
        log.info("run %s %s in %.2f s", run.id, run.status, monotonic() - began)
        self._ended(run)

    async def _result(self, run: Run, behaviour: Behaviour) -> tuple[Output, ...] | Failure:
        if run.fate.end in _WITHOUT_WORK:
            return ()
        try:
            return await self._make(run, behaviour)
        except Unfit as unfit:
            return unfit.failure
        except Exception:
            log.exception("run %s", run.id)
            return Failure("INTERNAL_ERROR", "the mock has a bug; see its log", "inference")

    async def _make(self, run: Run, behaviour: Behaviour) -> tuple[Output, ...]:
        body = await self._fetch(run.input["image_url"])
        config = run.input.get("config") or {}

        def make() -> tuple[Output, ...]:
            made = pixels.process(
                body,
                mode=behaviour.pixels,
                output_type=behaviour.output_type,
                aspect_ratio=config.get("aspect_ratio"),
                max_side=behaviour.max_side,
            )
            names = [f"result_{number}.{made.extension}" for number in range(1, behaviour.images_per_run + 1)]
            return tuple(self._outputs.store(run.id, name, made.content_type, made.body) for name in names)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, make)
        except pixels.Unreadable as error:
            raise Unfit("INPUT_VALIDATION_FAILED", str(error)) from None

    async def _fetch(self, url: str) -> bytes:
        """The input's bytes. Messages name no URL: a presigned one grants access to the photo."""
        if url.startswith("data:"):
            return _data(url)
        body = bytearray()
        try:
            async with self._client.stream("GET", url, follow_redirects=True) as answer:
                if answer.status_code != 200:
                    raise Unfit("INPUT_FETCH_FAILED", f"image_url answered {answer.status_code}")
                sent_as = answer.headers.get("content-type", "image/")
                if not sent_as.startswith("image/"):  # some fetchers go by it, so no client should count on less
                    raise Unfit("INPUT_VALIDATION_FAILED", f"image_url is sent as {sent_as}, which is no image")
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > MAX_BYTES:
                        raise Unfit("INPUT_VALIDATION_FAILED", f"image_url is larger than {MAX_BYTES} bytes")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unfit("INPUT_FETCH_FAILED", f"image_url could not be fetched ({type(error).__name__})") from None
        return bytes(body)


_WITHOUT_WORK = (Status.FAILED, Status.ERRORED, Status.TIMEOUT, Status.CANCELED)


def _data(url: str) -> bytes:
    """The bytes in a `data:` URL (RFC 2397)."""
    head, _, text = url.removeprefix("data:").partition(",")
    try:
        return base64.b64decode(text, validate=True) if head.endswith(";base64") else unquote_to_bytes(text)
    except binascii.Error:
        raise Unfit("INPUT_VALIDATION_FAILED", "image_url holds no valid base64") from None
