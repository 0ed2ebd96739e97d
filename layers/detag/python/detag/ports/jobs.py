"""The job table: jobs, the ledger of each day, the newest upload of each key, the intake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from detag.domain.intake import Intake, Override
from detag.domain.job import Job, Reservation, State
from detag.domain.money import DayBudget


class ShardEmpty(Exception):
    """The counter named by a reservation has too few free slots."""


class BudgetChanged(Exception):
    """The day has no ledger yet, or one with another limit: call `set_day_budget` and try again."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs stand where."""

    open: Mapping[str, int]
    """By state, and for waiting jobs by `waiting/<reason>`."""
    closed: Mapping[str, int]
    """By final state, of one UTC day."""


class JobStore(Protocol):
    """Every read of a row is consistent; only `due`, `held` and `counts` may lag. All raise `Transient`."""

    def get(self, job_id: str) -> Job | None:
        """The row of a job."""
        ...

    def save(self, before: Job, after: Job, *, limit: int | None = None) -> None:
        """Replace the row that `before` was read from by `after`; with `before.version` 0, create it.

        Money moves in the same transaction: a reservation that only `before` has is given back to counter 0 of its day,
        and one that only `after` has is taken from its counter. `limit`, in slots, is the limit of the day that a new
        reservation is held against; without it the reservation is charged whatever the limit is.

        Raises `Conflict` where the row is not as `before`, else `BudgetChanged`, else `ShardEmpty`; none of them has an
        effect.
        """
        ...

    def raise_newest_upload(self, bucket: str, key: str, sequencer: str) -> str:
        """Enter an upload's sequencer, in the form that compares as text (`sequencer_rank`), as the newest of its key;
        returns the newest, which may be another's.
        """
        ...

    def day_budget(self, day: str) -> DayBudget | None:
        """The counters of a day, or None before its first reservation."""
        ...

    def set_day_budget(self, day: str, limit: int) -> None:
        """Make the day's ledger, or change its limit with what is used kept, in one transaction. Does nothing if it
        is so already. Raises `Conflict` where another did the same at the same time.
        """
        ...

    def charge(self, run_id: str, reservation: Reservation) -> bool:
        """Charge a run that no job covers, whatever the limit; False if that run was charged before. Raises
        `BudgetChanged` where the day has no ledger.
        """
        ...

    def intake(self) -> Intake:
        """The control item; an open intake where there is none."""
        ...

    def save_intake(self, before: Intake, after: Intake) -> None:
        """Replace the control item. Raises `Conflict` where it is not as `before`."""
        ...

    def override(self) -> Override:
        """What an operator wrote over the parameters."""
        ...

    def due(self, now: float, limit: int) -> list[str]:
        """Job ids that were due at `now`, about the oldest first. May be stale: read the rows."""
        ...

    def waiting_for_intake(self, limit: int) -> list[str]:
        """Job ids that the intake holds, oldest upload first. May be stale: read the rows."""
        ...

    def closed(self, state: State, day: str, limit: int) -> list[str]:
        """Job ids that were closed in a state on a UTC day, newest first. May be stale: read the items."""
        ...

    def counts(self, day: str) -> Counts:
        """Open jobs by state and reason, and the jobs that were closed on a UTC day."""
        ...
