"""Whether a photo may be sent now: what intake says, and what has to be read of the photo to know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from detag.domain.decisions import (
    Criteria,
    Find,
    Forbidden,
    Gone,
    Idle,
    InArchive,
    Known,
    LookBeside,
    NotRead,
    Photo,
    ReadOther,
    Replaced,
    Step,
    Unknown,
    before_resend,
    refuse_photo,
    refuse_place,
    screen,
    screen_since,
    turn_away,
)
from detag.domain.images import HEAD_BYTES, Head, ReadHead, ReadTail
from detag.domain.intake import Override, admit
from detag.domain.job import Job, Upload
from detag.domain.prefix_claim import Claim
from detag.domain.reasons import Reason
from detag.domain.reopening import Refusal, Request
from detag.domain.uploads import by_own_key, other_reading
from detag.domain.values import dataclass
from detag.ports.clock import Clock
from detag.ports.errors import Transient, Unclaimed
from detag.ports.jobs import JobStore
from detag.ports.photos import Archived, Denied, Missing, PhotoStore, PreconditionFailed
from detag.ports.runs import NotConfigured, Runs
from detag.services.prefix_claim import PrefixClaim

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found out. `job`: with its photo by the key under which it is there; `override`: an operator's, as it is
    now; `probe`: the job tests a paused intake.
    """

    job: Job
    found: Step | Photo | Idle
    override: Override
    probe: bool


