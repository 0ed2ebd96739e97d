"""Runflow in a world: `FakeRuns` with time that passes, faults drawn by the storm, and a sender of its callbacks."""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from detag.domain.runs import Run
from detag.ports.outputs import LinkExpired, Unsafe
from detag.ports.runs import Outcome, RunPage
from detag.ports.runs_fake import PRICE, Ending, FakeRun, FakeRuns, Fault
from detag.services.callback import signature_of
from tests.simulation.pictures import cleaned, photo
from tests.simulation.storm import READINGS

if TYPE_CHECKING:
    from tests.simulation.world import Worker, World


@dataclass(slots=True)
class Post:
    """One POST that a worker sent. `called_at` is when it asked for it, with so many seconds to wait for the answer."""

    called_at: float
    timeout: float
    at: float
    worker: Worker | None
    job_id: str
    body: str
    key: str
    outcome: str = "on its way"
    retry_after: float = 0.0
    cleared: bool = False
    """Whether detag has made sure since, as it must, that no run of it is missing."""


class Runflow(FakeRuns):
    """The organisation's account."""

    def __init__(self, world: World) -> None:
        super().__init__(world.photos, world.clock, world.effect, ending=self._plan, fault=self._fault, cleaned=cleaned)
        self._world = world
        random, habits = world.random, self.habits
        self.gentle = self.down = self.deaf = False
        """Readings of the callbacks' retries; Runflow does not answer; its callbacks do not arrive."""
        self.faults: list[Fault | None] = []
        """What becomes of the next POSTs, before the storm has its say."""
        self.endings: list[Ending] = []
        """How the next runs will go."""
        self.secret = "whsec_first"
        if not world.storm.over:
            self.gentle = random.random() < 0.2
            habits.idempotency = random.choice(READINGS)
            habits.page_limit = random.choice((3, 10, 500))
            habits.link_seconds = random.choice((30.0, 900.0, 3600.0))
            habits.output = random.choice(("image_urls", "outputs"))
            if world.storm.has("run listed late"):
                habits.visible_after = random.uniform(10.0, world.confirmation_minutes * 60.0)
            if world.storm.has("run unknown at first"):
                habits.known_after = random.choice((30.0, 1200.0, 5400.0))
        self.page_seconds = 0.0
        self.pages = 0
        """How often a page of the list was read."""
        self.asked: list[str] = []
        """Every run that was asked for by its id."""
        self.sent: list[Post] = []
        """Every POST that a worker sent."""
        self.foreign: set[str] = set()
        """Runs that somebody else made."""
        self.bad_links: set[tuple[str, int]] = set()
        """Run and number of the pictures that are not safe to fetch."""
        self.callbacks: list[tuple[bytes, str]] = []
        """Every callback that was ever signed, with its signature."""
        self._creating: list[Post] = []
        self._asked: dict[str, Post] = {}
        self._moments: list[float] = []

    def made_for(self, run: FakeRun) -> str:
        """The job that a run's metadata names."""
        return str(run.request["metadata"]["job_id"])

    def post_of(self, run: FakeRun) -> Post:
        """The POST that made a run: of those with its name, the first that it can have been."""
        return self._asked[run.run_id]

    # What workers call

    def create(self, body: str, idempotency_key: str, timeout: float) -> Outcome:
        """See `Runs`."""
        world = self._world
        job_id = str(json.loads(body)["metadata"]["job_id"])
        post = Post(world.time, timeout, world.time, world.workers[-1], job_id, body, idempotency_key)
        self._creating.append(post)
        try:
            outcome = super().create(body, idempotency_key, timeout)
        finally:
            self._creating.pop()
        post.outcome = f"{type(outcome).__name__} {getattr(outcome, 'status', getattr(outcome, 'why', ''))}"
        post.retry_after = getattr(outcome, "retry_after", None) or 0.0
        world.tell("POST", job_id[:8], "->", post.outcome)
        world.wait(timeout if "no answer" in post.outcome else world.random.uniform(0.02, 1.0))
        return outcome

    def get(self, run_id: str) -> Run | None:
        """See `Runs`."""
        self.asked.append(run_id)
        run = super().get(run_id)
        if run is None:
            self._world.storm.happens("run unknown at first")
        return run

    def page(self, cursor: str | None = None) -> RunPage:
        """See `Runs`."""
        self.pages += 1
        self._world.audit.listing(cursor)
        return super().page(cursor)

    def tick(self) -> None:
        """See `FakeRuns`. Whoever has ended is called back."""
        if self._moments and self._moments[0] <= self._world.time:
            while self._moments and self._moments[0] <= self._world.time:
                heapq.heappop(self._moments)
            super().tick()
        while self.ended:
            run = self.ended.pop(0)
            if run.code == "INPUT_UNREADABLE":
                self._world.storm.happens("the photo's link was dead")
            self._world.tell("run", run.run_id, "of", self.made_for(run)[:8], run.status, run.code or "")
            self.call_back(run)

    def read(self, link: str) -> bytes:
        """What a link gives to `FakeFetcher`."""
        try:
            data = self.read_link(link)
        except LinkExpired:
            self._world.storm.happens("output link expired")
            raise
        place = link.partition("?")[0].split("/")
        if (place[-2], int(place[-1].partition(".")[0])) in self.bad_links:
            raise Unsafe("the link leads to a private address")
        return data

    # Faults

    def _fault(self, operation: str) -> Fault | None:
        world, strikes = self._world, self._world.storm.strikes
        if operation != "create":
            slow = operation == "page" and strikes("run list slow")
            world.wait(world.random.uniform(2.0, 8.0) if slow else world.random.uniform(0.02, 0.3) + self.page_seconds)
            if self.down or strikes("Runflow cannot be asked"):
                world.wait(world.random.choice((0.1, 5.0)))
                return Fault(503)
            return None
        post = self._creating[-1]  # what came in between is gone again
        post.at = world.time
        self.sent.append(post)
        world.audit.posted(post)
        if not world.storm.over and any(one.key == post.key for one in self.sent[:-1]):
            world.storm.happens(f"idempotency key {self.habits.idempotency}")
        world.wait(world.random.uniform(0.02, 0.5))
        if not self.habits.key_good:
            world.storm.happens("key refused")
            return Fault(world.random.choice((401, 403, 404)), code="UNAUTHORIZED", message="the key is not good")
        if self.faults:
            fault = self.faults.pop(0)
            if fault is not None and fault.effect:
                self._again_in(fault.late)
            return fault
        if self.down or strikes("Runflow timeout"):
            return Fault()
        if strikes("Runflow timeout with effect"):
            return Fault(effect=True)
        if strikes("Runflow timeout with late effect"):
            latest = post.at + world.confirmation_minutes * 60.0 - self.habits.visible_after - 1
            late = max(0.0, world.random.uniform(0.0, latest - world.time))
            self._again_in(late)
            return Fault(effect=True, late=late)
        if strikes("Runflow 5xx"):
            return Fault(503)
        if strikes("Runflow 5xx with effect"):
            return Fault(500, effect=True)
        if strikes("Runflow 429"):
            return Fault(429, code="RATE_LIMITED", message="slow down", retry_after=world.random.choice((None, 300.0)))
        if self.habits.credit is not None and self.habits.credit <= 0:
            world.storm.happens("credit gone")
        return None

    # A run's life

    def _plan(self, request: Mapping[str, Any]) -> Ending:
        world, strikes = self._world, self._world.storm.strikes
        random = world.random
        job_id = request["metadata"]["job_id"]
        run_id = f"0198c0de-7a11-7000-8000-{len(self.runs) + 1:012x}"
        self._asked[run_id] = next(
            post
            for post in reversed(self.sent)
            if post.job_id == job_id and json.loads(post.body)["client_ref"] == request["client_ref"]
        )
        if self.habits.visible_after:
            world.storm.happens("run listed late")
        if self.endings:
            ending = self.endings.pop(0)
            self._again_in(ending.queued)
            self._again_in(ending.queued + ending.seconds)
            return ending
        queued, seconds = random.uniform(0.5, 10.0), random.uniform(2.0, 60.0)
        if strikes("callback at once"):
            queued = seconds = 0.001
        elif strikes("run slow"):
            queued = random.uniform(60, 2 * world.url_lifetime_minutes * 60)
        if strikes("run never ends"):
            seconds = math.inf
        elif strikes("run ends after its time"):
            seconds = world.run_timeout_hours * 3600 + random.uniform(600, 36_000)
        self._again_in(queued)
        self._again_in(queued + seconds)
        if strikes("run forgotten"):
            world.after(random.uniform(60, 3600), partial(self._forget, run_id))
        if strikes("run failed free"):
            status = random.choice(("failed", "errored", "timeout"))
            return Ending(
                queued, seconds, status, Decimal(0), code=random.choice((None, "INTERNAL", "PROVIDER_TIMEOUT"))
            )
        if strikes("run failed for good"):
            return Ending(queued, seconds, "failed", Decimal(0), code="INPUT_VALIDATION_FAILED")
        if strikes("run failed and charged"):
            return Ending(queued, seconds, "failed", code="POSTPROCESS_FAILED")
        if strikes("run cancelled"):
            return Ending(queued, seconds, random.choice(("canceled", "cancelled")), random.choice((Decimal(0), PRICE)))
        images = 1
        while images < 3 and strikes("several outputs"):
            images += 1
        instead = None
        if strikes("run without a picture"):
            images = 0
        elif strikes("run with a bad picture"):
            instead = b"<html>this is no picture</html>"
        elif strikes("run with a dangerous link"):
            self.bad_links.add((run_id, random.randint(1, images)))
        return Ending(
            queued,
            seconds,
            "partial_succeeded" if strikes("run partial") else "succeeded",
            tells_cost=not strikes("run says no cost"),
            images=images,
            content_type="image/webp" if strikes("output of another type") else "image/jpeg",
            instead=instead,
        )

    def _forget(self, run_id: str) -> None:
        """Runflow does not know the run any more, once detag does."""
        job = self._world.jobs.jobs.get(self.made_for(self.runs[run_id]))
        if job is not None and job.run_id == run_id:
            self.runs[run_id].lost = True

    def _again_in(self, seconds: float) -> None:
        """Look whether something happens, then."""
        if seconds < math.inf:
            when = self._world.time + seconds + 0.001
            heapq.heappush(self._moments, when)
            self._world.at(when, self.tick)

    def picture_is_good(self, run: FakeRun) -> bool:
        """Whether a run that succeeded has pictures, all of which can be stored."""
        bad = any(run_id == run.run_id for run_id, _ in self.bad_links)
        return run.ending.images > 0 and run.ending.instead is None and not bad

    # Callbacks

    def call_back(self, run: FakeRun) -> None:
        """Make a delivery: its bytes and its signature are what they are now, whatever comes later."""
        body = self.callback(run)
        signature = signature_of(body, self.secret.encode()).decode()
        self.callbacks.append((body, signature))
        world, storm = self._world, self._world.storm
        times = [0.001, *(world.random.uniform(0.0, 60.0) for _ in range(world.copies - 1))]
        if storm.strikes("callback delayed"):
            times = [world.random.uniform(60, 10_800)]
        if storm.strikes("callback duplicated"):
            times.append(times[0] + world.random.uniform(0.0, 5.0))
        if storm.strikes("callback replayed"):
            times += [world.random.uniform(60, 3 * 86_400) for _ in range(3)]
        for seconds in times:
            world.after(seconds, lambda: self._attempt(body, signature, run, 1))

    def _attempt(self, body: bytes, signature: str, run: FakeRun, number: int) -> None:
        world, storm = self._world, self._world.storm
        status = 0
        job = world.jobs.jobs.get(self.made_for(run))
        if job is not None and job.state.terminal:
            storm.happens("callback after the end")
        if not self.deaf and not storm.strikes("callback lost"):
            status = world.receive(body, signature)
            world.audit.answered(body, signature, status)
            world.tell("callback of", run.run_id, "attempt", number, "->", status)
            if storm.strikes("callback answer lost"):
                status = 0
        waits: tuple[float, ...] = (1.0, 2.0)  # contract section 4
        if self.gentle:
            waits = (1.0, 4.0, 30.0, 300.0, 3600.0)
        again = status == 0 or status >= 500 or (self.gentle and status >= 300)
        if again and number <= len(waits):
            world.after(waits[number - 1], lambda: self._attempt(body, signature, run, number + 1))

    # Somebody else with a key of the organisation

    def others(self, count: int) -> None:
        """So many runs of the organisation that have nothing to do with detag, made now."""
        for _ in range(count):
            number, now = len(self.runs) + 1, self._world.time
            request = {"input": {}, "client_ref": "theirs", "metadata": {"job_id": "theirs"}}
            run = FakeRun(
                f"other-{number}", number, request, now, Ending(), "succeeded", billed=PRICE, completed_at=now
            )
            self.runs[run.run_id] = run
            self.foreign.add(run.run_id)

    def forge(self, job_id: str, client_ref: str, image_url: str) -> None:
        """A run that names one of our jobs and our callback URL: genuinely signed, and not ours."""
        request = {
            "input": {"image_url": image_url},
            "client_ref": client_ref,
            "metadata": {"app": "detag", "v": "1", "job_id": job_id, "client_ref": client_ref, "key": "x"},
        }
        number, now = len(self.runs) + 1, self._world.time
        run_id = f"f0e-{number:012x}"
        theirs = photo(f"foreign{number}", "image/jpeg")
        run = FakeRun(
            run_id,
            number,
            request,
            now,
            Ending(content_type="image/jpeg"),
            "succeeded",
            theirs,
            PRICE,
            completed_at=now,
        )
        self.runs[run_id] = run
        self.foreign.add(run_id)
        self.call_back(run)
