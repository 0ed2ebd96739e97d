"""One simulation: virtual time, AWS and Runflow in memory, and detag's services in processes that crash, stall and die.

Everything that happens follows from the seed. There is one thread: where a worker stalls, or waits for an answer, the
rest goes on inside that very call, and the worker goes on afterwards.
"""

from __future__ import annotations

import heapq
import itertools
import json
import math
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache, partial
from random import Random
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote_plus

from detag import app
from detag.batch import process
from detag.domain.intake import Intake, Override
from detag.domain.job import Job, Upload
from detag.domain.money import NO_LIMIT, day_of
from detag.domain.picture import REJECTED, REVIEW
from detag.domain.uploads import by_own_key, other_reading, read_upload
from detag.domain.waits import CLOCK_SKEW
from detag.ports.clock import Clock
from detag.ports.clock_fake import FakeClock
from detag.ports.errors import Conflict, Transient
from detag.ports.events_fake import FakeEvents
from detag.ports.jobs_fake import FakeJobStore
from detag.ports.outputs_fake import FakeFetcher
from detag.ports.photos_fake import FakePhotoStore, Stored
from detag.ports.queue_fake import FakeQueue
from detag.ports.secrets_fake import FakeCallbackSecrets
from detag.ports.telemetry_fake import FakeTelemetry
from detag.settings import DeliverSettings, ReconcileSettings, SubmitSettings
from tests.environment import settings
from tests.simulation.checker import Checker
from tests.simulation.fault_profile import AT, HANGS, FaultProfile
from tests.simulation.runflow import Runflow
from tests.simulation.sqs import Sqs

PRICE: Final = Decimal("0.14")
TIMEOUTS: Final = {"submit": 30.0, "callback": 10.0, "deliver": 120.0, "reconcile": 55.0}
"""Seconds after which a function's process is killed: the template's `Timeout`."""
KEPT: Final = {"jobs": 1.0, "queue": 1.0, "runs": 3.0, "secrets": 5.0, "photos": 8.0, "events": 8.0, "fetcher": 30.0}
"""Seconds of an invocation that a call leaves, however it hangs, by the first word of its effect: the adapters' own,
and `deliver`'s for outputs. With less than that left a call is not made.
"""
VISIBILITY: Final = {"submit": 180.0, "deliver": 720.0}
DEPTH: Final = 3
"""How many workers may be stalled at once, one inside the other."""
DAY: Final = 86_400.0


class Crash(BaseException):
    """The process is gone, between two instructions. No code of detag's may catch this: hence no `Exception`."""


@dataclass(slots=True)
class Worker:
    """One process of a function, warm until it crashes."""

    function: str
    number: int
    clock: Clock
    service: Any
    deadline: float = 0.0
    started: float = 0.0
    pending: deque[Callable[[], None]] = field(default_factory=deque)
    """What is left of its batch."""


