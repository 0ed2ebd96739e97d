"""The job table: jobs, the budget of each day, the newest upload of each key, the intake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from detag.domain.intake import Intake, Override
from detag.domain.job import Job, Reservation, State
from detag.domain.missed_uploads import Scan
from detag.domain.money import DayBudget


class ShardEmpty(Exception):
    """The shard that a reservation names has too few free images."""


class BudgetChanged(Exception):
    """The day has no budget yet, or one with another limit: call `set_day_budget` and try again."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs are in each state."""

    open: Mapping[str, int]
    """By state; waiting jobs by `waiting/<reason>`."""
    closed: Mapping[str, int]
    """By final state, of one UTC day."""


class JobStore(Protocol):
    """Every read of an item is consistent; `due`, `waiting_for_intake` and `counts` may lag. All raise `Transient`."""

    def get(self, job_id: str) -> Job | None:
        """A job; None where it has no item, or its item has expired."""
        ...

    def save(self, before: Job, after: Job, *, limit: int | None = None) -> None:
        """Replace the item that `before` was read from by `after`; with `before.version` 0, create it.

        Money moves in the same transaction: a reservation that only `before` has is returned to shard 0 of its day, and
        one that only `after` has is taken from its shard. `limit`, in images, is the day's limit, which a new
        reservation must fit; without it the reservation is charged whatever the limit is.

        Raises `Conflict` where the item is not as `before`, else `BudgetChanged`, else `ShardEmpty`, each without
        any effect.
        """
        ...

    def raise_newest_upload(self, bucket: str, key: str, sequencer: str) -> str:
        """Record an upload's sequencer, in the form that compares as text (`sequencer_rank`), as the newest of its key,
        unless a newer one is known. Returns the newest.
        """
        ...

    def newest_upload(self, bucket: str, key: str) -> str:
        """The newest sequencer known of a key, in the form that compares as text; empty where none is."""
        ...

    def day_budget(self, day: str) -> DayBudget | None:
        """The budget of a day, or None before its first reservation."""
        ...

    def set_day_budget(self, day: str, limit: int) -> None:
        """Create the day's budget, or change its limit and keep what is used, in one transaction. Does nothing where
        the limit is the same already. Raises `Conflict` where another worker set another limit at the same time.
        """
        ...

    def charge(self, run_id: str, reservation: Reservation) -> bool:
        """Charge an unmatched run, whatever the limit; False if that run was charged before. Raises `BudgetChanged`
        where the day has no budget.
        """
        ...

    def intake(self) -> Intake:
        """The intake; an open one where it has no item."""
        ...

    def save_intake(self, before: Intake, after: Intake) -> None:
        """Replace the intake's item. Raises `Conflict` where it is not as `before`."""
        ...

    def override(self) -> Override:
        """What an operator wrote to override the parameters."""
        ...

    def due(self, now: float, limit: int) -> list[str]:
        """Job ids that were due at `now`, about the oldest first. May be stale: read each job."""
        ...

    def waiting_for_intake(self, limit: int) -> list[str]:
        """Job ids that wait for the intake, oldest upload first. May be stale: read each job."""
        ...

    def closed(self, state: State, day: str, limit: int) -> list[str]:
        """Job ids that were closed in a state on a UTC day, newest first. May be stale: read the items."""
        ...

    def counts(self, day: str) -> Counts:
        """Open jobs by state and reason, and the jobs that were closed on a UTC day."""
        ...

    def created_at(self) -> float:
        """When the table was created."""
        ...

    def scan(self) -> Scan | None:
        """Where the scan of the input bucket stands; None before the first."""
        ...

    def save_scan(self, before: Scan, after: Scan) -> None:
        """Replace the scan's item. Raises `Conflict` where it is not as `before`."""
        ...
