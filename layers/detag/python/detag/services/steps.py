"""Carries out what was decided about a job, always in one order."""

from __future__ import annotations

from dataclasses import replace

from detag.domain.decisions import Step
from detag.domain.job import Job
from detag.domain.naming import readable
from detag.ports.jobs import JobStore
from detag.ports.telemetry import Telemetry
from detag.services.intake import IntakeControl
from detag.services.outbox import Outbox


class Steps:
    """For every service that decides."""

    def __init__(self, *, jobs: JobStore, outbox: Outbox, intake: IntakeControl, telemetry: Telemetry) -> None:
        self._jobs, self._outbox, self._intake, self._telemetry = jobs, outbox, intake, telemetry

    def take(self, job: Job, step: Step, *, probe: bool = False) -> Job:
        """Count and log the decision, pause intake, save or close the job, let intake go on; returns the saved job.

        Intake is paused before the job is saved, so that no other photo is sent meanwhile, and goes on after it: a
        worker that dies in between leaves a job that comes due. `probe`: this job tests a paused intake. Raises
        `Conflict` where the job is not as it was read, or `Transient`.
        """
        after = made(job, step)
        if step.metric is not None:
            self._telemetry.count(step.metric)
        log_step(self._telemetry, after, step)
        if step.pauses is not None:
            self._intake.pause(step.pauses, probe=probe)
        if after is not job:
            after = self._save(job, after)
        self.probed(step, probe=probe)
        return after

    def probed(self, step: Step, *, probe: bool) -> None:
        """Say what a probe has shown."""
        if probe and step.probe is not None:
            self._intake.probed(step.probe)

    def _save(self, before: Job, after: Job) -> Job:
        if after.state.terminal and after.state is not before.state:
            return self._outbox.close(before, after)
        self._jobs.save(before, after)
        return after


def made(job: Job, step: Step) -> Job:
    """The job after a step, with the decision on it; the job itself where the step moves nothing."""
    return job if step.move is None else replace(step.move.of(job), decision=step.explained)


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
