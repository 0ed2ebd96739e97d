"""Runflow in a simulation: `FakeRuns` with time that passes, faults from the profile, and a sender of its callbacks."""

from __future__ import annotations

import heapq
import json
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from detag.domain.outcomes import Outcome
from detag.domain.runs import Run
from detag.ports.errors import Transient
from detag.ports.outputs import OutputUrlExpired, Unsafe
from detag.ports.runs import RunPage, Unauthorized
from detag.ports.runs_fake import PRICE, Ending, FakeRun, FakeRuns, Fault
from detag.services.callback import signature_of
from tests.simulation.fault_profile import READINGS
from tests.simulation.photos import output_of, photo

ASKED = (300.0, 3_600_000.0)
"""What a Retry-After says, in seconds: the second is an hour, written in milliseconds."""

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation, Worker


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

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(
            simulation.photos,
            simulation.clock,
            simulation.effect,
            ending=self._plan,
            fault=self._fault,
        )
        self._simulation = simulation
        random, habits = simulation.random, self.habits
        self.gentle = self.down = self.deaf = False
        """Readings of the callbacks' retries; Runflow does not answer; its callbacks do not arrive."""
        self.same_output = False
        """Whether all runs make the same bytes of one photo."""
        self.faults: list[Fault | None] = []
        """What becomes of the next POSTs, before the fault profile is asked."""
        self.endings: list[Ending] = []
        """How the next runs will end."""
        self.secret = "whsec_first"
        if simulation.profile.active:
            self.gentle = random.random() < 0.2
            habits.idempotency = random.choice(READINGS)
            habits.page_limit = random.choice((3, 10, 500))
            habits.output_url_seconds = random.choice((30.0, 900.0, 3600.0))
            habits.output = random.choice(("image_urls", "outputs"))
            if simulation.profile.has("run listed late"):
                habits.visible_after = random.uniform(10.0, simulation.confirmation_minutes * 60.0)
            if simulation.profile.has("run unknown at first"):
                habits.known_after = random.choice((30.0, 1200.0, 5400.0))
            self._choose_list()
        self.page_seconds = self.output_seconds = 0.0
        self.pages = 0
        """How often a page of the list was read."""
        self.asked: list[str] = []
        """Every run that was asked for by its id."""
        self.unreadable: dict[str, float] = {}
        """Runs whose records Runflow cannot show, whoever asks, and until when."""
        self.unread_since: dict[str, float] = {}
        """When a run was first asked for and not shown, for whatever reason."""
        self._records = Random(f"{simulation.seed} records")
        spoils = simulation.profile.active and self._records.random() < 0.22
        self._spoiled = self._records.choice((0.05, 0.2)) if spoils else 0.0
        self.unknown_since: dict[str, float] = {}
        """When detag was first told of a run that there is none."""
        self.sent: list[Post] = []
        """Every POST that a worker sent."""
        self.tried_again: set[str] = set()
        """Runs that had failed free of charge, and that Runflow tried again by itself, and billed."""
        self.too_late: set[str] = set()
        """Runs that a request without an answer made after the confirmation time: beyond what detag assumes, so that
        there may be another of the same photo.
        """
        self._overdue: defaultdict[str, list[float]] = defaultdict(list)
        """When requests make such runs, by the name that they give them."""
        self._lateness = Random(f"{simulation.seed} late")  # without such runs, a simulation is what it was
        self._late_rate = self._lateness.choice((0.0, 0.0, 0.05, 0.2)) if simulation.profile.active else 0.0
        self._refusals = Random(f"{simulation.seed} refusals")  # so are those
        self._refuses = self._refusals.choice((0.0, 0.0, 0.0, 0.4)) if simulation.profile.active else 0.0
        self._cancels = Random(f"{simulation.seed} cancels")  # and those
        self._goes_on = self._cancels.choice((0.4, 0.9))
        self._costs = Random(f"{simulation.seed} costs")
        self._shown_late = self._costs.choice((0.0, 0.0, 0.3))
        self.rejected: dict[str, Fault] = {}
        """What happens to the requests for a photo, by its key, whenever it is sent."""
        self.foreign: set[str] = set()
        """Runs that somebody else made."""
        self.alike: set[str] = set()
        """Foreign runs that, once the POST of their name was answered, nothing tells from another run of ours: they
        are charged, and a person is told.
        """
        self.unsafe_outputs: set[tuple[str, int]] = set()
        """Run and number of the outputs that are not safe to fetch."""
        self.callbacks: list[tuple[bytes, str]] = []
        """Every callback that was ever signed, with its signature."""
        self._creating: list[Post] = []
        self._asked: dict[str, Post] = {}
        self._moments: list[float] = []

    def _choose_list(self) -> None:
        """How the run list, and the records, are read."""
        profile, random, habits = self._simulation.profile, self._simulation.random, self.habits
        habits.client_ref_filter = random.choice(("honoured", "ignored", "refused", "none"))
        if profile.has("run list thin"):
            habits.list_entries = random.choice(("thin", "ids", "nested"))
        if profile.has("run list in another order"):
            habits.order = random.choice(("ascending", "grouped", "none"))
        if profile.has("run list cursor too long to keep"):
            habits.cursor_length = 3_000
        if profile.has("photo shown by another link"):
            habits.input_shown = random.choice(("asset", "nothing"))
        if profile.has("Runflow's clock behind"):
            habits.clock_behind = random.choice((60.0, 3_500.0))
        if profile.has("output URLs signed by one road only"):
            habits.signs = random.choice(("when asked", "unless asked", "in callbacks"))

    def made_for(self, run: FakeRun) -> str:
        """The job that a run's metadata names."""
        return str(run.request["metadata"]["job_id"])

    def post_of(self, run: FakeRun) -> Post:
        """The POST that made a run: of those with its name, the first that it can have been."""
        return self._asked[run.run_id]

    def is_unreadable(self, run_id: str) -> bool:
        """Whether Runflow cannot show a run's record now."""
        return self._simulation.time < self.unreadable.get(run_id, 0.0)

    # What workers call

    def create(
        self, body: str, idempotency_key: str, timeout: float, account: tuple[str, ...] | None = None
    ) -> Outcome:
        """See `Runs`."""
        simulation = self._simulation
        job_id = str(json.loads(body)["metadata"]["job_id"])
        post = Post(simulation.time, timeout, simulation.time, simulation.workers[-1], job_id, body, idempotency_key)
        self._creating.append(post)
        if (fault := self.rejected.get(str(json.loads(body)["metadata"]["key"]))) is not None:
            self.faults.insert(0, fault)
        try:
            outcome = super().create(body, idempotency_key, timeout, account)
        finally:
            self._creating.pop()
        post.outcome = f"{type(outcome).__name__} {getattr(outcome, 'status', getattr(outcome, 'why', ''))}"
        post.retry_after = getattr(outcome, "retry_after", None) or 0.0
        simulation.trace_line("POST for", job_id[:8], "->", post.outcome)
        simulation.wait(timeout if "no answer" in post.outcome else simulation.random.uniform(0.02, 1.0))
        return outcome

    def get(self, run_id: str, *, signed: bool = True, account: tuple[str, ...] | None = None) -> Run | None:
        """See `Runs`."""
        self.asked.append(run_id)
        try:
            run = super().get(run_id, signed=signed, account=account)
            if self.is_unreadable(run_id):
                self._simulation.profile.happens("record of one run unreadable")
                refused = int(run_id[-1], 16) % 2
                raise Unauthorized("Runflow answered 403") if refused else Transient("Runflow answered 500")
        except Exception:
            self.unread_since.setdefault(run_id, self._simulation.time)
            raise
        if run is None:
            self._simulation.profile.happens("run unknown at first")
            self.unknown_since.setdefault(run_id, self._simulation.time)
        elif self.habits.input_shown != "sent":
            self._simulation.profile.happens("photo shown by another link")
        if run is not None and run.output_urls and self.habits.signs != "always":
            self._simulation.profile.happens("output URLs signed by one road only")
            if self.habits.signs == "in callbacks":
                self._simulation.profile.happens("output URLs signed in callbacks only")
        return run

    def redeliver(self, run_id: str) -> None:
        """See `Runs`."""
        self._simulation.checker.callback_asked_for(run_id)
        super().redeliver(run_id)
        self._simulation.profile.happens("callback sent again")
        self.tick()

    def page(self, cursor: str | None = None, account: tuple[str, ...] | None = None) -> RunPage:
        """See `Runs`."""
        self.pages += 1
        self._simulation.checker.listing(cursor)
        page = super().page(cursor, account)
        happens, habits = self._simulation.profile.happens, self.habits
        if habits.list_entries != "whole":
            happens("run list thin")
        if habits.order != "descending":
            happens("run list in another order")
        if page.next is not None and habits.cursor_length:
            happens("run list cursor too long to keep")
        if habits.clock_behind:
            happens("Runflow's clock behind")
        return page

    def listed_at(self, run: FakeRun) -> float:
        """See `FakeRuns`. A request may be under way for minutes while its worker is stalled: what it makes is listed
        within the confirmation time all the same, as is assumed.
        """
        listed, post = super().listed_at(run), self._asked.get(run.run_id)
        confirmation = self._simulation.confirmation_minutes * 60.0
        if post is None or self.habits.visible_after > confirmation:
            return listed
        return min(listed, max(run.created_at, post.at + confirmation - 1.0))

    def tick(self) -> None:
        """See `FakeRuns`. Runs that have ended are called back."""
        if self._moments and self._moments[0] <= self._simulation.time:
            while self._moments and self._moments[0] <= self._simulation.time:
                heapq.heappop(self._moments)
            super().tick()
        while self.ended:
            run = self.ended.pop(0)
            if run.code == "INPUT_UNREADABLE":
                self._simulation.profile.happens("photo URL expired")
            self._simulation.trace_line("run", run.run_id, "of", self.made_for(run)[:8], run.status, run.code or "")
            self.call_back(run)

    def read(self, url: str) -> bytes:
        """What an output URL gives to `FakeFetcher`."""
        try:
            data = self.read_output_url(url)
        except OutputUrlExpired:
            self._simulation.profile.happens("output URL expired")
            raise
        place = url.partition("?")[0].split("/")
        seconds = self.output_seconds
        if self._simulation.profile.fires("output slow"):
            seconds = self._simulation.random.uniform(10.0, 59.0)
        if seconds:
            self._simulation.wait(seconds)
        if (place[-2], int(place[-1].partition(".")[0])) in self.unsafe_outputs:
            raise Unsafe("the URL leads to a private address")
        return data

    def output_of(self, run: FakeRun, number: int = 1) -> bytes:
        """See `FakeRuns`. No two runs make the same of one photo, unless `alike`."""
        if run.ending.instead is not None:
            return run.ending.instead
        mark = "" if self.same_output else f"{run.run_id[-12:]}.{number}"
        return output_of(run.photo or b"", run.ending.content_type, mark)

    def _begin(self, run: FakeRun) -> None:
        """See `FakeRuns`. A file that came after the claim, in a bucket without versions, need not be an image."""
        starts = run.next_at
        super()._begin(run)
        if not run.ended and not _has_photo(run):
            self._end(run, starts, "failed", "NOT_AN_IMAGE", "image_url leads to no image", free=True)

    # Faults

    def _fault(self, operation: str) -> Fault | None:
        simulation, fires = self._simulation, self._simulation.profile.fires
        if operation != "create":
            slow = operation == "page" and fires("run list slow")
            simulation.wait(
                simulation.random.uniform(2.0, 8.0)
                if slow
                else simulation.random.uniform(0.02, 0.3) + self.page_seconds
            )
            if self.down or fires("Runflow unreachable"):
                simulation.wait(simulation.random.choice((0.1, 5.0)))
                return Fault(503)
            return Fault(403) if operation == "page" and fires("run list forbidden") else None
        post = self._creating[-1]  # what came in between is gone again
        post.at = simulation.time
        self.sent.append(post)
        simulation.checker.posted(post)
        if simulation.profile.active and any(one.key == post.key for one in self.sent[:-1]):
            simulation.profile.happens(f"idempotency key {self.habits.idempotency}")
        simulation.wait(simulation.random.uniform(0.02, 0.5))
        if not self.habits.key_good:
            simulation.profile.happens("key refused")
            return Fault(simulation.random.choice((401, 403, 404)), code="UNAUTHORIZED", message="the key is not valid")
        if self.faults:
            fault = self.faults.pop(0)
            if fault is not None and fault.effect:
                self._tick_in(fault.late)
            return fault
        if simulation.profile.active and self._lateness.random() < self._late_rate:
            late = simulation.confirmation_minutes * 60.0 + self._lateness.uniform(30.0, 3_000.0)
            self._overdue[str(json.loads(post.body)["client_ref"])].append(post.at + late)
            self._tick_in(post.at + late - simulation.time)
            return Fault(effect=True, late=post.at + late - simulation.time)
        if self._refuses and self._is_refused(post):
            return Fault(422, code="VALIDATION", message="the photo is refused")
        if self.down or fires("Runflow timeout"):
            return Fault()
        if fires("Runflow timeout with effect"):
            return Fault(effect=True)
        if fires("Runflow timeout with late effect"):
            latest = post.at + simulation.confirmation_minutes * 60.0 - self.habits.visible_after - 1
            late = max(0.0, simulation.random.uniform(0.0, latest - simulation.time))
            self._tick_in(late)
            return Fault(effect=True, late=late)
        if fires("Runflow 5xx"):
            return Fault(503)
        if fires("Runflow 5xx with effect"):
            return Fault(500, effect=True)
        if fires("Runflow 429"):
            asked = simulation.random.choice((None, ASKED[simulation.seed % len(ASKED)]))
            return Fault(429, code="RATE_LIMITED", message="slow down", retry_after=asked)
        if self.habits.credit is not None and self.habits.credit <= 0:
            simulation.profile.happens("credit used up")
        return None

    def _is_refused(self, post: Post) -> bool:
        """Whether Runflow refuses for good what it gave no clear answer to before."""
        unclear = any(one.job_id == post.job_id and one.outcome.startswith("Ambiguous") for one in self.sent)
        refused = unclear and self._simulation.profile.active and self._refusals.random() < self._refuses
        if refused:
            self._simulation.profile.happens("photo refused after a request without an answer")
        return refused

    # A run's life

    def _plan(self, request: Mapping[str, Any]) -> Ending:
        simulation, fires = self._simulation, self._simulation.profile.fires
        random = simulation.random
        job_id = request["metadata"]["job_id"]
        run_id = f"0198c0de-7a11-7000-8000-{len(self.runs) + 1:012x}"
        self._asked[run_id] = next(
            post
            for post in reversed(self.sent)
            if post.job_id == job_id and json.loads(post.body)["client_ref"] == request["client_ref"]
        )
        overdue = [moment for moment in self._overdue[request["client_ref"]] if moment <= simulation.time]
        if overdue:
            self._overdue[request["client_ref"]].remove(overdue[0])
            simulation.profile.happens("run made after the confirmation time")
            self.too_late.add(run_id)
        if self.habits.visible_after:
            simulation.profile.happens("run listed late")
        if simulation.profile.active and self._records.random() < self._spoiled:
            seconds = self._records.choice((1_800.0, 4 * 3_600.0, 2 * 86_400.0, math.inf, math.inf))
            self.unreadable[run_id] = simulation.time + seconds
        if self.endings:
            ending = self.endings.pop(0)
            self._tick_in(ending.queued)
            self._tick_in(ending.queued + ending.seconds)
            return ending
        queued, seconds = random.uniform(0.5, 10.0), random.uniform(2.0, 60.0)
        if fires("callback immediate"):
            queued = seconds = 0.001
        elif fires("run slow"):
            queued = random.uniform(60, 2 * simulation.url_lifetime_minutes * 60)
        if fires("run queued too long"):
            queued = random.uniform(1.05, 1.3) * simulation.url_lifetime_minutes * 60
        if fires("run never ends"):
            seconds = math.inf
        elif fires("run ends after its timeout"):
            seconds = simulation.run_timeout_hours * 3600 + random.uniform(600, 36_000)
        self._tick_in(queued)
        self._tick_in(queued + seconds)
        if fires("run forgotten"):
            simulation.after(random.uniform(60, 3600), partial(self._forget, run_id))
        if fires("run failed free of charge"):
            status = random.choice(("failed", "errored", "timeout"))
            self._maybe_again(run_id, queued + seconds)
            return Ending(
                queued, seconds, status, Decimal(0), code=random.choice((None, "INTERNAL", "PROVIDER_TIMEOUT"))
            )
        if fires("run failed permanently"):
            self._maybe_again(run_id, queued + seconds)
            return Ending(queued, seconds, "failed", Decimal(0), code="INPUT_VALIDATION_FAILED")
        if fires("run failed and charged"):
            return Ending(queued, seconds, "failed", code="POSTPROCESS_FAILED")
        if fires("run cancelled"):
            self._maybe_goes_on(run_id, queued + seconds)
            return Ending(queued, seconds, random.choice(("canceled", "cancelled")), random.choice((Decimal(0), PRICE)))
        cost = random.choice((PRICE * 2, PRICE / 2)) if fires("run costs another amount") else PRICE
        images = 1
        while images < 3 and fires("several outputs"):
            images += 1
        instead = None
        if fires("run without an output"):
            images = 0
        elif fires("run with a bad output"):
            instead = b"<html>not an image</html>"
        elif fires("run with an unsafe output URL"):
            self.unsafe_outputs.add((run_id, random.randint(1, images)))
        return self._cost_shown_late(
            Ending(
                queued,
                seconds,
                "partial_succeeded" if fires("run partial") else "succeeded",
                cost,
                tells_cost=not fires("run reports no cost"),
                images=images,
                content_type="image/webp" if fires("output of another type") else "image/jpeg",
                instead=instead,
            )
        )

    def _cost_shown_late(self, ending: Ending) -> Ending:
        """Perhaps a run's record shows what it cost some time after its end; until then nothing, or 0."""
        if not self._simulation.profile.active or self._costs.random() >= self._shown_late:
            return ending
        self._simulation.profile.happens("run's cost shown late")
        after, before = self._costs.choice((60.0, 3_000.0)), self._costs.choice((None, "0"))
        return replace(ending, cost_after=after, cost_before=before)

    def _forget(self, run_id: str) -> None:
        """Runflow forgets the run, once detag knows it."""
        job = self._simulation.jobs.jobs.get(self.made_for(self.runs[run_id]))
        if job is not None and job.run_id == run_id:
            self.runs[run_id].lost = True

    def _tick_in(self, seconds: float) -> None:
        """Let runs start and end, so many seconds from now."""
        if seconds < math.inf:
            when = self._simulation.time + seconds + 0.001
            heapq.heappush(self._moments, when)
            self._simulation.at(when, self.tick)

    def output_is_good(self, run: FakeRun) -> bool:
        """Whether a run that succeeded has outputs, all of which can be stored."""
        bad = any(run_id == run.run_id for run_id, _ in self.unsafe_outputs)
        return run.ending.images > 0 and run.ending.instead is None and not bad

    def try_again(self, run: FakeRun) -> None:
        """Runflow itself tries a run again that it had reported as failed, succeeds, bills it and calls back."""
        if run.photo is None:
            source = str(run.request["input"]["image_url"])
            run.photo = self._simulation.photos.open_url(source, self._simulation.time).data
        run.status, run.code, run.message, run.billed = "succeeded", None, None, PRICE
        run.completed_at = self._simulation.time
        self.call_back(run)

    def _maybe_again(self, run_id: str, ends_in: float) -> None:
        """Perhaps try a run again by itself, some time after it has failed free of charge."""
        if self._simulation.profile.fires("failed run tried again by Runflow"):
            seconds = ends_in + self._simulation.random.choice((5.0, 60.0, 3_600.0, 86_400.0))
            self._simulation.after(seconds, partial(self._again, run_id))

    def _maybe_goes_on(self, run_id: str, ends_in: float) -> None:
        """Perhaps a cancelled run ends well all the same, and is billed: the computation goes on."""
        if self._simulation.profile.active and self._cancels.random() < self._goes_on:
            seconds = ends_in + self._cancels.choice((5.0, 60.0, 3_600.0, 2 * 86_400.0))
            self._simulation.after(seconds, partial(self._ends_well, run_id))

    def _ends_well(self, run_id: str) -> None:
        run = self.runs[run_id]
        if run.status in ("canceled", "cancelled") and run.photo is not None and not run.lost:
            self._simulation.profile.seen["cancelled run that ends well"] += 1
            self.tried_again.add(run_id)
            self.try_again(run)

    def _again(self, run_id: str) -> None:
        run = self.runs[run_id]
        if run.ended and not run.billed and _has_photo(run) and not run.lost:
            self.tried_again.add(run_id)
            self.try_again(run)

    # Callbacks

    def call_back(self, run: FakeRun) -> None:
        """Make a delivery: its bytes and its signature are what they are now, whatever comes later."""
        body = self.callback(run)
        signature = signature_of(body, self.secret.encode()).decode()
        self.callbacks.append((body, signature))
        simulation, profile = self._simulation, self._simulation.profile
        times = [0.001, *(simulation.random.uniform(0.0, 60.0) for _ in range(simulation.copies - 1))]
        if profile.fires("callback delayed"):
            times = [simulation.random.uniform(60, 10_800)]
        if profile.fires("callback duplicated"):
            times.append(times[0] + simulation.random.uniform(0.0, 5.0))
        if profile.fires("callback replayed"):
            times += [simulation.random.uniform(60, 3 * 86_400) for _ in range(3)]
        for seconds in times:
            simulation.after(seconds, lambda: self._attempt(body, signature, run, 1))

    def _attempt(self, body: bytes, signature: str, run: FakeRun, number: int) -> None:
        simulation, profile = self._simulation, self._simulation.profile
        status = 0
        job = simulation.jobs.jobs.get(self.made_for(run))
        if job is not None and job.state.terminal:
            profile.happens("callback after the job closed")
        if not self.deaf and not profile.fires("callback lost"):
            status = simulation.receive(body, signature)
            simulation.checker.answered(body, signature, status)
            simulation.trace_line("callback of", run.run_id, "attempt", number, "->", status)
            if profile.fires("callback response lost"):
                status = 0
        waits: tuple[float, ...] = (1.0, 2.0)  # contract section 4
        if self.gentle:
            waits = (1.0, 4.0, 30.0, 300.0, 3600.0)
        again = status == 0 or status >= 500 or (self.gentle and status >= 300)
        if again and number <= len(waits):
            simulation.after(waits[number - 1], lambda: self._attempt(body, signature, run, number + 1))

    # Somebody else with a key of the organisation

    def others(self, count: int) -> None:
        """So many runs of the organisation that have nothing to do with detag, made now."""
        for _ in range(count):
            number, now = len(self.runs) + 1, self._simulation.time
            request = {"input": {}, "client_ref": "theirs", "metadata": {"job_id": "theirs"}}
            run = FakeRun(
                f"other-{number}", number, request, now, Ending(), "succeeded", billed=PRICE, completed_at=now
            )
            self.runs[run.run_id] = run
            self.foreign.add(run.run_id)

    def forge(self, job_id: str, client_ref: str, image_url: str, config: Mapping[str, str] | None = None) -> FakeRun:
        """A run that names one of our jobs and our callback URL: genuinely signed, and not ours."""
        request = {
            "input": {"image_url": image_url} | ({"config": config} if config else {}),
            "client_ref": client_ref,
            "metadata": {"app": "detag", "v": "1", "job_id": job_id, "client_ref": client_ref, "key": "x"},
        }
        number, now = len(self.runs) + 1, self._simulation.time
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
            account=self._account_of(job_id),
        )
        self.runs[run_id] = run
        self.foreign.add(run_id)
        self.shown_as_sent.add(run_id)
        self.call_back(run)
        return run

    def _account_of(self, job_id: str) -> str:
        """Whose callback secret detag accepts: the account of a job's latest request, or of the key that is stored."""
        job = self._simulation.jobs.jobs.get(job_id)
        return self.habits.accounts[job.account[0] if job is not None and job.account else self.habits.key]


def _has_photo(run: FakeRun) -> bool:
    """Whether what a run has read is an image."""
    return b"<photo " in (run.photo or b"")
