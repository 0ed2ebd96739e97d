"""The four real handlers in one process, with everything around them in memory and marked: what comes out is kept.

A mark is a text that must not be found in what the functions say or write: keys, secrets, signatures, presigned URLs,
bodies, headers, and the texts of other people's exceptions.
"""

from __future__ import annotations

import io
import json
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from decimal import Decimal
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics

from detag import app
from detag.adapters.runflow import outcome_of
from detag.adapters.telemetry import PowertoolsTelemetry
from detag.domain.job import Job
from detag.domain.outcomes import Outcome
from detag.ports.clock_fake import FakeClock
from detag.ports.effect_fake import Effect
from detag.ports.events_fake import FakeEvents
from detag.ports.jobs_fake import FakeJobStore
from detag.ports.outputs_fake import FakeFetcher
from detag.ports.photos_fake import FakePhotoStore
from detag.ports.queue_fake import FakeQueue
from detag.ports.runs_fake import Ending, FakeRuns, Fault, tiny_image
from detag.ports.secrets_fake import FakeCallbackSecrets
from tests import environment
from tests.fuzz.requests import sign
from tests.handlers import context, handler

BUCKET: Final = "photos"
SECRET: Final = "whsec_MARKsecret"
MARKS: Final = {
    "an API key": "rf_live_MARKkey",
    "a callback secret": SECRET,
    "an exception's own text": "MARKexception",
    "a callback's body": "MARKcallback",
    "a message's body": "MARKmessage",
    "a photo": "MARKphoto",
    "an output": "MARKoutput",
    "a header": "MARKheader",
    "a presigned URL": "X-Amz-Signature=",
}
ENVIRON: Final = environment.ENVIRON | {"INPUT_BUCKET": BUCKET}


class Echo(FakeRuns):
    """A Runflow that repeats what it was sent in every refusal and failure, as FastAPI's validation does."""

    def create(
        self, body: str, idempotency_key: str, timeout: float, account: tuple[str, ...] | None = None
    ) -> Outcome:
        """See `Runs`. What it refuses is read by the real adapter's reading of answers."""
        outcome = super().create(body, idempotency_key, timeout, account)
        fault = self.fault("create")
        if fault is None or fault.status is None:
            return outcome
        said = {"type": "value_error", "input": json.loads(body), "ctx": {"authorization": "Bearer rf_live_MARKkey"}}
        return outcome_of(fault.status, {"detail": [said], "code": f"rf_live_MARKkey {body}"}, None)


def ending(request: Mapping[str, Any]) -> Ending:
    """How the run of a photo goes, by the photo's name."""
    name, url = str(request["metadata"]["key"]), str(request["input"]["image_url"])
    if "fails" in name:
        said = f"cannot read {url} ({url.replace('://', '%3A//')}); key was rf_live_MARKkey, secret {SECRET}"
        return Ending(status="failed", cost=Decimal(0), code=f"INVALID_INPUT {url}", message=said)
    if "html" in name:
        return Ending(instead=b"<html>MARKoutput</html>")
    if "cancelled" in name:
        return Ending(status="canceled", cost=Decimal(0), message=url)
    return Ending()


@cache
def loaded(function: str) -> ModuleType:
    """A handler's module: harnesses come one after the other, so that one copy is enough."""
    return handler(function, ENVIRON)


