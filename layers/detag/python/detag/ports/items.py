"""What an item of the job table keeps of a job: the same for the table and for its fake."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Final

from detag.domain.batches import Batch
from detag.domain.intake import Intake
from detag.domain.job import FormerEnd, Job, Reservation
from detag.domain.missed_uploads import Scan

MAX_BODY_BYTES: Final = 65_536
MAX_OUTPUTS: Final = 64
MAX_DETAIL: Final = 1_000
MAX_CODE: Final = 200
MAX_DECISION: Final = 600
MAX_CURSOR: Final = 2_048
MAX_TO_ASK: Final = 1_000
"""Of 64 characters at most. With keys of 1,024 bytes these keep an item below 250 KB: it may have 400 (DynamoDB
Developer Guide, "Quotas").
"""
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
        troubles=tuple(sorted((trouble, _micro(since)) for trouble, since in job.troubles)),
        closed_at=None if job.closed_at is None else _micro(job.closed_at),
        ask_at=None if job.ask_at is None else _micro(job.ask_at),
        requests=tuple(replace(one, at=_micro(one.at)) for one in job.requests),
        closed_as=_kept_end(job.closed_as),
    )


def _kept_end(end: FormerEnd | None) -> FormerEnd | None:
    if end is None or end.ask_at is None:
        return end
    return replace(end, ask_at=_micro(end.ask_at))


def moved_money(before: Iterable[Reservation | None], after: Iterable[Reservation | None]) -> dict[str, Decimal]:
    """By how many US dollars the money spent on each day changes where some reservations take the place of others."""
    moved: dict[str, Decimal] = {}
    for sign, reservations in ((-1, before), (1, after)):
        for one in filter(None, reservations):
            moved[one.day] = moved.get(one.day, Decimal(0)) + sign * one.usd
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


def kept_batch(batch: Batch) -> Batch:
    """The batch as its item gives it back: times to the microsecond."""
    return replace(
        batch,
        counted_to=_micro(batch.counted_to),
        active_at=_micro(batch.active_at),
        first_upload=_micro(batch.first_upload),
        last_upload=_micro(batch.last_upload),
    )


def _micro(seconds: float) -> float:
    """A time as a number with six decimals can hold it; a second time changes nothing."""
    return round(seconds, 6)
