"""What Runflow's answer to the POST that creates a run means for the budget."""

from __future__ import annotations

from detag.domain.values import dataclass


@dataclass(frozen=True, slots=True)
class Accepted:
    """The run was made."""

    run_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """No run was made (contract section 6)."""

    status: int
    code: str | None = None
    message: str | None = None
    retry_after: float | None = None
    """Seconds that Runflow asks for, where it does."""


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A run may or may not have been made: 5xx, 408, 409, no answer, an answer without an id."""

    why: str
    down: bool = True
    """Whether it points to an outage: a 409 does not."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing was sent."""

    why: str


Outcome = Accepted | Refused | Ambiguous