class Harness:
    """Everything that one play needs. `effect` may raise at any call of a port, named as in the fakes."""

    def __init__(self, effect: Effect) -> None:
        self.clock = FakeClock()
        self.jobs = FakeJobStore(self.clock, effect)
        self.photos = FakePhotoStore(self.clock, effect=effect)
        self.refused: int | Literal[False] | None = False
        """How Runflow answers to POSTs: with a status, or None for not at all; False is as usual."""
        self.runs = Echo(self.photos, self.clock, effect, ending=ending, fault=self._fault)
        self.events = FakeEvents(effect)
        self.uploads, self.results = FakeQueue("uploads", effect), FakeQueue("results", effect)
        self.secrets = FakeCallbackSecrets(SECRET, effect=effect)
        self.fetcher = FakeFetcher(self.runs.read_output_url, effect)
        self.returned: list[Any] = []
        self.worked_off: dict[str, list[dict[str, Any]]] = {"uploads": [], "results": []}
        self._out = io.StringIO()
        self._logs = io.StringIO()
        self._functions = {name: self._function(name) for name in ("submit", "callback", "deliver", "reconcile")}

    def _fault(self, operation: str) -> Fault | None:
        return None if self.refused is False or operation != "create" else Fault(self.refused)

    def _function(self, name: str) -> Any:
        module: Any = loaded(name)
        unique = f"{name} {uuid4()}"  # Powertools keeps one logger for each service
        logger = Logger(service=unique, stream=self._logs, level="DEBUG")
        logging.getLogger(unique).propagate = False  # it is read from its stream
        telemetry = PowertoolsTelemetry(logger, Metrics(namespace="detag", service=unique))
        common: Any = {"clock": self.clock, "telemetry": telemetry}
        stores: Any = {"jobs": self.jobs, "runs": self.runs}
        ends: Any = {"photos": self.photos, "events": self.events, "uniform": lambda low, high: (low + high) / 2}
        made: dict[str, Callable[[], Any]] = {
            "submit": lambda: app.submit(module.settings, **common, **stores, **ends),
            "callback": lambda: app.callback(secrets=self.secrets, results=self.results, **common),
            "deliver": lambda: app.deliver(module.settings, **common, **stores, **ends, fetcher=self.fetcher),
            "reconcile": lambda: app.reconcile(
                module.settings,
                **common,
                **stores,
                listing=self.photos,
                uploads=self.uploads,
                results=self.results,
                events=self.events,
            ),
        }
        setattr(module, name, made[name]())
        module.CLOCK = self.clock
        module.pool = SimpleNamespace(map=map)  # one after the other: the same calls in every play
        module.telemetry = telemetry
        return telemetry.invocation(module.lambda_handler.__wrapped__)

    def invoke(self, function: str, event: Mapping[str, Any]) -> None:
        """Run a handler as Lambda does: what it raises is written to its log, with its text."""
        with redirect_stdout(self._out), redirect_stderr(self._out), _root_log(self._out):
            try:
                self.returned.append(self._functions[function](dict(event), context(1_000.0)))
            except Exception as error:  # noqa: BLE001 - Lambda's runtime
                frames = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)))
                self._out.write(f"[ERROR] {type(error).__name__}: {error}\n{frames}")

    def messages(self, function: str, *bodies: object) -> None:
        """Run a handler on messages of its queue; a text is a body as it is."""
        texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
        records = [{"messageId": str(number), "body": text} for number, text in enumerate(texts)]
        self.invoke(function, {"Records": records})

    def call_back(self) -> None:
        """Post the callbacks of the runs that have ended: each unsigned, spoilt, and as it should be."""
        for run in self.runs.ended:
            body = json.dumps(json.loads(self.runs.callback(run)) | {"note": "MARKcallback"}).encode()
            for signature in (None, "0" * 64, sign(SECRET, body)):
                headers = {"cookie": "MARKheader", "authorization": "Bearer rf_live_MARKkey"}
                named = {"runflow-signature": signature} if signature else {}
                self.invoke("callback", {"headers": headers | named, "body": body.decode(), "isBase64Encoded": False})
        self.runs.ended.clear()

    def work_off(self) -> None:
        """Handle what is in the two queues."""
        for queue, function in ((self.uploads, "submit"), (self.results, "deliver")):
            waiting, queue.sent = queue.sent, []
            self.worked_off[queue.name] += waiting
            if waiting:
                self.messages(function, *waiting)

    # What came out

    def marks(self) -> dict[str, str]:
        """The marks, with the signatures that were made on the way."""
        urls = [json.loads(body)["input"]["image_url"] for body, _ in self.runs.posts]
        signatures = [parse_qs(urlsplit(url).query)["X-Amz-Signature"][0] for url in urls]
        bodies = [self.runs.callback(run) for run in self.runs.runs.values() if run.ended]
        return (
            MARKS
            | {f"the signature of URL {number}": text for number, text in enumerate(signatures)}
            | {f"the HMAC of callback {number}": sign(SECRET, body) for number, body in enumerate(bodies)}
        )

    def output(self) -> Iterator[tuple[str, str]]:
        """All that was said and written, by where."""
        yield "logs", self._logs.getvalue()
        yield "stdout, stderr and metrics", self._out.getvalue()
        yield "answers", json.dumps(self.returned)
        yield "events", json.dumps(self.events.published)
        yield "items", "\n".join(repr(_without_body(job)) for job in self.jobs.jobs.values())
        yield "intake", repr(self.jobs.intake())
        for queue in (self.uploads, self.results):  # the output URLs are there for deliver to fetch
            messages = self.worked_off[queue.name] + queue.sent
            yield f"queue of {queue.name}", json.dumps([message | {"links": []} for message in messages])
        for key, stored in self.photos.puts:
            yield f"metadata of {key}", repr(stored.metadata)
            if key.startswith(("_failed/", "_skipped/")):
                yield key, stored.data.decode()

    def leaks(self) -> list[str]:
        """Every mark that was found, and where."""
        marks = self.marks()
        return [
            f"{what} in {where}"
            for where, text in self.output()
            for what, mark in marks.items()
            if mark in text or mark in text.replace('\\"', '"')
        ]


