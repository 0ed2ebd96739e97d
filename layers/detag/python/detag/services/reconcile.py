"""`reconcile`: every minute, moves on what no message will: what is due, what waits for intake, lost callbacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from detag.domain import intake as intakes
from detag.domain import waits
from detag.domain.decisions import (
    DOWN_AFTER,
    SENT_TO_DELIVER,
    Idle,
    Next,
    Step,
    after_foreign_poll,
    after_poll,
    after_poll_without_answer,
    let_go,
    runs_to_look_at,
    when_due,
)
from detag.domain.intake import Evidence, Intake
from detag.domain.job import Job, State
from detag.domain.metrics import Metric
from detag.domain.missed_uploads import MAX_LISTED, MAX_OBJECTS
from detag.domain.money import NO_LIMIT, day_of
from detag.domain.naming import readable
from detag.domain.reasons import Reason
from detag.domain.records import advised
from detag.domain.runs import Run, RunStatus
from detag.ports.clock import Clock
from detag.ports.errors import Conflict, Transient, Unreadable
from detag.ports.jobs import JobStore
from detag.ports.queue import Queue
from detag.ports.runs import NotConfigured, OtherAccount, Runs, Unauthorized
from detag.ports.telemetry import Telemetry
from detag.services.batches import Batches
from detag.services.budget import Budget
from detag.services.intake import IntakeControl
from detag.services.missed_uploads import MissedUploads
from detag.services.prefix_claim import PrefixClaim
from detag.services.steps import Steps

DUE_BATCH: Final = 1_000
RELEASE_BATCH: Final = 500
"""Released a minute at most: what `submit` works off in that time."""
LIST_FROM: Final = 50
"""Overdue runs from which the run list is paged instead of asking for each: a page has 500."""
MAX_PAGES: Final = 20
MAX_ASKED: Final = 200
SPARE_SECONDS: Final = 10.0
NEWEST_FAILED: Final = 10
"""Photos that failed, and that were cancelled, today: so many of each are in the report."""


class Reconcile:
    """One minute's sweep. `paused` applies unless an operator overrides it."""

    def __init__(
        self,
        *,
        run_timeout_hours: int,
        paused: bool,
        jobs: JobStore,
        uploads: Queue,
        results: Queue,
        runs: Runs,
        intake: IntakeControl,
        steps: Steps,
        budget: Budget,
        missed: MissedUploads,
        folder: PrefixClaim | None,
        batches: Batches,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._run_timeout_hours, self._paused = run_timeout_hours, paused
        self._jobs, self._uploads, self._results = jobs, uploads, results
        self._runs, self._intake, self._steps, self._budget, self._missed = runs, intake, steps, budget, missed
        self._folder, self._batches, self._clock, self._telemetry = folder, batches, clock, telemetry

    def sweep(self, deadline: float) -> dict[str, int]:
        """Look at the intake and at everything due; returns what was done, as counts.

        `deadline` is the moment on the monotonic clock at which this process is killed. Raises `Transient` where the
        job table or a queue fails: the next minute tries again.
        """
        if self._folder is not None:
            self._folder.renew(self._was_taken)
        released = self._tend_intake(deadline)
        resumed, ended, still_running = self._tend_due(deadline)
        recovered = self._missed.recover(deadline)
        self._batches.tend(deadline)
        stopped = self._folder is not None and self._folder.is_stopped()
        self._telemetry.count(Metric.GATE_HELD, float(stopped or self._jobs.intake().state == "paused"))
        return {
            "released": released,
            "resumed": resumed,
            "sent_to_deliver": ended,
            "still_running": still_running,
            "recovered": recovered,
        }

    # The intake

    def _tend_intake(self, deadline: float) -> int:
        override, before = self._jobs.override(), self._jobs.intake()
        paused = self._paused if override.paused is None else override.paused
        limit = self._budget.limit(override)
        lifted = not paused and before.state == "paused" and self._is_lifted(before, limit)
        intake = intakes.tend(before, paused=paused, lifted=lifted, now=self._clock.now())
        if intake is not before and not self._intake.save(before, intake):
            return 0
        if paused:
            return 0
        if intake.state == "paused":
            return self._probe(intake) if self._clock.now() >= intake.probe_at else 0
        return self._release_waiting(intake, limit, deadline)

    def _is_lifted(self, intake: Intake, limit: Decimal) -> bool:
        """Whether the cause is seen to be gone without a probe."""
        evidence = intakes.evidence(intake)
        left = self._budget.left(limit) if evidence is Evidence.BUDGET else 0
        has_key = evidence is Evidence.KEY and self._has_key()
        has_claim = evidence is Evidence.CLAIM and self._has_claim()
        return intakes.is_lifted(evidence, left=left, has_key=has_key, has_claim=has_claim)

    def _was_taken(self) -> bool:
        """Whether photos were told that another stack has the folder."""
        return self._jobs.intake().reason is Reason.PREFIX_TAKEN

    def _has_claim(self) -> bool:
        try:
            return self._folder is None or self._folder.look() is not None
        except Transient:
            return False

    def _has_key(self) -> bool:
        try:
            self._runs.ready()
        except (NotConfigured, Transient):
            return False
        return True

    def _probe(self, intake: Intake) -> int:
        waiting = self._jobs.waiting_for_intake(self._clock.now(), 5)
        for job_id in intakes.candidates(intake, waiting):
            job = self._read(job_id)
            if job is not None and job.may_be_released(self._clock.now()):
                if self._intake.save(intake, intakes.probe(intake, job_id, self._clock.now())):
                    return self._release([job], intake)
                return 0
        after = intakes.without_probe(intake, waiting=bool(waiting))
        if after is not intake:
            self._intake.save(intake, after)
        return 0

    def _release_waiting(self, intake: Intake, limit: Decimal, deadline: float) -> int:
        """Release the oldest, as many as today's limit leaves; pause intake again where it leaves none."""
        waiting = self._jobs.waiting_for_intake(self._clock.now(), RELEASE_BATCH)
        left = self._budget.left(limit) if waiting else 0
        after = intakes.while_draining(intake, waiting=bool(waiting), left=left, now=self._clock.now())
        if after is not intake:
            self._intake.save(intake, after)
            return 0
        jobs = (self._read(job_id) for job_id in waiting[:left] if self._clock.monotonic() < deadline - SPARE_SECONDS)
        return self._release((job for job in jobs if job is not None and job.waits_for_intake), intake)

    def _release(self, jobs: Iterable[Job], intake: Intake) -> int:
        released = [{"job_id": job.job_id} for job in jobs if self._take(job, let_go(intake, now=self._clock.now()))]
        self._uploads.send(released)
        return len(released)

    # What is due

    def _tend_due(self, deadline: float) -> tuple[int, int, int]:
        now = self._clock.now()
        overdue: list[Job] = []
        resumed: list[dict[str, Any]] = []
        publishing: list[dict[str, Any]] = []
        for job_id in self._jobs.due(now, DUE_BATCH):
            if self._clock.monotonic() > deadline - 2 * SPARE_SECONDS:
                break
            job = self._read(job_id)
            if job is None:
                continue
            match when_due(job, now=now):
                case Next():
                    overdue.append(job)
                case Idle(why):
                    self._telemetry.info(why, job_id=job.job_id)
                case Step() as step if self._take(job, step):
                    if step.decision == SENT_TO_DELIVER:
                        publishing += [{"job_id": job.job_id, "run_id": run_id} for run_id in runs_to_look_at(job)]
                    else:
                        resumed.append({"job_id": job.job_id})
        self._uploads.send(resumed)
        ended, still_running = self._ask(overdue, deadline)
        self._results.send(publishing + ended)
        return len(resumed), len(publishing) + len(ended), still_running

    def _ask(self, overdue: list[Job], deadline: float) -> tuple[list[dict[str, Any]], int]:
        """Ask Runflow about overdue runs: those that need `deliver` become messages, the others are polled later."""
        ended: list[dict[str, Any]] = []
        still_running = 0
        try:
            for job, step in self._polls(overdue, deadline):
                if not self._take(job, step):
                    continue
                if step.decision == SENT_TO_DELIVER:
                    ended.append({"job_id": job.job_id, "run_id": job.run_id})
                else:
                    still_running += 1
        except Transient as error:
            self._telemetry.warning("overdue runs could not be saved", error=str(error))
        return ended, still_running

    def _polls(self, overdue: list[Job], deadline: float) -> Iterator[tuple[Job, Step]]:
        """What is done about each overdue run, which is asked for unless the run list showed it.

        One that cannot be read is put off as well: the others come first the next time. What is not asked for in an
        outage, or for want of time, stays due, and comes first then.
        """
        listed = self._listed(overdue, deadline) if len(overdue) >= LIST_FROM else {}
        asked = failures = 0
        for job in overdue:
            if failures == DOWN_AFTER or self._clock.monotonic() > deadline - SPARE_SECONDS:
                return
            run = listed.get(job.run_id or "")
            if run is None:
                if asked == MAX_ASKED:
                    continue
                asked += 1
            try:
                step, failures = self._polled(job, run), 0
            except (Transient, Unauthorized, NotConfigured) as error:
                step, failures = after_poll_without_answer(job, str(error), now=self._clock.now()), failures + 1
            yield job, step

    def _polled(self, job: Job, run: Run | None) -> Step:
        try:
            run = run or self._runs.get(job.run_id or "", account=job.account)
        except OtherAccount:
            return after_foreign_poll(now=self._clock.now())
        return after_poll(job, run, now=self._clock.now(), run_timeout_hours=self._run_timeout_hours)

    def _listed(self, overdue: list[Job], deadline: float) -> dict[str, Run]:
        """What the run list shows of overdue runs. It saves calls and is not needed: the key need not have the right to
        read it, and what it does not show is asked for by id.
        """
        wanted = {job.run_id for job in overdue}
        found: dict[str, Run] = {}
        cursor = None
        try:
            for _ in range(MAX_PAGES):
                page = self._runs.page(cursor)
                told = (run for run in page.runs if run.status is not RunStatus.UNKNOWN)
                found |= {run.run_id: run for run in told if run.run_id in wanted}
                cursor, late = page.next, self._clock.monotonic() > deadline - 2 * SPARE_SECONDS
                if cursor is None or len(found) == len(wanted) or late:
                    break
        except (Transient, Unauthorized, NotConfigured) as error:
            self._telemetry.warning("run list could not be read", error=str(error))
        return found

    def _take(self, job: Job, step: Step) -> bool:
        """Take a step; False where another worker has moved the job, which then needs nothing more of this minute."""
        try:
            self._steps.take(job, step)
        except Conflict:
            self._telemetry.info("job saved by another worker", job_id=job.job_id)
            return False
        return True

    def _read(self, job_id: str) -> Job | None:
        """A job. One that cannot be read is set aside, and its message goes to `submit`, which cannot read it either:
        so it ends in the dead-letter queue, whose alarm tells a person, and can be sent on once it is repaired.
        """
        try:
            return self._jobs.get(job_id)
        except Unreadable as error:
            self._telemetry.count(Metric.UNREADABLE_ITEM)
            self._telemetry.warning("job item cannot be read, set aside", job_id=job_id, error=str(error))
        now = self._clock.now()
        self._jobs.set_aside(job_id, now, now + waits.SET_ASIDE.seconds)
        self._uploads.send([{"job_id": job_id}])
        return None

    # The report

    def report(self) -> dict[str, Any]:
        """The status report, for a person: jobs by state, intake and why, what failed and why, and today's spend."""
        day = day_of(self._clock.now())
        counts, intake, override = self._jobs.counts(day), self._jobs.intake(), self._jobs.override()
        spent, limit = self._jobs.spent(day), self._budget.limit(override)
        waiting = {name.partition("/")[2]: count for name, count in counts.open.items() if name.startswith("waiting/")}
        return {
            "open": dict(counts.open),
            "closed_today": dict(counts.closed),
            "intake": {
                "state": intake.state,
                "why": intake.reason.value if intake.reason else None,
                "means": intake.reason.means if intake.reason else None,
                "what_to_do": intake.reason.do if intake.reason else None,
                "waiting": waiting,
            },
            "failed_today": self._failed(day),
            "scan_for_missed_uploads": self._scan(),
            "folder": self._folder.state() if self._folder is not None else {"state": "the bucket is the stack's own"},
            "spend_today": {
                "day": day,
                "usd": str(spent or 0),
                "limit_usd": "none" if limit == NO_LIMIT else str(limit),
                "reused": (reused := self._jobs.reused(day)),
                "not_spent_usd": str(self._budget.price_of(reused)),
            },
        }

    def _readable(self, job_id: str) -> Job | None:
        try:
            return self._jobs.get(job_id)
        except Unreadable:
            return None

    def _failed(self, day: str) -> list[dict[str, Any]]:
        """The newest failures of a day: which photo, and what was decided about it last, and why."""
        closed = [
            job_id
            for state in (State.FAILED, State.CANCELLED)
            for job_id in self._jobs.closed(state, day, NEWEST_FAILED)
        ]
        jobs = (self._readable(job_id) for job_id in closed)
        return [
            {
                "key": readable(job.upload.key),
                "job_id": job.job_id,
                "state": job.state,
                "reason": job.reason,
                "detail": advised(job, job.detail),
                "decision": job.decision,
                "means": job.reason.means if job.reason else None,
                "what_to_do": advised(job, job.reason.do if job.reason else None),
            }
            for job in jobs
            if job is not None and job.state in (State.FAILED, State.CANCELLED)
        ]

    def _scan(self) -> dict[str, Any]:
        """How far the search for uploads without an event is."""
        try:
            scan = self._missed.state()
        except Unreadable:
            return {"state": "unreadable, starts over"}
        if scan is None:
            return {"state": "not begun"}
        if scan.too_large:
            return {"state": f"off: the input bucket holds more than {MAX_OBJECTS} objects, or {MAX_LISTED} versions"}
        completed = datetime.fromtimestamp(scan.completed_at, UTC).isoformat(timespec="minutes")
        return {"state": "on", "completed_at": completed if scan.completed_at else None}
