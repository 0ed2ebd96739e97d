"""Whether a photo may be sent now: what intake says, and what has to be read of the photo to know."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar

from detag.domain.decisions import (
    Forbidden,
    Gone,
    Idle,
    InArchive,
    NotRead,
    Photo,
    ReadMore,
    Replaced,
    Step,
    admit,
    before_resend,
    screen_head,
    screen_other_key,
    screen_rank,
    screen_tail,
    screen_upload,
    turn_away,
)
from detag.domain.images import HEAD_BYTES, TAIL_BYTES, Head
from detag.domain.intake import Override
from detag.domain.job import Job
from detag.domain.reasons import Reason
from detag.domain.uploads import by_own_key, other_reading
from detag.ports.clock import Clock
from detag.ports.jobs import JobStore
from detag.ports.photos import Archived, Denied, Missing, PhotoStore, PreconditionFailed
from detag.ports.runs import NotConfigured, Runs
from detag.services.budget import Budget

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found out. `job`: with its photo by the key under which it is there; `limit` is today's, in US
    dollars;
    `probe`: the job tests a paused intake.
    """

    job: Job
    found: Step | Photo | Idle
    limit: Decimal
    probe: bool


class Admission:
    """`aspect_ratio` such as 4:3 is for photos that name none of their own; None keeps a photo's own shape. A file with
    one of `ignored_names` in its key is no photo. Photos of `photo_types`, content types, are sent. `paused` applies
    unless an operator overrides it. `reuses`: what was delivered of an equal photo is delivered again.
    """

    def __init__(
        self,
        *,
        aspect_ratio: str | None,
        ignored_names: Sequence[str],
        max_bytes: int,
        most_pixels: int,
        photo_types: Collection[str],
        paused: bool,
        reuses: bool,
        jobs: JobStore,
        photos: PhotoStore,
        runs: Runs,
        budget: Budget,
        clock: Clock,
    ) -> None:
        self._aspect_ratio, self._ignored_names = aspect_ratio, ignored_names
        self._max_bytes, self._most_pixels, self._photo_types = max_bytes, most_pixels, photo_types
        self._paused, self._reuses = paused, reuses
        self._jobs, self._photos, self._runs, self._budget, self._clock = jobs, photos, runs, budget, clock

    def judge(self, job: Job) -> Verdict:
        """Whether a job's photo is sent now, or why not. Raises `Transient`.

        The photo is judged first, whatever intake says: what is no photo never waits, and what waits is known to be
        the newest of its name. It is judged again each time that it may go on.
        """
        job, found = self._screen(job)
        override, intake = self._jobs.override(), self._jobs.intake()
        if isinstance(found, Photo):
            reason, pauses = admit(job, intake, paused=self._is_paused(override)), False
            try:
                if reason is None:
                    self._runs.ready()
            except NotConfigured:
                reason, pauses = Reason.NOT_CONFIGURED, True
            if reason is not None:
                found = turn_away(job, reason, pauses=pauses)
        return Verdict(job, found, self._budget.limit(override), intake.probe_job == job.job_id)

    def refusal(self, job: Job) -> Reason | None:
        """Why intake does not let a job through now; None where it does."""
        return admit(job, self._jobs.intake(), paused=self._is_paused(self._jobs.override()))

    def before_resend(self, job: Job, again: Step) -> Step:
        """The step that sends an unconfirmed photo again, or another where the photo is gone. Raises `Transient`."""
        return before_resend(job, again, self._read_head(job, None, HEAD_BYTES), now=self._clock.now())

    def _is_paused(self, override: Override) -> bool:
        return self._paused if override.paused is None else override.paused

    def _screen(self, job: Job) -> tuple[Job, Step | Photo | Idle]:
        """The job with its photo as it was found, and the photo that is to be sent, or why it is not."""
        now = self._clock.now()
        ignored, most = self._ignored_names, self._max_bytes
        refused: Step | Idle | None = screen_upload(job, ignored_names=ignored, max_bytes=most, now=now)
        if refused is not None:
            return job, refused
        found, head = self._find(job)
        other = other_reading(job.upload) if isinstance(head, Gone) or found is not job else None
        if other is not None and not job.version:  # it may be gone, and its job done with
            refused = screen_other_key(known=self._jobs.get(by_own_key(other).job_id) is not None)
        if found is not job and refused is None:  # by another key, which nothing has judged yet
            refused = screen_upload(found, ignored_names=ignored, max_bytes=most, now=now)
        return found, refused or self._screen_content(found, head, now)

    def _screen_content(self, job: Job, head: Head | NotRead, now: float) -> Step | Photo:
        """The photo that is to be sent, or why it is not: no more of it is read than must be."""
        upload = job.upload
        candidate = screen_head(job, head, most_pixels=self._most_pixels, photo_types=self._photo_types, now=now)
        while isinstance(candidate, ReadMore):
            head = self._read_head(job, head if isinstance(head, Head) else None, candidate.length)
            candidate = screen_head(job, head, most_pixels=self._most_pixels, photo_types=self._photo_types, now=now)
        if isinstance(candidate, Step):
            return candidate
        photo: Step | ReadMore | Photo = ReadMore(TAIL_BYTES)
        while isinstance(photo, ReadMore):
            tail = self._read_tail(job, candidate.head, photo.length)
            photo = screen_tail(job, candidate, tail, default_ratio=self._aspect_ratio, reuses=self._reuses, now=now)
        if isinstance(photo, Step):
            return photo
        newest, seen = self._jobs.raise_newest_upload(upload.bucket, upload.key, upload.rank), None
        while isinstance(ranked := screen_rank(job, newest, seen, now=now), ReadMore):
            seen = self._read_head(job, None, ranked.length)
        return ranked or photo

    def _find(self, job: Job) -> tuple[Job, Head | NotRead]:
        """The job by the key under which its photo is there, and the first bytes.

        The other reading of a key is believed only where this very upload answers.
        """
        head = self._read_head(job, None, HEAD_BYTES)
        other = other_reading(job.upload) if isinstance(head, Gone) else None
        if other is not None:
            found = self._read_head(moved := replace(job, upload=other), None, HEAD_BYTES)
            if isinstance(found, Head) and found.version_id == other.version_id:
                return moved, found
        return job, head

    def _read_head(self, job: Job, before: Head | None, length: int) -> Head | NotRead:
        """The first read names no version, because a photo that was deleted still has one."""
        upload, (version_id, etag) = job.upload, _very(before) if before else (None, None)
        return _read(lambda: self._photos.read_head(upload.bucket, upload.key, version_id, length, etag))

    def _read_tail(self, job: Job, head: Head, length: int) -> bytes | NotRead:
        if len(head.data) == head.size:
            return head.data
        upload, (version_id, etag) = job.upload, _very(head)
        return _read(lambda: self._photos.read_tail(upload.bucket, upload.key, version_id, length, etag))


def _very(head: Head) -> tuple[str | None, str | None]:
    """What another read names, so that the same object answers: its version; without versions, its ETag."""
    return (head.version_id, None) if head.version_id else (None, head.etag)


def _read(read: Callable[[], T]) -> T | NotRead:
    try:
        return read()
    except Missing:
        return Gone()
    except PreconditionFailed:
        return Replaced()
    except Archived:
        return InArchive()
    except Denied as error:
        return Forbidden(str(error))
