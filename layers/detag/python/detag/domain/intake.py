"""The intake: the one mechanism for "not now".

One control item holds the whole intake. While it is closed, new photos wait in line; one probe at a time tests
whether the cause is gone; once it is, the intake drains: the line goes first, oldest first, and new photos join its end
until it is empty.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from detag.domain.job import Job
from detag.domain.money import next_day
from detag.domain.reasons import INTAKE_REASONS, Reason
from detag.domain.waits import PROBE, PROBE_LEASE


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """The control item, as detag keeps it. `version` 0 has no item yet."""

    reason: Reason | None = None
    since: float = 0.0
    draining: bool = False
    probe_at: float = 0.0
    """When the next probe is let through."""
    probes: int = 0
    probe_job: str | None = None
    version: int = 0

    @property
    def state(self) -> str:
        """`open`, `paused` or `draining`."""
        if self.reason is None:
            return "open"
        return "draining" if self.draining else "paused"

    def lets_through(self, job: Job) -> bool:
        """Whether the job may be sent now: anything while open, released jobs while draining, the probe while
        paused.
        """
        if self.reason is None or job.job_id == self.probe_job:
            return True
        return self.draining and job.version > 0 and not job.waits_for_intake and job.reason is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What an operator wrote over the parameters, on an item of its own. None leaves the parameter as it is."""

    paused: bool | None = None
    limit_usd: str | None = None
    """A decimal, or "none"."""


def pause(intake: Intake, reason: Reason, now: float) -> Intake:
    """The intake after a refusal or a failed probe: closed, its next probe later each time. Raises ValueError for
    another reason.
    """
    if reason not in INTAKE_REASONS:
        raise ValueError(f"{reason} closes no intake")
    again = intake.reason is reason and not intake.draining
    probes = intake.probes if again else 0
    return Intake(
        reason=reason,
        since=intake.since if again else now,
        probe_at=next_day(now) if reason is Reason.SPEND_LIMIT else now + PROBE.seconds(probes, max),
        probes=probes,
        version=intake.version + 1,
    )


def probe(intake: Intake, job_id: str, now: float) -> Intake:
    """Let one job through, and no other before this one had its time."""
    return replace(
        intake,
        probe_job=job_id,
        probes=intake.probes + 1,
        probe_at=now + PROBE_LEASE.seconds,
        version=intake.version + 1,
    )


def inconclusive(intake: Intake, now: float) -> Intake:
    """The probe ended without an answer to its question: another may be let through at once."""
    return replace(intake, probe_job=None, probe_at=now, version=intake.version + 1)


def drain(intake: Intake) -> Intake:
    """The cause is gone: release the line."""
    return replace(intake, draining=True, probe_job=None, version=intake.version + 1)


def reopen(intake: Intake) -> Intake:
    """Nobody waits any more."""
    return Intake(version=intake.version + 1)


def tend(intake: Intake, *, paused: bool, lifted: bool, now: float) -> Intake:
    """What reconcile makes of the intake: paused by an operator, draining once the cause is lifted, or as it is."""
    if paused:
        return (
            intake if intake.state == "paused" and intake.reason is Reason.PAUSED else pause(intake, Reason.PAUSED, now)
        )
    return drain(intake) if intake.state == "paused" and lifted else intake
