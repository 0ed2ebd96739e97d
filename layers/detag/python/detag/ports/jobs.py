"""The job table: jobs, the budget of each day, the newest upload of each key, the intake."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Protocol

from detag.domain.batches import Batch
from detag.domain.intake import Intake, Override
from detag.domain.job import Job, Reservation, State
from detag.domain.missed_uploads import Scan
from detag.domain.picture import Picture
from detag.domain.reasons import Reason
from detag.domain.values import dataclass


class LimitReached(Exception):
    """What is left of the day's limit does not pay for the reservation."""


class DayNotOpen(Exception):
    """The day has no budget yet: call `open_day` and try again."""


class BudgetLost(Exception):
    """The day's budget was opened and is not there any more: what was spent is not known."""


class PictureTaken(Exception):
    """The picture is not as the claim expected it: an equal photo was claimed, or delivered, before."""

    def __init__(self, picture: Picture) -> None:
        super().__init__(f"an equal photo came first: picture {picture.picture_id}")
        self.picture = picture


class AlreadyDelivered(Exception):
    """The photo is an output that was delivered."""


class DeliveryHeld(Exception):
    """Another worker stores outputs of this photo, or of another version of it."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What has been delivered of a photo, whichever version."""

    sequencer: str = ""
    """That of the newest version that was delivered; empty before the first."""
    keys: tuple[str, ...] = ()
    """Where outputs of the photo are: those of that version, and others that were not removed."""
    recorded: str = ""
    """The sequencer of the newest version that ended otherwise, and so decided what record there is; empty where a
    delivery has come after it."""
    record: str = ""
    """Where the record of the photo is; empty where there is none."""
    unfinished: bool = False
    """Whether outputs may be there that are not among `keys`: a worker died, or could not tell what it had stored."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs are in each state."""

    open: Mapping[str, int]
    """By state; waiting jobs by `waiting/<reason>`."""
    closed: Mapping[str, int]
    """By final state, of one UTC day."""