def _without_body(job: Job) -> Job:
    """An open job's item holds the body that may have to be sent again, by design; a closed one's none."""
    return job if job.state.terminal else replace(job, body=None)


@contextmanager
def _root_log(stream: io.StringIO) -> Iterator[None]:
    """The root logger as Lambda sets it up: warnings and worse of any library are printed."""
    root, printer = logging.getLogger(), logging.StreamHandler(stream)
    root.addHandler(printer)
    try:
        yield
    finally:
        root.removeHandler(printer)


def photo(name: str) -> bytes:
    """A marked photo."""
    return tiny_image("image/jpeg", f"MARKphoto {name}".encode())


def play(harness: Harness) -> None:
    """Every function, every way that a photo may end, every refusal; and messages that nobody sends."""
    names = ("good", "run fails", "html output", "cancelled run", "again")
    events = [harness.photos.upload(BUCKET, f"{name}.jpg", photo(name), {"title": name}) for name in names]
    events.append(harness.photos.upload(BUCKET, "notes.txt", b"MARKphoto"))
    events.append(harness.photos.upload(BUCKET, "ratio.jpg", photo("ratio"), {"aspect-ratio": "banana"}))
    harness.messages("submit", *events[:5])
    garbage = ("MARKmessage, and no JSON", '["MARKmessage"]', {"detail": {"object": "MARKmessage"}}, {"job_id": "x"})
    harness.messages("submit", *events[5:], *garbage)
    for status in (422, 402, 401, 429, 503, None):
        harness.refused = status
        harness.messages("submit", harness.photos.upload(BUCKET, f"answer {status}.jpg", photo(str(status))))
        harness.refused = False
        for _ in range(3):  # whatever closed the intake opens it again
            harness.clock.advance(1_000.0)
            harness.invoke("reconcile", {"source": "aws.events"})
            harness.runs.tick()
            harness.call_back()
            harness.work_off()
    harness.messages(
        "deliver", "MARKmessage", {"job_id": "MARKmessage"}, {"job_id": "0" * 32, "links": ["MARKmessage"]}
    )
    harness.invoke("callback", {"headers": {"runflow-signature": "MARKheader"}, "body": "MARKcallback"})
    harness.invoke("callback", {"headers": {}, "body": "{MARKcallback", "isBase64Encoded": True})
    unusable = b'{"event": "MARKcallback", "run_id": "MARKcallback", "metadata": {"app": "detag"}}'
    harness.invoke("callback", {"headers": {"runflow-signature": sign(SECRET, unusable)}, "body": unusable.decode()})
    harness.invoke("reconcile", {})