class Effect:
    """Around one call of a port: where a fault may fire, and where the checker looks."""

    __slots__ = ("_after", "_name", "_simulation")

    def __init__(self, simulation: Simulation, name: str) -> None:
        self._simulation, self._name = simulation, name
        self._after: str | None = None

    def __enter__(self) -> None:
        self._after = self._simulation.before_effect(self._name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._simulation.after_effect(self._name, self._after)


class TracedTelemetry(FakeTelemetry):
    """Telemetry whose lines are part of the trace, and which remembers why a message was returned to its queue."""

    def __init__(self, trace_line: Callable[..., None]) -> None:
        super().__init__()
        self._trace_line = trace_line
        self._reasons: dict[int, str] = {}

    def info(self, message: str, **fields: object) -> None:
        """See `Telemetry`."""
        super().info(message, **fields)
        self._trace_line("  info:", message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """See `Telemetry`."""
        super().warning(message, **fields)
        self._trace_line("  warning:", message, fields)
        if "message_id" in fields and "error" in fields:
            self._reasons[int(str(fields["message_id"]))] = str(fields["error"])

    def reason_of(self, number: int) -> str:
        """Why a message was returned to its queue the last time."""
        return self._reasons.get(number, "no reason given")


class Simulation:
    """Everything there is, at one moment."""

    def __init__(self, seed: int, *, trace: bool = False, faults: bool = True) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.trace: list[str] | None = [] if trace else None
        self.numbers = itertools.count(1)
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self.workers: list[Worker | None] = []
        """Who is at work, innermost last; None marks that others go on inside a stalled worker."""
        self.idle: dict[str, list[Worker]] = {name: [] for name in TIMEOUTS}

        self.profile = FaultProfile(self.random, faults=faults)
        # 2026-11-23, late enough that most simulations see a midnight.
        start = 1_795_392_000.0 + self.random.uniform(17 * 3600, 23.9 * 3600)
        self.clock = FakeClock(start)
        self.started = start
        self.skew = 0.0
        """How many seconds ahead the clock of a process is that starts now, where chance does not set it."""
        self.effect: Callable[[str], Effect] = partial(Effect, self)
        """See `detag.ports.effect_fake.Effect`."""
        effect = self.effect
        self.jobs = FakeJobStore(self.clock, effect, lag=self.random.choice((0.0, 0.0, 1.0, 30.0)) if faults else 0.0)
        if self.jobs.lag:
            self.profile.happens("index behind")
        self.photos = FakePhotoStore(self.clock, "out", effect)
        self.versioned = not faults or self.random.random() < 0.8
        if not self.versioned:
            self.profile.happens("bucket without versions")
            self.photos.unversioned.add("in")
        self.photos.keeps_versions = not faults or self.random.random() < 0.8
        self.events = FakeEvents(effect)
        self.secrets = FakeCallbackSecrets("whsec_first", effect=effect)
        self.telemetry = TracedTelemetry(self.trace_line)
        self.run_timeout_hours, self.max_attempts = 24, 3
        self.confirmation_minutes, self.url_lifetime_minutes = 10, 60
        self.limit: Decimal | None = None
        self.runflow = Runflow(self)
        self.fetcher = FakeFetcher(self.runflow.read, effect)
        self.upload_queue = FakeQueue("uploads", effect)
        self.result_queue = FakeQueue("results", effect)
        self.queues = (self.upload_queue, self.result_queue)
        self.uploads = Sqs(
            self,
            "UploadQueue",
            self._submit,
            batch=10,
            visibility=VISIBILITY["submit"],
            may_lose=lambda message: "job_id" in message,
        )
        self.results = Sqs(
            self, "ResultQueue", self._deliver, batch=1, visibility=VISIBILITY["deliver"], may_lose=lambda message: True
        )
        self.rule_dead: list[dict[str, Any]] = []
        self.replaced = 0
        """Workers up to this number are of an earlier deployment, and get no more invocations."""
        self.untold: list[Upload] = []
        """Uploads whose event never comes."""
        self.uploaded: list[Upload] = []
        self.arrived: dict[str, Upload] = {}
        """Uploads whose event reached the upload queue, by job id."""
        self.arrivals: list[dict[str, Any]] = []
        """Every event that reached the upload queue, as often as it did."""
        self.requests: dict[str, dict[str, Any]] = {}
        """Every message that asked for a job to be reopened, by the id of its request."""
        self.kept_results: Counter[str] = Counter()
        """Messages that reached the result queue, by run id."""
        self.paused_at = self.secrets_changed = self.throttled_until = float("-inf")
        self.all_secrets = ["whsec_first"]
        """Every secret that was ever accepted."""
        self.copies = 1
        """How often each event, message and callback comes, at the least."""
        self.unmatched_runs = 0
        """Unmatched paid runs that a test made happen, beyond what detag assumes of Runflow."""
        self.price = PRICE
        """What processes that start now are told that an image costs."""
        self.limits: list[tuple[float, Decimal]] = [(0.0, NO_LIMIT)]
        """When which daily spend limit came into force."""
        self.checker = Checker(self)
        self._next_sweep = math.inf

    # Time

    @property
    def time(self) -> float:
        """The true time."""
        return self.clock.time

    def at(self, time: float, act: Callable[[], object]) -> None:
        """Let something happen at a time, or as soon as possible after it."""
        heapq.heappush(self._heap, (time, next(self.numbers), act))

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        """Let something happen so many seconds from now."""
        self.at(self.time + seconds, act)

    def run_until(self, end: float) -> None:
        """Run until a time."""
        self.run_out(end)
        self.clock.time = max(self.clock.time, end)

    def run_out(self, end: float) -> bool:
        """Run until nothing is left to happen, at most until a time; whether nothing is left."""
        heap = self._heap
        self.workers.append(None)
        while heap and heap[0][0] <= end and not self.checker.is_over:
            time, _, act = heapq.heappop(heap)
            if time > self.clock.time:
                self.clock.time = time
            act()
        self.workers.pop()
        return not heap

    def trace_line(self, *words: object) -> None:
        """A line of the trace: the time, the stalled workers and the one at work inside them, and what happens."""
        if self.trace is None:
            return
        moment = datetime.fromtimestamp(self.time, UTC).strftime("%d %H:%M:%S.%f")[:-3]
        who = " > ".join(f"{one.function} {one.number}" for one in self.workers if one)
        line = " ".join(_shortened(word) for word in words)
        self.trace.append(f"{moment}  {who:<16}  {line}")

    # Effects

    def before_effect(self, name: str) -> str | None:
        """What a worker meets before a call has its effect; returns what it will meet right after."""
        worker = self.workers[-1] if self.workers else None
        if worker is None:
            return None
        self.clock.time += 0.003
        if 0 < worker.deadline - self.clock.time < _kept(name):
            raise Transient("too little time is left")
        chance = self.profile.at_effect(name) if self.profile.active else None
        if chance is not None and not chance[1]:
            self._inject(chance[0], worker, name)
        if self.clock.time >= worker.deadline:
            self._kill()
        return chance[0] if chance is not None and chance[1] else None

    def after_effect(self, name: str, fault: str | None) -> None:
        """The effect has happened: it is checked, and then the worker may meet a fault."""
        self.checker.observe(name)
        worker = self.workers[-1] if self.workers else None
        if worker is None:
            return
        if fault is not None:
            self._inject(fault, worker, name)
        if self.clock.time >= worker.deadline:
            self._kill()

    def _inject(self, kind: str, worker: Worker, name: str) -> None:
        if kind == "another photo of the batch overtakes":
            if worker.pending and len(self.workers) < 2 * DEPTH:
                self.profile.happens(kind)
                worker.pending.popleft()()
            return
        if kind.startswith("worker stalled"):
            seconds = self.random.choice((0.5, 3.0, 10.0, 25.0, 60.0, 200.0)) * self.random.uniform(0.5, 1.5)
            if kind in AT.values():  # most of what is left of its life
                seconds = (worker.deadline - self.time) * self.random.uniform(0.2, 1.0)
            self.stall(seconds, kind, name)
            return
        if kind in HANGS.values():
            self._hang(kind, worker, name)
        self.profile.happens(kind)
        self.trace_line(kind, "at", name)
        if kind == "worker crashed":
            raise Crash("crashed")
        if kind == "DynamoDB conflict after the write":
            raise Conflict("the write happened, its repetition did not")
        raise Transient(kind)

    def _hang(self, kind: str, worker: Worker, name: str) -> None:
        """A call takes all the time that it has. The other photos of the batch, each in its own thread, go on first."""
        self.profile.happens(kind)
        while worker.pending and len(self.workers) < 2 * DEPTH:
            worker.pending.popleft()()
        self.trace_line(kind, "at", name)
        left = worker.deadline - KEPT[name.partition(".")[0]] - self.time
        if left > 0:
            self.wait(left)
        raise Transient(kind)

    def stall(self, seconds: float, kind: str, name: str) -> None:
        """The worker at work stalls: the others go on meanwhile."""
        if sum(worker is not None for worker in self.workers) > DEPTH:
            return
        self.profile.happens(kind)
        self.trace_line(f"stalled for {seconds:.1f} s at", name)
        self.run_until(self.time + seconds)

    def wait(self, seconds: float) -> None:
        """The worker at work waits for an answer from outside."""
        if sum(worker is not None for worker in self.workers) > DEPTH:
            self.clock.time += seconds
        else:
            self.run_until(self.time + seconds)

    def _kill(self) -> None:
        self.profile.happens("worker killed")
        self.trace_line("killed at its deadline")
        raise Crash("killed")

    # Functions

    def invoke(self, function: str, call: Callable[[Worker], Any]) -> Any:
        """One invocation in some process of a function; a str says how the process died, or that there was none."""
        if self.time < self.throttled_until:
            self.trace_line(function, "throttled")
            return "its invocation was throttled"
        idle = self.idle[function]
        if idle and self.random.random() < 0.8:
            worker = idle.pop(int(self.random.random() * len(idle)))
        else:
            worker = self._start(function)
        worker.started, worker.deadline = self.time, self.time + TIMEOUTS[function]
        self.workers.append(worker)
        try:
            answer = call(worker)
        except Crash as crash:
            worker.pending.clear()
            return f"its process {crash}"
        else:
            if worker.number > self.replaced:  # else a deployment has replaced it meanwhile
                idle.append(worker)
            return answer
        finally:
            self.workers.pop()

    def _start(self, function: str) -> Worker:
        skew = self.skew
        if self.profile.fires("clock skewed"):
            skew = self.random.uniform(-CLOCK_SKEW / 2, CLOCK_SKEW / 2)
        clock = self.clock.seen_with(skew)
        return Worker(function, next(self.numbers), clock, self._service(function, clock))

    def _service(self, function: str, clock: Clock) -> Any:
        """A service as deployed with the template's defaults, where the simulation does not change them."""
        common: Any = {"clock": clock, "telemetry": self.telemetry}
        if function == "callback":
            return app.callback(secrets=self.secrets, results=self.result_queue, **common)
        money = {"daily_spend_limit_usd": self.limit, "price_per_image_usd": self.price}
        common |= {"jobs": self.jobs, "runs": self.runflow}
        chance: Any = {"uniform": self.random.uniform}
        if function == "submit":
            submit = settings(
                SubmitSettings,
                url_lifetime_minutes=self.url_lifetime_minutes,
                confirmation_minutes=self.confirmation_minutes,
                run_timeout_hours=self.run_timeout_hours,
                **money,
            )
            return app.submit(submit, photos=self.photos, events=self.events, **common, **chance)
        if function == "deliver":
            deliver = settings(
                DeliverSettings, max_attempts=self.max_attempts, run_timeout_hours=self.run_timeout_hours, **money
            )
            return app.deliver(
                deliver, photos=self.photos, events=self.events, fetcher=self.fetcher, **common, **chance
            )
        reconcile = settings(ReconcileSettings, run_timeout_hours=self.run_timeout_hours, **money)
        return app.reconcile(
            reconcile,
            listing=self.photos,
            uploads=self.upload_queue,
            results=self.result_queue,
            events=self.events,
            **common,
        )

    def _submit(self, event: dict[str, Any]) -> dict[str, Any] | str:
        def handler(worker: Worker) -> dict[str, Any]:
            deadline = self.clock.monotonic() + TIMEOUTS["submit"]
            return process(
                event,
                lambda message: worker.service.handle(message, deadline),
                self.telemetry,
                lambda function, items: self._interleaved(worker, function, items),
                worker.service.refuse,
            )

        answer: dict[str, Any] | str = self.invoke("submit", handler)
        return answer

    def _interleaved(self, worker: Worker, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """`map`, as threads do it: each item may be overtaken by the others at any effect."""
        listed = list(items)
        results: list[Any] = [None] * len(listed)

        def task(place: int) -> Callable[[], None]:
            def act() -> None:
                results[place] = function(listed[place])

            return act

        worker.pending.extend(task(place) for place in range(len(listed)))
        while worker.pending:
            worker.pending.popleft()()
        return results

    def _deliver(self, event: dict[str, Any]) -> dict[str, Any] | str:
        def handler(worker: Worker) -> dict[str, Any]:
            deadline = self.clock.monotonic() + TIMEOUTS["deliver"]
            return process(event, lambda message: worker.service.handle(message, deadline), self.telemetry)

        answer: dict[str, Any] | str = self.invoke("deliver", handler)
        return answer

    def receive(self, body: bytes, signature: str | None) -> int:
        """A callback that reaches us: the status that Runflow sees."""
        event = {
            "headers": {"runflow-signature": signature} if signature else {},
            "body": body.decode(),
            "isBase64Encoded": False,
        }
        answer = self.invoke("callback", lambda worker: worker.service.handle(event))
        return answer if isinstance(answer, int) else 502  # API Gateway, for a function that died

    # The schedule

    def wake(self, due: float) -> None:
        """Let `reconcile` run in the minute after something comes due; minutes with nothing to do are left out."""
        minute = (max(due + self.jobs.lag, self.time) // 60 + 1) * 60
        if minute < self._next_sweep:
            self._next_sweep = minute
            self.at(minute, lambda: self._tick(minute))

    def _tick(self, minute: float) -> None:
        if minute != self._next_sweep:
            return  # another was brought forward
        self._next_sweep = math.inf
        self.sweep()
        paused = self.intake.reason is not None or self.jobs.operator.paused
        if paused or self.profile.active or any(job.waits_for_intake for job in self.jobs.jobs.values()):
            self.wake(self.time)
        due = [job.due_at for job in self.jobs.jobs.values() if job.due_at is not None]
        if due:
            self.wake(min(due))
        batch = self.jobs._batch
        if batch is None or batch.ends or batch.counted_to < self.checker.last_end:
            self.wake(self.time)
        if self.missed():
            scan = self.jobs._scan
            self.wake(scan.next_at if scan else self.time)

    def job_of(self, upload: Upload) -> Job | None:
        """An upload's job, by the key of its event or of its listing."""
        return next((job for one in _known_as(upload) if (job := self.jobs.jobs.get(one))), None)

    def missed(self) -> list[Upload]:
        """Uploads that only the scan can find: still there, and the newest that is known of their names."""
        return [
            upload
            for upload in self.untold
            if self.job_of(upload) is None
            and (there := self.photos.current(upload.bucket, upload.key)) is not None
            and there[0] == upload.version_id
            and self._may_rank(upload, there[1].modified)
        ]

    def _may_rank(self, upload: Upload, modified: float) -> bool:
        """Whether nothing is known of an upload's name that an event told of, or that is newer."""
        newest = self.jobs.newest_uploads.get((upload.bucket, upload.key), "")
        return not newest or (newest.startswith("0" * 40) and int(newest, 16) <= modified)

    def sweep(self) -> None:
        """One round of `reconcile`."""

        def handler(worker: Worker) -> object:
            try:
                return worker.service.sweep(self.clock.monotonic() + TIMEOUTS["reconcile"])
            except Transient as error:
                return str(error)

        self.invoke("reconcile", handler)

    # Queues between the functions

    def forward(self) -> None:
        """Pass what was sent on to the queues."""
        for sent, queue in ((self.upload_queue.sent, self.uploads), (self.result_queue.sent, self.results)):
            while sent:
                message = sent.pop(0)
                if queue is self.results:
                    self.kept_results[message["run_id"]] += 1
                queue.put(message)

    @property
    def intake(self) -> Intake:
        """The intake item as it is stored."""
        return self.jobs._intake

    # Uploads

    def upload(
        self,
        key: str,
        data: bytes,
        metadata: dict[str, str] | None = None,
        *,
        size: int | None = None,
        encoding: str = "",
        sent: bool = True,
    ) -> Upload:
        """Put a photo into the input bucket; its event is on its way. `sent`: it can be cleaned."""
        event = self.photos.upload("in", key, data, metadata, encoding=encoding)
        if size is not None:
            thing = event["detail"]["object"]
            thing["size"] = self.photos.sizes[key, thing.get("version-id", "null")] = size
        return self._uploaded(event, data, sent=sent)

    def change_by_hand(self, key: str, data: bytes | None) -> None:
        """A person overwrites an output, or deletes it."""
        self.trace_line("by hand:", key, "deleted" if data is None else "overwritten")
        self.checker.changed_by_hand(key)
        self.photos.outputs.pop(key, None)
        if data is not None:
            version = f"h{next(self.numbers)}" if self.photos.keeps_versions else None
            self.photos.outputs[key] = Stored(data, f"hand-{next(self.numbers)}", version_id=version)

    def reject(self, key: str) -> None:
        """A person tags an output as not good enough."""
        self.trace_line("by hand:", key, "rejected")
        there = self.photos.outputs[key]
        self.photos.output_tags[key, there.version_id] = {REVIEW: REJECTED}
        self.checker.rejected[key, there.version_id, there.etag] = self.time
        for (name, version_id), one in self.photos.older.items():
            if name == key and one.metadata == there.metadata:  # the same result, stored anew
                self.checker.rejected[key, version_id, one.etag] = self.time

    def store_anew(self, key: str) -> None:
        """A person copies an output onto itself, as for another storage class."""
        self.trace_line("by hand:", key, "copied onto itself")
        there = self.photos.outputs[key]
        again = replace(there, version_id=f"h{next(self.numbers)}")
        self.photos.outputs[key] = self.photos.older[key, again.version_id or ""] = again

    def rename(self, key: str, target: str) -> None:
        """Give a photo its name as tools do it in S3: a copy under that name, then the old one is deleted."""
        there = self.photos.current("in", key)
        if there is not None:
            self._uploaded(self.photos.copy("in", key, target), there[1].data, sent=True)
            self.delete(key)

    def delete(self, key: str, version_id: str | None = None) -> None:
        """Delete a photo, or one version of it for good."""
        self.trace_line("deleted", key, "version", version_id or "none named")
        self.photos.delete("in", key, version_id)
        self.checker.changed(key)

    def _uploaded(self, event: dict[str, Any], data: bytes, *, sent: bool) -> Upload:
        thing = event["detail"]["object"]
        key = thing["key"]
        if self.random.random() < 0.5:
            thing["sequencer"] = thing["sequencer"].rstrip("0")  # S3's are of any length: the rest is zeros
        upload = read_upload(event)
        encoded = quote_plus(key, safe="/")
        if encoded != key and self.versioned and self.profile.fires("event key encoded"):
            thing["key"] = encoded
            upload = replace(upload, event_key=encoded)
        self.trace_line("uploaded", key, "version", upload.version_id, "job", upload.job_id[:8])
        self.uploaded.append(upload)
        again = self.photos.current("in", key)
        self.checker.uploaded(upload, data, sent=sent, again=again[1].metadata.get("detag-again") if again else None)
        self.checker.changed(key)
        self._send_event(event)
        return upload

    def _send_event(self, event: dict[str, Any]) -> None:
        profile = self.profile
        if self.versioned and profile.fires("event never comes"):
            self.untold.append(self.uploaded[-1])
            self.wake(self.time)
            return
        if profile.fires("event lost to the rule's dead letters"):
            self.rule_dead.append(event)
            return
        copies = self.copies
        while copies < 20 and profile.fires("event duplicated"):
            copies += 1
        for _ in range(copies):
            delay = self.random.uniform(0.2, 2.0)
            if profile.fires("event delayed"):
                delay += self.random.uniform(60, 7200)
            elif profile.fires("event reordered"):
                delay += self.random.uniform(2, 60)
            self.after(delay, lambda: self._event_arrives(event))

    def _event_arrives(self, event: dict[str, Any]) -> None:
        self.trace_line("event received:", event["detail"]["object"]["key"])
        upload = read_upload(event)
        if self.profile.active and any(
            other.rank > upload.rank and other.key == upload.key for other in self.arrived.values()
        ):
            self.profile.happens("event of an older version after a newer one's")
        self.arrived[upload.job_id] = upload
        self.arrivals.append(event)
        self.uploads.put(event, safely=True)

    def reopen(self, how: str, named: dict[str, str], *, request_id: str = "", copies: int = 1) -> str:
        """Somebody asks for the job that is named to be reopened; returns the id of the request."""
        request_id = request_id or f"r-{len(self.requests) + 1}"
        at = datetime.fromtimestamp(self.time, UTC).isoformat()
        asked = {"id": request_id, "how": how, "by": "anna", "at": at, **named}
        message = self.requests.setdefault(request_id, {"reopen": asked})
        self.trace_line("asked to reopen:", asked)
        for _ in range(copies):
            self.uploads.put(message, safely=True)
        return request_id

    def redrive_rule(self) -> None:
        """An operator sends the rule's dead letters on."""
        dead, self.rule_dead = self.rule_dead, []
        for event in dead:
            self._event_arrives(event)

    def redrive_all(self) -> None:
        """An operator sends the dead letters of every queue on."""
        if self.uploads.redrive() + self.results.redrive() + len(self.rule_dead) and self.profile.active:
            self.profile.happens("dead letters redriven")
        self.redrive_rule()

    def set_limit(self, limit: Decimal | None) -> None:
        """An operator changes the daily limit, on the override item."""
        self.jobs.operator = Override(
            paused=self.jobs.operator.paused, limit_usd="none" if limit is None else str(limit)
        )
        self.limits.append((self.time, NO_LIMIT if limit is None else limit))

    def day(self) -> str:
        """Today."""
        return day_of(self.time)


@lru_cache(maxsize=1_024)
def _known_as(upload: Upload) -> tuple[str, ...]:
    """The ids that the job of an upload may have."""
    decoded = other_reading(upload)
    known = (upload, by_own_key(upload), *((by_own_key(decoded),) if decoded else ()))
    return tuple(one.job_id for one in known)


@cache
def _kept(name: str) -> float:
    """With how little of an invocation's time left a call is not made, by its effect."""
    port = name.partition(".")[0]
    return 0.0 if port == "fetcher" else KEPT[port]


def _shortened(word: object) -> str:
    """A word of the trace: mappings as their values, runs by their number, jobs and versions by their first digits."""
    text = ", ".join(f"{name} {value}" for name, value in word.items()) if isinstance(word, dict) else str(word)
    text = re.sub(r"0198c0de-7a11-7000-8000-0*", "run-", text)
    return re.sub(r"\b([0-9a-f]{8})[0-9a-f]{24}\b", r"\1", text)


def dumps(value: object) -> bytes:
    """JSON bytes."""
    return json.dumps(value).encode()
