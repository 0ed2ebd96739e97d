"""`reconcile`: every minute, the road for whatever no message leads on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from detag.domain import intake as intakes
from detag.domain.backoff import backoff
from detag.domain.intake import Intake
from detag.domain.job import Job, Reason, State, extend_due, keep_pending, poll_later, release
from detag.domain.money import NO_LIMIT, day_of, used_images
from detag.domain.reasons import ADVICE
from detag.domain.runs import Run
from detag.ports.clock import Clock
from detag.ports.errors import Conflict, Transient
from detag.ports.jobs import JobStore
from detag.ports.queue import Queue
from detag.ports.runs import NotConfigured, Runs, Unauthorized
from detag.ports.telemetry import Telemetry
from detag.services.budget import Budget
from detag.settings import ReconcileSettings

DUE_BATCH: Final = 1_000
RELEASE_BATCH: Final = 500
"""Released a minute at most: what `submit` works off in that time."""
REDUE_SECONDS: Final = 300.0
"""When a job whose message was sent comes due again: later than a message of the upload queue is invisible (180 s)."""
REDELIVER_SECONDS: Final = 900.0
"""The same for the result queue (720 s)."""
LIST_FROM: Final = 50
"""Overdue runs from which the run list is paged instead of asking for each: a page tells of 500."""
MAX_PAGES: Final = 20
MAX_ASKED: Final = 200
SPARE_SECONDS: Final = 10.0


class Reconcile:
    """One minute's round."""

    def __init__(
        self,
        settings: ReconcileSettings,
        jobs: JobStore,
        uploads: Queue,
        results: Queue,
        runs: Runs,
        budget: Budget,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._settings, self._jobs, self._uploads, self._results = settings, jobs, uploads, results
        self._runs, self._budget, self._clock, self._telemetry = runs, budget, clock, telemetry

    def sweep(self, deadline: float) -> dict[str, int]:
        """Look at the intake and at everything due; returns what was done, as counts.

        `deadline` is the moment on the monotonic clock at which this process is killed. Raises `Transient` where the
        job table or a queue fails: the next minute tries again.
        """
        released = self._tend_intake(deadline)
        resumed, ended, watched = self._tend_due(deadline)
        intake = self._jobs.intake()
        self._telemetry.count("GateHeld", float(intake.reason is not None and not intake.draining))
        return {"released": released, "resumed": resumed, "sent_to_deliver": ended, "still_running": watched}

    # The intake

    def _tend_intake(self, deadline: float) -> int:
        override, before = self._jobs.override(), self._jobs.intake()
        paused = self._settings.paused if override.paused is None else override.paused
        intake, now = before, self._clock.now()
        limit = self._budget.limit(override)
        if paused:
            intake = (
                intake
                if intake.reason is Reason.PAUSED and not intake.draining
                else intakes.pause(intake, Reason.PAUSED, now)
            )
        elif intake.reason is not None and not intake.draining and self._is_lifted(intake, limit):
            intake = intakes.drain(intake)
        if intake is not before and not self._save_intake(before, intake):
            return 0
        if paused:
            return 0
        if intake.reason is not None and not intake.draining:
            return self._probe(intake) if now >= intake.probe_at else 0
        return self._release_line(intake, limit, deadline)

    def _is_lifted(self, intake: Intake, limit: int) -> bool:
        """Whether the cause is seen to be gone without a probe."""
        if intake.reason is Reason.PAUSED:
            return True
        if intake.reason is Reason.SPEND_LIMIT:
            return self._budget.room(limit) > 0
        if intake.reason is Reason.NOT_CONFIGURED:
            try:
                self._runs.ready()
            except (NotConfigured, Transient):
                return False
            return True
        return False

    def _probe(self, intake: Intake) -> int:
        line = self._jobs.waiting_for_intake(5)
        for job_id in line:
            job = self._jobs.get(job_id)
            if job is not None and job.waits_for_intake:
                if self._save_intake(intake, intakes.probe(intake, job_id, self._clock.now())):
                    return self._release([job])
                return 0
        if not line:  # else the index is stale: others may wait behind these
            self._save_intake(intake, intakes.reopen(intake))  # nobody waits: the next photo is the probe
        return 0

    def _release_line(self, intake: Intake, limit: int, deadline: float) -> int:
        """Release the oldest, as many as today's limit has room for; close the intake again where it has none."""
        waiting = self._jobs.waiting_for_intake(RELEASE_BATCH)
        if not waiting:
            if intake.reason is not None:
                self._save_intake(intake, intakes.reopen(intake))
            return 0
        room = self._budget.room(limit)
        if room <= 0:
            self._save_intake(intake, intakes.pause(intake, Reason.SPEND_LIMIT, self._clock.now()))
            return 0
        jobs = (
            self._jobs.get(job_id) for job_id in waiting[:room] if self._clock.monotonic() < deadline - SPARE_SECONDS
        )
        return self._release(job for job in jobs if job is not None and job.waits_for_intake)

    def _release(self, jobs: Iterable[Job]) -> int:
        released = []
        for job in jobs:
            now = self._clock.now()
            try:
                self._jobs.save(job, release(job, now, now + REDUE_SECONDS))
            except Conflict:
                continue
            released.append({"job_id": job.job_id})
        self._uploads.send(released)
        return len(released)

    def _save_intake(self, before: Intake, after: Intake) -> bool:
        try:
            self._jobs.save_intake(before, after)
        except Conflict:
            return False
        self._telemetry.warning("intake", reason=after.reason, draining=after.draining)
        return True

    # What is due

    def _tend_due(self, deadline: float) -> tuple[int, int, int]:
        now = self._clock.now()
        overdue: list[Job] = []
        resumed: list[dict[str, Any]] = []
        publishing: list[dict[str, Any]] = []
        for job_id in self._jobs.due(now, DUE_BATCH):
            if self._clock.monotonic() > deadline - 2 * SPARE_SECONDS:
                break
            job = self._jobs.get(job_id)
            if job is None or job.due_at is None or job.due_at > now or job.waits_for_intake:
                continue  # the index was stale
            if job.state is State.SUBMITTED:
                overdue.append(job)
            elif job.state.terminal:
                if self._save(job, keep_pending(job, job.pending, now + REDELIVER_SECONDS)):
                    publishing.append({"job_id": job.job_id, "run_id": job.run_id})
            elif self._save(job, extend_due(job, now + REDUE_SECONDS)):
                resumed.append({"job_id": job.job_id})
        self._uploads.send(resumed)
        ended, watched = self._ask(overdue, deadline)
        self._results.send(publishing + ended)
        return len(resumed), len(publishing) + len(ended), watched

    def _ask(self, overdue: list[Job], deadline: float) -> tuple[list[dict[str, Any]], int]:
        """Ask Runflow about overdue runs: those that need `deliver` become messages, the others are watched on."""
        ended: list[dict[str, Any]] = []
        watched = 0
        try:
            listed = self._listed(overdue, deadline) if len(overdue) >= LIST_FROM else {}
            asked = 0
            for job in overdue:
                if self._clock.monotonic() > deadline - SPARE_SECONDS:
                    break
                run = listed.get(job.run_id or "")
                if run is None:
                    if asked == MAX_ASKED:
                        continue
                    asked += 1
                    run = self._runs.get(job.run_id or "")
                now = self._clock.now()
                if run is None or run.status.terminal or self._is_late(job, now):
                    if self._save(job, extend_due(job, now + REDELIVER_SECONDS)):
                        ended.append({"job_id": job.job_id, "run_id": job.run_id})
                elif self._save(
                    job, poll_later(job, now + backoff(job.tries, lambda low, high: high, base=60.0, cap=1_800.0))
                ):
                    watched += 1
        except (Transient, Unauthorized, NotConfigured) as error:
            self._telemetry.warning("Runflow can't be asked: overdue runs wait for the next minute", error=str(error))
        return ended, watched

    def _is_late(self, job: Job, now: float) -> bool:
        return now - job.submitted_at > self._settings.run_timeout_hours * 3600.0

    def _listed(self, overdue: list[Job], deadline: float) -> dict[str, Run]:
        wanted = {job.run_id for job in overdue}
        found: dict[str, Run] = {}
        cursor = None
        for _ in range(MAX_PAGES):
            page = self._runs.page(cursor)
            found |= {run.run_id: run for run in page.runs if run.run_id in wanted}
            cursor = page.next
            if cursor is None or len(found) == len(wanted) or self._clock.monotonic() > deadline - 2 * SPARE_SECONDS:
                break
        return found

    def _save(self, before: Job, after: Job) -> bool:
        try:
            self._jobs.save(before, after)
        except Conflict:
            return False
        return True

    # The report

    def report(self) -> dict[str, Any]:
        """How things stand, for a person: jobs by state, what is held and why, and today's spend."""
        now = self._clock.now()
        day = day_of(now)
        counts, intake, override = self._jobs.counts(day), self._jobs.intake(), self._jobs.override()
        ledger = self._jobs.day_budget(day)
        used, limit = used_images(ledger) if ledger else 0, self._budget.limit(override)
        held = {name.partition("/")[2]: count for name, count in counts.open.items() if name.startswith("waiting/")}
        return {
            "open": dict(counts.open),
            "closed_today": dict(counts.closed),
            "intake": {
                "held": intake.reason is not None,
                "why": intake.reason.value if intake.reason else None,
                "means": ADVICE[intake.reason].means if intake.reason else None,
                "what_to_do": ADVICE[intake.reason].do if intake.reason else None,
                "waiting": held,
            },
            "spend_today": {
                "day": day,
                "images": used,
                "usd": str(used * self._budget.price),
                "limit_usd": "none" if limit == NO_LIMIT else str(limit * self._budget.price),
            },
        }
