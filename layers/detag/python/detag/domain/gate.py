"""The gate: the one mechanism for "not now".

One control item holds the whole intake. While it is closed, new photos wait in line; one probe at a time tests
whether the cause is gone; once it is, the gate drains: the line goes first, oldest first, and new photos join its end
until it is empty.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from detag.domain.job import GATE_REASONS, Job, Reason
from detag.domain.money import next_day

PROBE_SECONDS: Final = 60.0
MAX_PROBE_SECONDS: Final = 900.0
PROBE_LEASE_SECONDS: Final = 240.0
"""How long one photo may take to answer: longer than a message stays invisible (180 s)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The control item, as detag keeps it. `rev` 0 has no item yet."""

    reason: Reason | None = None
    since: float = 0.0
    draining: bool = False
    probe_at: float = 0.0
    """When the next probe is let through."""
    probes: int = 0
    probe_job: str | None = None
    rev: int = 0

    def lets_through(self, job: Job) -> bool:
        """Whether the job may be sent now: anything while open, released jobs while draining, the probe while
        closed.
        """
        if self.reason is None or job.job_id == self.probe_job:
            return True
        return self.draining and job.rev > 0 and not job.held and job.reason is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What an operator wrote over the parameters, on an item of its own. None leaves the parameter as it is."""

    paused: bool | None = None
    limit_usd: str | None = None
    """A decimal, or "none"."""


def close(gate: Gate, reason: Reason, now: float) -> Gate:
    """The gate after a refusal or a failed probe: closed, its next probe later each time. Raises ValueError for
    another reason.
    """
    if reason not in GATE_REASONS:
        raise ValueError(f"{reason} closes no gate")
    again = gate.reason is reason and not gate.draining
    probes = gate.probes if again else 0
    wait = min(MAX_PROBE_SECONDS, PROBE_SECONDS * 2**probes)
    return Gate(
        reason=reason,
        since=gate.since if again else now,
        probe_at=next_day(now) if reason is Reason.SPEND_LIMIT else now + wait,
        probes=probes,
        rev=gate.rev + 1,
    )


def probe(gate: Gate, job_id: str, now: float) -> Gate:
    """Let one job through, and no other before this one had its time."""
    return replace(gate, probe_job=job_id, probes=gate.probes + 1, probe_at=now + PROBE_LEASE_SECONDS, rev=gate.rev + 1)


def inconclusive(gate: Gate, now: float) -> Gate:
    """The probe ended without an answer to its question: another may be let through at once."""
    return replace(gate, probe_job=None, probe_at=now, rev=gate.rev + 1)


def drain(gate: Gate) -> Gate:
    """The cause is gone: release the line."""
    return replace(gate, draining=True, probe_job=None, rev=gate.rev + 1)


def reopen(gate: Gate) -> Gate:
    """Nobody waits any more."""
    return Gate(rev=gate.rev + 1)
