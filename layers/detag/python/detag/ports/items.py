"""What an item of the job table keeps of a job: the same for the table and for its fake."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final

from detag.domain.intake import Intake
from detag.domain.job import DAY_SECONDS, Job, Reservation
from detag.domain.missed_uploads import Scan
from detag.domain.search import MAX_CURSOR

LASTING_SECONDS: Final = 400 * DAY_SECONDS
"""How long newest uploads, day budgets and charged runs are kept: longer than any job that refers to them."""
MAX_BODY_BYTES: Final = 65_536
MAX_OUTPUTS: Final = 64
MAX_DETAIL: Final = 1_000
MAX_CODE: Final = 200
MAX_DECISION: Final = 600
MAX_UNACCOUNTED: Final = 100


def kept(job: Job) -> Job:
    """The job as its item gives it back: times to the microsecond, and what only people read cut to a length that fits.

    Raises ValueError for a body that is too long: it must never be cut.
    """
    if job.body is not None and len(job.body.encode()) > MAX_BODY_BYTES:
        raise ValueError(f"the body of job {job.job_id} is longer than {MAX_BODY_BYTES} bytes")
    return replace(
        job,
        upload=replace(job.upload, uploaded_at=_micro(job.upload.uploaded_at)),
        detail=job.detail[:MAX_DETAIL] if job.detail else None,
        code=job.code[:MAX_CODE] if job.code else None,
        decision=job.decision[:MAX_DECISION] if job.decision else None,
        search_from=job.search_from if job.search_from and len(job.search_from) <= MAX_CURSOR else None,
        done=job.done[:MAX_OUTPUTS],
        search_since=_micro(job.search_since),
        unaccounted=job.unaccounted[-MAX_UNACCOUNTED:],
        outputs=job.outputs[:MAX_OUTPUTS],
        leftovers=job.leftovers[:MAX_OUTPUTS],
        created_at=_micro(job.created_at),
        not_before=_micro(job.not_before),
        due_at=None if job.due_at is None else _micro(job.due_at),
        lease_until=_micro(job.lease_until),
        url_expires_at=_micro(job.url_expires_at),
        claimed_at=_micro(job.claimed_at),
        submitted_at=_micro(job.submitted_at),
        callback_asked_at=_micro(job.callback_asked_at),
        troubles=tuple(sorted((trouble, _micro(since)) for trouble, since in job.troubles)),
        closed_at=None if job.closed_at is None else _micro(job.closed_at),
        ask_at=None if job.ask_at is None else _micro(job.ask_at),
    )


def moved_money(before: Reservation | None, after: Reservation | None) -> dict[str, Decimal]:
    """By how many US dollars the money spent on each day changes where one reservation takes another's place."""
    moved: dict[str, Decimal] = {}
    if before is not None:
        moved[before.day] = -before.usd
    if after is not None:
        moved[after.day] = moved.get(after.day, Decimal(0)) + after.usd
    return {day: usd for day, usd in moved.items() if usd}


def kept_intake(intake: Intake) -> Intake:
    """The intake as its item gives it back: times to the microsecond."""
    return replace(intake, since=_micro(intake.since), probe_at=_micro(intake.probe_at))


def kept_scan(scan: Scan) -> Scan:
    """The scan of the input bucket as its item gives it back: times to the microsecond."""
    return replace(
        scan,
        since=_micro(scan.since),
        started_at=_micro(scan.started_at),
        next_at=_micro(scan.next_at),
        completed_at=_micro(scan.completed_at),
    )


def _micro(seconds: float) -> float:
    """A time as a number with six decimals can hold it; a second time changes nothing."""
    return round(seconds, 6)
