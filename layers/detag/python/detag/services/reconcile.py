"""`reconcile`: every minute, the road for whatever no message leads on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from detag.domain import gate as gates
from detag.domain.backoff import backoff
from detag.domain.gate import Gate
from detag.domain.job import Job, Reason, State, owe, release, touch, watch
from detag.domain.money import NO_LIMIT, day_of, used_slots
from detag.domain.reasons import ADVICE
from detag.domain.runs import Run
from detag.ports.clock import Clock
from detag.ports.errors import Conflict, Transient
from detag.ports.jobs import JobStore
from detag.ports.queue import Queue
from detag.ports.runs import NotConfigured, Runs, Unauthorized
from detag.ports.telemetry import Telemetry
from detag.services.purse import Purse
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
        purse: Purse,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._settings, self._jobs, self._uploads, self._results = settings, jobs, uploads, results
        self._runs, self._purse, self._clock, self._telemetry = runs, purse, clock, telemetry

    def sweep(self, deadline: float) -> dict[str, int]:
        """Look at the gate and at everything due; returns what was done, as counts.

        `deadline` is the moment on the monotonic clock at which this process is killed. Raises `Transient` where the
        job table or a queue fails: the next minute tries again.
        """
        released = self._tend_gate(deadline)
        resumed, ended, watched = self._tend_due(deadline)
        gate = self._jobs.gate()
        self._telemetry.count("GateHeld", float(gate.reason is not None and not gate.draining))
        return {"released": released, "resumed": resumed, "sent_to_deliver": ended, "still_running": watched}

    # The gate

    def _tend_gate(self, deadline: float) -> int:
        override, before = self._jobs.override(), self._jobs.gate()
        paused = self._settings.paused if override.paused is None else override.paused
        gate, now = before, self._clock.now()
        limit = self._purse.limit(override)
        if paused:
            gate = gate if gate.reason is Reason.PAUSED and not gate.draining else gates.close(gate, Reason.PAUSED, now)
        elif gate.reason is not None and not gate.draining and self._is_lifted(gate, limit):
            gate = gates.drain(gate)
        if gate is not before and not self._save_gate(before, gate):
            return 0
        if paused:
            return 0
        if gate.reason is not None and not gate.draining:
            return self._probe(gate) if now >= gate.probe_at else 0
        return self._release_line(gate, limit, deadline)

    def _is_lifted(self, gate: Gate, limit: int) -> bool:
        """Whether the cause is seen to be gone without a probe."""
        if gate.reason is Reason.PAUSED:
            return True
        if gate.reason is Reason.SPEND_LIMIT:
            return self._purse.room(limit) > 0
        if gate.reason is Reason.NOT_CONFIGURED:
            try:
                self._runs.ready()
            except (NotConfigured, Transient):
                return False
            return True
        return False

    def _probe(self, gate: Gate) -> int:
        line = self._jobs.held(5)
        for job_id in line:
            job = self._jobs.get(job_id)
            if job is not None and job.held:
                if self._save_gate(gate, gates.probe(gate, job_id, self._clock.now())):
                    return self._release([job])
                return 0
        if not line:  # else the index is stale: others may wait behind these
            self._save_gate(gate, gates.reopen(gate))  # nobody waits: the next photo is the probe
        return 0

    def _release_line(self, gate: Gate, limit: int, deadline: float) -> int:
        """Release the oldest, as many as today's limit has room for; close the gate again where it has none."""
        waiting = self._jobs.held(RELEASE_BATCH)
        if not waiting:
            if gate.reason is not None:
                self._save_gate(gate, gates.reopen(gate))
            return 0
        room = self._purse.room(limit)
        if room <= 0:
            self._save_gate(gate, gates.close(gate, Reason.SPEND_LIMIT, self._clock.now()))
            return 0
        jobs = (
            self._jobs.get(job_id) for job_id in waiting[:room] if self._clock.monotonic() < deadline - SPARE_SECONDS
        )
        return self._release(job for job in jobs if job is not None and job.held)

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

    def _save_gate(self, before: Gate, after: Gate) -> bool:
        try:
            self._jobs.save_gate(before, after)
        except Conflict:
            return False
        self._telemetry.warn("gate", reason=after.reason, draining=after.draining)
        return True

    # What is due

    def _tend_due(self, deadline: float) -> tuple[int, int, int]:
        now = self._clock.now()
        overdue: list[Job] = []
        resumed: list[dict[str, Any]] = []
        owing: list[dict[str, Any]] = []
        for job_id in self._jobs.due(now, DUE_BATCH):
            if self._clock.monotonic() > deadline - 2 * SPARE_SECONDS:
                break
            job = self._jobs.get(job_id)
            if job is None or job.due_at is None or job.due_at > now or job.held:
                continue  # the index was stale
            if job.state is State.SUBMITTED:
                overdue.append(job)
            elif job.state.terminal:
                if self._save(job, owe(job, job.owed, now + REDELIVER_SECONDS)):
                    owing.append({"job_id": job.job_id, "run_id": job.run_id})
            elif self._save(job, touch(job, now + REDUE_SECONDS)):
                resumed.append({"job_id": job.job_id})
        self._uploads.send(resumed)
        ended, watched = self._ask(overdue, deadline)
        self._results.send(owing + ended)
        return len(resumed), len(owing) + len(ended), watched

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
                    if self._save(job, touch(job, now + REDELIVER_SECONDS)):
                        ended.append({"job_id": job.job_id, "run_id": job.run_id})
                elif self._save(
                    job, watch(job, now + backoff(job.tries, lambda low, high: high, base=60.0, cap=1_800.0))
                ):
                    watched += 1
        except (Transient, Unauthorized, NotConfigured) as error:
            self._telemetry.warn("Runflow can't be asked: overdue runs wait for the next minute", error=str(error))
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
        counts, gate, override = self._jobs.counts(day), self._jobs.gate(), self._jobs.override()
        ledger = self._jobs.ledger(day)
        used, limit = used_slots(ledger) if ledger else 0, self._purse.limit(override)
        held = {name.partition("/")[2]: count for name, count in counts.open.items() if name.startswith("waiting/")}
        return {
            "open": dict(counts.open),
            "closed_today": dict(counts.closed),
            "intake": {
                "held": gate.reason is not None,
                "why": gate.reason.value if gate.reason else None,
                "means": ADVICE[gate.reason].means if gate.reason else None,
                "what_to_do": ADVICE[gate.reason].do if gate.reason else None,
                "waiting": held,
            },
            "spend_today": {
                "day": day,
                "images": used,
                "usd": str(used * self._purse.price),
                "limit_usd": "none" if limit == NO_LIMIT else str(limit * self._purse.price),
            },
        }
