"""Carries out what was decided about a job: the only place where one is saved, always in one order."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from detag.domain.decisions import Step, after_publishing, end_waiting
from detag.domain.job import Illegal, Job, State
from detag.domain.metrics import Metric
from detag.domain.naming import readable
from detag.domain.reasons import Reason
from detag.ports.clock import Clock
from detag.ports.errors import Conflict, Transient, Unreadable
from detag.ports.jobs import JobStore
from detag.ports.telemetry import Telemetry
from detag.services.intake import IntakeControl
from detag.services.outbox import Outbox, is_certain


class Steps:
    """For every service that decides. `outbox` is None for one that closes no job: it publishes nothing either."""

    def __init__(
        self, *, jobs: JobStore, outbox: Outbox | None, intake: IntakeControl, clock: Clock, telemetry: Telemetry
    ) -> None:
        self._jobs, self._outbox, self._intake = jobs, outbox, intake
        self._clock, self._telemetry = clock, telemetry

    def take(self, job: Job, step: Step, *, probe: bool = False, limit: Decimal | None = None) -> Job:
        """Pause intake, publish a delivery, save the job, then log and count the decision, publish any other end, and
        let intake go on, and whoever waited for the job's picture; returns the saved job.

        A log line or a count tells of what is so: it comes after the save, and a write conflict leaves none. Two things
        come before it, because each is true whoever wins the item, and a worker that dies in between leaves a job that
        comes due: intake is paused first, so that no other photo is sent meanwhile; and a delivery is published, whose
        output is there already. Intake goes on last: the next photo follows one that is saved.

        `probe`: this job tests a paused intake. `limit`: of the day, in US dollars, where money is reserved. Raises
        `Conflict` where the job is not as it was read, `PictureTaken`, `AlreadyDelivered`, `LimitReached`,
        `DayNotOpen`, `BudgetLost`, or `Transient`.
        """
        after = made(job, step)
        woken: tuple[str, ...] = ()
        closes = after.state.terminal and after.state is not job.state
        if step.pauses is not None:
            self._intake.pause(step.pauses, probe=probe)
        if closes:
            after = self._end.prepare(after)
        if after is not job:
            woken = self._jobs.save(job, after, limit=limit, met=step.met, unless_output=step.unless_output)
        self._tell(after, step, closes=closes)
        if closes and after.pending and not is_certain(after):
            after = self.publish_pending(after)
        self.probed(step, probe=probe)
        for job_id in woken:
            self._wake(job_id)
        return after

    def _wake(self, job_id: str) -> None:
        """Let a job go on that waited for an equal photo. If this is lost, its own due time brings it back."""
        try:
            job = self._jobs.get(job_id)
            if job is not None and job.state is State.WAITING and job.reason is Reason.SAME_PICTURE:
                self.take(job, end_waiting(now=self._clock.now()))
        except (Conflict, Transient, Unreadable) as error:
            self._telemetry.info("not woken, it comes due", job_id=job_id, why=str(error))

    def publish_pending(self, job: Job) -> Job:
        """Publish what is pending for a closed job. Raises `Conflict` or `Transient`; what fails stays due."""
        left = self._end.publish(job, job.pending)
        return self.take(job, after_publishing(left, now=self._clock.now()))

    def probed(self, step: Step, *, probe: bool) -> None:
        """Say what a probe has shown."""
        if probe and step.probe is not None:
            self._intake.probed(step.probe)

    @property
    def _end(self) -> Outbox:
        if self._outbox is None:
            raise Illegal("a job would be closed by a service that publishes nothing")
        return self._outbox

    def _tell(self, after: Job, step: Step, *, closes: bool) -> None:
        log_step(self._telemetry, after, step)
        if step.metric is not None:
            self._telemetry.count(step.metric)
        if closes:
            if not after.is_delivered_before:
                self._telemetry.count(Metric(after.state.value.title()))
            self._telemetry.info(
                "job closed",
                job_id=after.job_id,
                state=after.state,
                key=readable(after.upload.key),
                reason=after.reason,
                detail=after.detail,
                decision=after.decision,
            )


def made(job: Job, step: Step) -> Job:
    """The job after a step, with the decision on it; the job itself where the step moves nothing.

    One that stays closed keeps the decision that closed it: that is what a person asks of it.
    """
    if step.move is None:
        return job
    after = step.move.of(job)
    stays_closed = job.state.terminal and after.state is job.state
    return after if stays_closed or step.keeps_decision else replace(after, decision=step.explained)


def log_step(telemetry: Telemetry, after: Job, step: Step) -> None:
    """One line for a decision: what was decided, about which photo, and why."""
    log = telemetry.warning if step.warns else telemetry.info
    log(
        step.decision,
        job_id=after.job_id,
        key=readable(after.upload.key),
        why=step.why,
        code=step.code,
        run_id=after.run_id or (after.earlier_runs or (None,))[-1],
    )