class JobStore(Protocol):
    """Every read of an item is consistent; queries may lag. All raise `Transient`."""

    def get(self, job_id: str) -> Job | None:
        """A job; None where it has no item, or its item has expired. Raises `Unreadable`."""
        ...

    def set_aside(self, job_id: str, now: float, due_at: float) -> None:
        """Move the due time of an item that cannot be read, and nothing else of it, so that others come first.

        Does nothing where it is not due at `now`: another worker, which can read it, has moved it on.
        """
        ...

    def save(
        self,
        before: Job,
        after: Job,
        *,
        limit: Decimal | None = None,
        met: Picture | None = None,
        unless_output: str | None = None,
    ) -> tuple[str, ...]:
        """Replace the item that `before` was read from by `after`; with `before.version` 0, create it.

        The job's picture, and what is known of its outputs, change in the same transaction, as `picture_change` says:
        a claim takes the picture that was `met`, or one that has no item; a photo is sent again only while its job has
        the picture, and nothing was delivered of it since the claim. With `unless_output`, the bytes with that id
        must not have been delivered before they were first claimed as a photo. Returns the jobs that waited for the
        picture, and may go on.

        Money moves in the same transaction: what is spent on a day changes by the difference of the two reservations.
        `limit`, in US dollars, is the day's limit, which a new reservation must fit; without it the money moves
        whatever the limit is, and whether the day's budget is open or not.

        Raises `Conflict` where the item is not as `before`, else `AlreadyDelivered`, else `PictureTaken`, else
        `DayNotOpen`, else `LimitReached`, each without any effect.
        """
        ...

    def raise_newest_upload(self, bucket: str, key: str, sequencer: str, etag: str = "") -> str:
        """Record an upload's sequencer, in the form that compares as text (`sequencer_rank`), as the newest of its key,
        unless a newer one is known. Returns the newest. `etag`: of its bytes; empty where they need not be compared.
        """
        ...

    def same_since(self, bucket: str, key: str) -> str:
        """The sequencer, in the form that compares as text, since which every upload of a key that is known has had the
        same bytes; empty where none is known.
        """
        ...

    def newest_upload(self, bucket: str, key: str) -> str:
        """The newest sequencer known of a key, in the form that compares as text; empty where none is."""
        ...

    def begin_delivery(self, bucket: str, key: str, worker: str, until: float) -> Delivered:
        """Reserve for a worker the right to store outputs or a record of a photo, whichever version, until a time.
        Returns what has been delivered and recorded of it; it is `unfinished` where another's right has run out. Raises
        `DeliveryHeld` while another has it.
        """
        ...

    def delivered_of(self, bucket: str, key: str) -> Delivered:
        """What has been delivered of a photo."""
        ...

    def end_delivery(self, bucket: str, key: str, worker: str, delivered: Delivered) -> None:
        """Give the right back, and record what has been delivered: also that it is still `unfinished`. Does nothing
        where the worker has it no more.
        """
        ...

    def claim_name(self, output_key: str, source: str) -> bool:
        """Whether a name in the output bucket is that of a photo, which it is for good once the photo was the first to
        ask. `source` as `detag.domain.naming.source_of` gives it.
        """
        ...

    def claim_request(self, request_id: str, bucket: str, key: str, job_id: str) -> bool:
        """Whether a request that named a key is for a job: for the first one that it led to, and no other one."""
        ...

    def reused(self, day: str) -> int:
        """How many photos were delivered on a day without a payment, since an equal one was cleaned before."""
        ...

    def spent(self, day: str) -> Decimal | None:
        """What is spent or reserved on a day, in US dollars; None where its budget is not open, or cannot be read."""
        ...

    def open_day(self, day: str) -> None:
        """Open the budget of a day; does nothing where it is open.

        A day opens once: raises `BudgetLost` where it, or a later one, was opened before.
        """
        ...

    def charged(self, run_id: str) -> Reservation | None:
        """What an unmatched run was charged with; None where it was not charged yet."""
        ...

    def charge(self, run_id: str, before: Reservation | None, after: Reservation) -> None:
        """Charge an unmatched run, whatever the limit, in place of what it was charged with `before`. Raises `Conflict`
        where it was charged with something else.
        """
        ...

    def intake(self) -> Intake:
        """The intake; an open one where it has no item, and `UNREADABLE` where its item cannot be read."""
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

    def waiting_for_intake(self, now: float, limit: int) -> list[str]:
        """Job ids that wait for the intake at `now`, oldest upload first. May be stale: read each job."""
        ...

    def closed(self, state: State, day: str, limit: int) -> list[str]:
        """Job ids that were closed in a state on a UTC day, newest first. May be stale: read the items."""
        ...

    def closed_between(self, state: State, day: str, after: float, until: float, limit: int) -> list[tuple[float, str]]:
        """When jobs were closed in a state on a UTC day, and their ids, oldest first: those closed after a time and not
        after another. May be stale: read the items.
        """
        ...

    def is_any_open(self, *, besides: str | None = None, waiting_for: Collection[Reason] = ()) -> bool:
        """Whether some open job waits neither for the intake nor for any of these reasons; `besides`: the id of a job
        that does not count. May be stale.
        """
        ...

    def counts(self, day: str) -> Counts:
        """Open jobs by state and reason, and the jobs that were closed on a UTC day."""
        ...

    def created_at(self) -> float:
        """When the table was created."""
        ...

    def scan(self) -> Scan | None:
        """Where the scan of the input bucket stands; None before the first. Raises `Unreadable`."""
        ...

    def save_scan(self, before: Scan | None, after: Scan) -> None:
        """Replace the scan's item; with None, whatever it is. Raises `Conflict` where it is not as `before`."""
        ...

    def batch(self) -> Batch | None:
        """What has ended since the last batch was finished; None before the first. Raises `Unreadable`."""
        ...

    def save_batch(self, before: Batch | None, after: Batch) -> None:
        """Replace the batch's item; with None, whatever it is. Raises `Conflict` where it is not as `before`."""
        ...
