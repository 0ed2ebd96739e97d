"""The intake: the one mechanism for "not now".

It is open, paused or draining, and one item of the job table says which. While it is paused, photos wait; one probe at
a time tests whether the cause is gone. Once it is, the intake drains: the photos that wait are released, oldest first,
and new ones join them, until none is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import Final

from detag.domain.job import Job
from detag.domain.reasons import INTAKE_REASONS, Reason
from detag.domain.values import dataclass
from detag.domain.waits import NEW_BUDGET, PROBE, PROBE_LEASE


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Whether photos are accepted now."""

    reason: Reason | None = None
    """Why the intake is paused, or was until it began to drain; None while it is open."""
    since: float = 0.0
    """When it was paused for this reason; 0 while it is open."""
    draining: bool = False
    """Whether the photos that wait are being released."""
    probe_at: float = 0.0
    """When the next probe may be sent."""
    probes: int = 0
    """How many probes were sent since the pause began; the time between them grows with it."""
    probe_job: str | None = None
    """The job that is the probe, while it has not answered."""
    version: int = 0
    """One more after each move; 0 for an intake without an item. A write replaces only the version it started from."""

    @property
    def state(self) -> str:
        """`open`, `paused` or `draining`."""
        if self.reason is None:
            return "open"
        return "draining" if self.draining else "paused"

    def lets_through(self, job: Job) -> bool:
        """Whether the job may be sent now: any job while open, released ones while draining, the probe while paused."""
        if self.reason is None or job.job_id == self.probe_job:
            return True
        return self.draining and job.version > 0 and not job.waits_for_intake and job.reason is not None


UNREADABLE: Final = Intake(reason=Reason.UNREADABLE_INTAKE, probe_at=float("inf"))
"""The intake whose item this code cannot read: paused without a probe. As it has the version of no item, nothing that
follows from it replaces the item: newer code may know what it says.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What an operator wrote to override the parameters. None leaves the parameter as it is."""

    paused: bool | None = None
    """Instead of the parameter Paused."""
    limit_usd: str | None = None
    """Instead of the parameter DailySpendLimitUsd: a decimal, or "none"."""


def admit(job: Job, intake: Intake, override: Override, *, paused: bool) -> Reason | None:
    """Why intake does not let a job through now; None where it does. `paused` by a parameter, which an operator may
    override.
    """
    if paused if override.paused is None else override.paused:
        return Reason.PAUSED
    return None if intake.lets_through(job) else intake.reason or Reason.PAUSED


def pause(intake: Intake, reason: Reason, now: float) -> Intake:
    """The intake after a refusal or a failed probe: paused, its next probe later each time.

    Raises ValueError for a reason that concerns one photo only.
    """
    if reason not in INTAKE_REASONS:
        raise ValueError(f"{reason} does not pause the intake")
    again = intake.reason is reason and not intake.draining
    probes = intake.probes if again else 0
    return Intake(
        reason=reason,
        since=intake.since if again else now,
        probe_at=NEW_BUDGET.after(now) if reason is Reason.SPEND_LIMIT else now + PROBE.seconds(probes, max),
        probes=probes,
        version=intake.version + 1,
    )


def probe(intake: Intake, job_id: str, now: float) -> Intake:
    """Send one job as a probe, and no other before this one had time to answer."""
    return replace(
        intake,
        probe_job=job_id,
        probes=intake.probes + 1,
        probe_at=now + PROBE_LEASE.seconds,
        version=intake.version + 1,
    )


def candidates(intake: Intake, waiting: Sequence[str]) -> list[str]:
    """Of jobs that wait those that may be the next probe, best first: each time another, since a refusal may speak of
    one photo, and no photo is to keep all others waiting.
    """
    first = intake.probes % max(len(waiting), 1)
    return [*waiting[first:], *waiting[:first]]


def inconclusive(intake: Intake, now: float) -> Intake:
    """The probe ended without showing whether the cause is gone: another may be sent at once."""
    return replace(intake, probe_job=None, probe_at=now, version=intake.version + 1)


def drain(intake: Intake) -> Intake:
    """The cause is gone: release the photos that wait."""
    return replace(intake, draining=True, probe_job=None, version=intake.version + 1)


def reopen(intake: Intake) -> Intake:
    """No photo waits any more."""
    return Intake(version=intake.version + 1)


def noticed(intake: Intake, reason: Reason, now: float, *, probe: bool) -> Intake:
    """The intake once a photo has met a reason to pause it: a paused one stays as it is, whatever late answers say;
    only its probe may pause it again. That Runflow asks for a pause does not tell whether the cause before is gone.
    """
    if probe and intake.state == "paused" and intake.reason is not None and reason is Reason.TOO_MANY_REQUESTS:
        reason = intake.reason
    return pause(intake, reason, now) if intake.reason is None or intake.draining or probe else intake


def without_probe(intake: Intake, *, waiting: bool) -> Intake:
    """A paused intake whose probe is due, and none was found. Nobody waits: the next photo is the probe. Somebody does,
    and the index is behind: others may wait, so that it stays as it is.
    """
    return intake if waiting else reopen(intake)


def while_draining(intake: Intake, *, waiting: bool, left: int, now: float) -> Intake:
    """An intake that is not paused: open once no photo waits, paused again where today's budget pays for no more
    images, and otherwise as it is, while photos are released. `left`: images that the budget still pays for.
    """
    if not waiting:
        return intake if intake.reason is None else reopen(intake)
    return intake if left > 0 else pause(intake, Reason.SPEND_LIMIT, now)


def tend(intake: Intake, *, paused: bool, lifted: bool, now: float) -> Intake:
    """What reconcile makes of the intake: paused by an operator, draining once the cause is lifted, or as it is."""
    if paused:
        return (
            intake if intake.state == "paused" and intake.reason is Reason.PAUSED else pause(intake, Reason.PAUSED, now)
        )
    return drain(intake) if intake.state == "paused" and lifted else intake


class Evidence(Enum):
    """What shows that the cause of a pause is gone."""

    RESUMED = "the operator's word: it is paused by hand no more"
    BUDGET = "today's budget, where it has the price of an image left"
    KEY = "the secret of the API key, where it holds one"
    CLAIM = "the stack's claim to its folder, once it has one"
    PROBE = "one photo that is sent as a probe"


def evidence(intake: Intake) -> Evidence:
    """What has to be looked at to learn whether a paused intake may go on."""
    match intake.reason:
        case Reason.PAUSED:
            return Evidence.RESUMED
        case Reason.SPEND_LIMIT:
            return Evidence.BUDGET
        case Reason.NOT_CONFIGURED:
            return Evidence.KEY
        case Reason.PREFIX_TAKEN:
            return Evidence.CLAIM
    return Evidence.PROBE


def is_lifted(shown_by: Evidence, *, left: int, has_key: bool, has_claim: bool) -> bool:
    """Whether the cause is seen to be gone without a probe. `left`: images that today's budget still pays for."""
    match shown_by:
        case Evidence.RESUMED:
            return True
        case Evidence.BUDGET:
            return left > 0
        case Evidence.KEY:
            return has_key
        case Evidence.CLAIM:
            return has_claim
    return False
