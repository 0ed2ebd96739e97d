"""What an item of the job table keeps of a job: the same for the table and for its fake."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Final

from detag.domain import picture as pictures
from detag.domain.batches import Batch
from detag.domain.intake import Intake
from detag.domain.job import DAY_SECONDS, FormerEnd, Job, Reservation, State
from detag.domain.missed_uploads import Scan
from detag.domain.money import day_of
from detag.domain.picture import Delivery, Picture
from detag.domain.reasons import Reason
from detag.domain.search import MAX_CURSOR
from detag.domain.values import dataclass

LASTING_SECONDS: Final = 400 * DAY_SECONDS
"""How long day budgets and charged runs are kept: longer than any job that refers to them."""
MAX_BODY_BYTES: Final = 65_536
MAX_OUTPUTS: Final = 64
MAX_STORED: Final = 16
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
        stored=job.stored[:MAX_STORED],
        picture_until=_micro(job.picture_until),
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


@dataclass(frozen=True, slots=True)
class PictureChange:
    """How a picture changes with a job that is saved."""

    picture_id: str
    change: Callable[[Picture], Picture | None]
    """None where the picture must not change so: `PictureTaken`."""
    expected: Picture | None
    """The picture as it probably is; None where that is not known, and it has to be read."""
    takes: bool = False
    """Whether another picture than the expected one is taken or known by others: `PictureTaken`."""
    waits: bool = False
    """Whether with another picture than the expected one there is nothing to wait for: `Conflict`."""


def picture_change(before: Job, after: Job, met: Picture | None) -> PictureChange | None:
    """How the picture of a job changes with it, where it does; `met`: the picture as the job found it.

    It is taken with each claim, left with whatever gives the claim up, and known with a delivery. It is taken again by
    a run that is used after that, and by a reopened job while a run of it is searched for. A photo is sent again only
    while its job has it. Where results are not reused it is only known with a delivery.
    """
    job_id = after.job_id
    if after.picture is not None and after.shares_picture and _is_claimed(before, after):
        until = after.picture_until
        expected = met or Picture(picture_id=after.picture)
        take = partial(pictures.take, job_id=job_id, until=until)
        return PictureChange(after.picture, lambda picture: take(met or picture), expected, takes=True)
    own = None
    if before.holds_picture and before.picture_version == 1 and before.picture is not None:
        own = Picture(picture_id=before.picture, version=1, taken_by=job_id)
    if after.picture is not None and after.shares_picture and before.unconfirmed and after.state is State.SUBMITTING:
        claimed = after.picture_version if after.again is None else None
        return PictureChange(after.picture, lambda picture: pictures.keep(picture, job_id, claimed), own)
    if after.picture is not None and after.reason is Reason.SAME_PICTURE and before.due_at != after.due_at and met:
        return PictureChange(after.picture, lambda picture: pictures.wait(picture, job_id), met, waits=True)
    if after.picture is not None and after.holds_picture and not before.holds_picture:
        since = after.submitted_at if after.state is State.SUBMITTED else after.not_before
        span = after.picture_until - after.claimed_at
        return PictureChange(after.picture, lambda picture: pictures.retake(picture, job_id, since, span), None)
    if after.picture is not None and _delivers(before, after):
        return PictureChange(after.picture, lambda picture: _known(picture, after, met), met or own)
    if before.holds_picture and not after.holds_picture and before.picture is not None:
        return PictureChange(before.picture, lambda picture: pictures.leave(picture, job_id), own)
    return None


PHOTO: Final = "photo"
OUTPUT: Final = "output"


def sent_photo(before: Job, after: Job) -> str | None:
    """The id of the bytes of a photo that is claimed just now: if Runflow gives back the same, they stay a photo's."""
    if not _is_claimed(before, after):
        return None
    return pictures.output_id(after.upload.etag, after.upload.size)


def _is_claimed(before: Job, after: Job) -> bool:
    return after.state is State.SUBMITTING and after.submission_no > before.submission_no


def new_outputs(before: Job, after: Job, met: Picture | None) -> tuple[str, ...]:
    """Ids of what was delivered just now, by which it is known if somebody uploads it; `met` tells what is known."""
    if not _delivers(before, after):
        return ()
    known = {(one.etag, one.size) for delivery in (met.deliveries if met else ()) for one in delivery.outputs}
    fresh = {(one.etag, one.size): None for one in after.stored if (one.etag, one.size) not in known}
    ids = (pictures.output_id(etag, size) for etag, size in fresh)
    return tuple(one for one in ids if one is not None)


def reused_on(before: Job, after: Job) -> str | None:
    """The day on which a result was reused for a job, where it just was."""
    reused = _delivers(before, after) and after.reused_from is not None
    return day_of(after.closed_at) if reused and after.closed_at else None


def _delivers(before: Job, after: Job) -> bool:
    """Whether something was delivered just now: one that was only asked for may be closed as it was before."""
    return State.DELIVERED is after.state is not before.state and after.stored != before.stored


def _known(picture: Picture, job: Job, met: Picture | None) -> Picture:
    """The picture once a job was delivered: if nobody changed it meanwhile, without what its copy found gone."""
    copies = job.reused_from is not None
    if not job.stored:
        return pictures.leave(picture, job.job_id)
    as_met = met if copies and met is not None and met.version == picture.version else picture
    delivered = Delivery(job.upload.key, job.stored)
    known = pictures.know(
        as_met,
        job.job_id,
        delivered,
        copies=copies,
        of=met.first.originals if copies and met is not None else None,
        run_id=job.run_id,
        partial=job.partial,
        asked=job.again is not None,
        alone=not job.shares_picture,
    )
    return picture if known == as_met else known


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