class Admission:
    """`criteria`: which photos are sent; `paused` applies unless an operator overrides it."""

    def __init__(
        self,
        *,
        criteria: Criteria,
        paused: bool,
        folder: PrefixClaim | None,
        jobs: JobStore,
        photos: PhotoStore,
        runs: Runs,
        clock: Clock,
    ) -> None:
        self._criteria, self._paused, self._folder = criteria, paused, folder
        self._jobs, self._photos, self._runs, self._clock = jobs, photos, runs, clock

    def judge(self, job: Job) -> Verdict:
        """Whether a job's photo is sent now, or why not. Raises `Transient`.

        The photo is judged first, whatever intake says: what is no photo never waits, and what waits is known to be
        the newest of its name. It is judged again each time that it may go on.
        """
        job, found = self._screen(job)
        if isinstance(found, Step) and not job.upload.version:
            upload = job.upload  # Runflow may have read it in place of what was sent
            self._jobs.raise_newest_upload(upload.bucket, upload.key, upload.rank, upload.unversioned_etag)
        override, intake = self._jobs.override(), self._jobs.intake()
        if isinstance(found, Photo):
            reason, pauses = admit(job, intake, override, paused=self._paused), False
            try:
                if reason is None:
                    self._runs.ready()
            except NotConfigured:
                reason, pauses = Reason.NOT_CONFIGURED, True
            if reason is None and self._folder is not None:
                mine = self._claim_of(self._folder)
                if mine is None:
                    reason, pauses = Reason.PREFIX_TAKEN, True
                else:
                    found = screen_since(job, mine.since, now=self._clock.now()) or found
            if reason is not None:
                found = turn_away(job, reason, pauses=pauses)
        return Verdict(job, found, override, intake.probe_job == job.job_id)

    def _claim_of(self, folder: PrefixClaim) -> Claim | None:
        try:
            return folder.look()
        except Transient as error:
            raise Unclaimed(str(error)) from None

    def refusal(self, job: Job) -> Reason | None:
        """Why a job is not let through now; None where it is. Raises `Transient`."""
        reason = admit(job, self._jobs.intake(), self._jobs.override(), paused=self._paused)
        if reason is None and self._folder is not None:
            mine = self._folder.look()
            if mine is None or screen_since(job, mine.since, now=self._clock.now()) is not None:
                return Reason.PREFIX_TAKEN
        return reason

    def before_resend(self, job: Job, again: Step) -> Step:
        """The step that sends an unconfirmed photo again, or another where that is of no use. Raises `Transient`."""
        seen = self._read_head(job, None, HEAD_BYTES)
        delivered = self._jobs.delivered_of(job.upload.bucket, job.upload.key).sequencer
        return before_resend(job, again, seen, delivered, self._criteria, now=self._clock.now())

    def with_metadata(self, job: Job) -> Job:
        """A reopened job with its photo's own metadata, for its outputs: once delivered, it does not keep it. As it is
        where the photo cannot be read; raises `Transient`.
        """
        upload = job.upload
        head = _read(
            lambda: self._photos.read_head(upload.bucket, upload.key, upload.version_id, 1, upload.etag or None)
        )
        if not isinstance(head, Head):
            return job
        return replace(job, source_metadata=tuple(sorted(head.metadata.items())))

    def refuse_photo(self, job: Job, request: Request) -> Refusal | None:
        """Why a closed job is not opened again, by where its photo is and what has become of it; None where that is no
        reason. Raises `Transient`.
        """
        elsewhere = refuse_place(job.upload, request, self._criteria)
        if elsewhere is not None:
            return elsewhere
        upload, head = job.upload, self._read_head(job, None, 1)
        other = other_reading(upload) if isinstance(head, Gone) else None
        if other is not None:
            upload, head = other, self._read_head(replace(job, upload=other), None, 1)
        delivered = self._jobs.delivered_of(upload.bucket, upload.key).sequencer
        newest = self._jobs.newest_upload(upload.bucket, upload.key)
        return refuse_photo(upload, request, head, newest=newest, delivered=delivered)

    def _screen(self, job: Job) -> tuple[Job, Step | Photo | Idle]:
        """The job with its photo as it was found, and the photo that is to be sent, or why it is not."""
        now, known = self._clock.now(), Known()
        while isinstance(found := screen(job, known, self._criteria, now=now), Unknown):
            upload = job.upload
            match found:
                case ReadOther(other):
                    job, known = self._read_other(job, other)
                case ReadHead(length, of):
                    known = replace(known, head=self._read_head(job, of, length))
                case ReadTail(length, of):
                    known = replace(known, tail=self._read_tail(job, of, length))
                case LookBeside(keys):
                    known = replace(known, beside=self._first_of(upload.bucket, keys))
                case Find.NEWEST:
                    etag = upload.unversioned_etag
                    newest = self._jobs.raise_newest_upload(upload.bucket, upload.key, upload.rank, etag)
                    known = replace(known, newest=newest)
                case Find.SEEN:
                    known = replace(known, seen=self._read_head(job, None, 1))
                case Find.DELIVERED:
                    known = replace(known, delivered=self._jobs.delivered_of(upload.bucket, upload.key).sequencer)
        return job, found

    def _read_other(self, job: Job, other: Upload) -> tuple[Job, Known]:
        """The `other` reading of a key is believed only where this very upload answers."""
        moved = replace(job, upload=other)
        head = self._read_head(moved, None, HEAD_BYTES)
        # Its own job may be gone, once it is done with: one that has an item goes on.
        has_own_job = not job.version and self._jobs.get(by_own_key(other).job_id) is not None
        if isinstance(head, Head) and head.version_id == other.version_id:
            return moved, Known(head=head, has_own_job=has_own_job)
        return job, Known(head=Gone(), has_own_job=has_own_job)

    def _first_of(self, bucket: str, keys: Sequence[str]) -> str:
        """The first of some keys at which something is; empty where nothing is that can be read."""
        there = (key for key in keys if isinstance(self._read_beside(bucket, key), Head))
        return next(there, "")

    def _read_beside(self, bucket: str, key: str) -> Head | NotRead:
        return _read(lambda: self._photos.read_head(bucket, key, None, 1, None))

    def _read_head(self, job: Job, before: Head | None, length: int) -> Head | NotRead:
        """The first read names no version, because a photo that was deleted still has one."""
        upload, (version_id, etag) = job.upload, _very(before) if before else (None, None)
        return _read(lambda: self._photos.read_head(upload.bucket, upload.key, version_id, length, etag))

    def _read_tail(self, job: Job, head: Head, length: int) -> bytes | NotRead:
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
