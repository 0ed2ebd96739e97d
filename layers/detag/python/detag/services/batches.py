"""Tells when a batch of photos is finished: once a minute, by `reconcile`."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from detag.domain.batches import (
    ENDS,
    MOST_COUNTED,
    Batch,
    Uncounted,
    after_batch,
    begin,
    count,
    event_of,
    goes_on,
    is_idle,
    is_told,
    is_worth_saving,
    span,
    waiting_for_a_person,
    waiting_of,
)
from detag.domain.job import Job
from detag.domain.money import day_of
from detag.ports.clock import Clock
from detag.ports.errors import Conflict, Transient, Unreadable
from detag.ports.events import Events
from detag.ports.jobs import JobStore
from detag.ports.telemetry import Telemetry
from detag.services.outbox import SCHEMA

FINISHED: Final = "Batch Finished"
NEEDED_SECONDS: Final = 15.0
"""Left before the deadline when ends are counted: so many jobs are read one by one."""


class Batches:
    """Counts what has ended, and publishes the event at least once: before the batch is forgotten."""

    def __init__(self, *, jobs: JobStore, events: Events, clock: Clock, telemetry: Telemetry) -> None:
        self._jobs, self._events, self._clock, self._telemetry = jobs, events, clock, telemetry

    def tend(self, deadline: float) -> None:
        """Count what has ended since the last minute; publish a batch that is over. `deadline` on the monotonic clock.

        A failure is logged: the next minute tries again.
        """
        if self._clock.monotonic() > deadline - NEEDED_SECONDS:
            return
        try:
            self._tend()
        except (Transient, Conflict) as error:
            self._telemetry.warning("the batch could not be counted", error=str(error))

    def _tend(self) -> None:
        now = self._clock.now()
        try:
            before = self._jobs.batch()
        except Unreadable:
            self._jobs.save_batch(None, begin(now))
            return
        if before is None:
            self._jobs.save_batch(None, begin(now))
            return
        found = self._uncounted(before, now)
        after = count(before, found, moving=self._goes_on(before, found), now=now)
        if is_idle(after):
            waiting = waiting_of(self._jobs.counts(day_of(now)).open)
            if is_told(after, waiting):
                self._events.publish(FINISHED, {"schema": SCHEMA} | event_of(after, waiting))
                self._telemetry.info("batch finished", photos=after.photos, usd=format(after.usd, "f"))
            after = after_batch(after, waiting)
        if is_worth_saving(before, after) or after.active_at != before.active_at:
            self._jobs.save_batch(before, replace(after, version=before.version + 1))

    def _goes_on(self, batch: Batch, found: Uncounted) -> bool:
        """Asked only where there is a batch that it could keep from being finished."""
        if not batch.ends and not found.jobs:
            return False
        intake = self._jobs.intake()  # first: a probe that the index still shows is then known for one
        is_open = self._jobs.is_any_open(besides=intake.probe_job, waiting_for=waiting_for_a_person(intake))
        return goes_on(intake, is_open=is_open)

    def _uncounted(self, batch: Batch, now: float) -> Uncounted:
        until, days = span(batch, now)
        ended = sorted(
            one
            for state in ENDS
            for day in days
            for one in self._jobs.closed_between(state, day, batch.counted_to, until, MOST_COUNTED + 1)
        )
        whole = len(ended) <= MOST_COUNTED
        if not whole:
            until = ended[MOST_COUNTED - 1][0]
        jobs = (self._readable(job_id) for at, job_id in ended if at <= until)
        return Uncounted([job for job in jobs if job is not None], until, whole)

    def _readable(self, job_id: str) -> Job | None:
        """A closed job; None where it cannot be read, has expired, or is about to be counted under a later end."""
        try:
            job = self._jobs.get(job_id)
        except Unreadable:
            return None
        return job if job is not None and job.state.terminal else None
