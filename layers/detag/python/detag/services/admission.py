"""Whether a photo may be sent now: what intake says, and what has to be read of the photo to know."""

from __future__ import annotations

from dataclasses import dataclass

from detag.domain.decisions import (
    Forbidden,
    Gone,
    Photo,
    ReadMore,
    Step,
    admit,
    screen_head,
    screen_rank,
    screen_tail,
    screen_upload,
    turn_away,
)
from detag.domain.images import HEAD_BYTES, TAIL_BYTES, Head
from detag.domain.job import Job, Upload
from detag.domain.reasons import Reason
from detag.domain.uploads import other_reading
from detag.ports.clock import Clock
from detag.ports.errors import Transient
from detag.ports.jobs import JobStore
from detag.ports.photos import Denied, Missing, PhotoStore
from detag.ports.runs import NotConfigured, Runs
from detag.services.budget import Budget


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found out. `upload` is the job's, by the key under which it is there; `limit` is today's, in images;
    `probe`: the job tests a paused intake.
    """

    upload: Upload
    found: Step | Photo
    limit: int
    probe: bool


class Admission:
    """`aspect_ratio` such as 4:3 is for photos that name none of their own; None keeps a photo's own shape. `paused`
    applies unless an operator overrides it.
    """

    def __init__(
        self,
        *,
        aspect_ratio: str | None,
        max_bytes: int,
        most_pixels: int,
        paused: bool,
        jobs: JobStore,
        photos: PhotoStore,
        runs: Runs,
        budget: Budget,
        clock: Clock,
    ) -> None:
        self._aspect_ratio, self._max_bytes, self._most_pixels = aspect_ratio, max_bytes, most_pixels
        self._paused = paused
        self._jobs, self._photos, self._runs, self._budget, self._clock = jobs, photos, runs, budget, clock

    def judge(self, job: Job) -> Verdict:
        """Whether a job's photo is sent now, or why not. Raises `Transient`."""
        override, intake = self._jobs.override(), self._jobs.intake()
        paused = self._paused if override.paused is None else override.paused
        reason, pauses = admit(job, intake, paused=paused), False
        try:
            if reason is None:
                self._runs.ready()
        except NotConfigured:
            reason, pauses = Reason.NOT_CONFIGURED, True
        if reason is None:
            upload, found = self._screen(job.upload)
        else:
            upload, found = job.upload, turn_away(job, reason, pauses=pauses)
        return Verdict(upload, found, self._budget.limit(override), intake.probe_job == job.job_id)

    def refusal(self, job: Job) -> Reason | None:
        """Why intake does not let a job through now; None where it does."""
        override = self._jobs.override()
        paused = self._paused if override.paused is None else override.paused
        return admit(job, self._jobs.intake(), paused=paused)

    def _screen(self, upload: Upload) -> tuple[Upload, Step | Photo]:
        """The upload as it was found, and the photo that is to be sent, or why it is not."""
        now = self._clock.now()
        refused = screen_upload(upload, max_bytes=self._max_bytes, now=now)
        if refused is not None:
            return upload, refused
        upload, head = self._find(upload)
        return upload, self._screen_content(upload, head, now)

    def _screen_content(self, upload: Upload, head: Head | Gone | Forbidden, now: float) -> Step | Photo:
        """The photo that is to be sent, or why it is not: no more of it is read than must be."""
        candidate = screen_head(upload, head, most_pixels=self._most_pixels, now=now)
        while isinstance(candidate, ReadMore):
            head = self._read_head(upload, candidate.length)
            candidate = screen_head(upload, head, most_pixels=self._most_pixels, now=now)
        if isinstance(candidate, Step):
            return candidate
        photo: Step | ReadMore | Photo = ReadMore(TAIL_BYTES)
        while isinstance(photo, ReadMore):
            tail = self._read_tail(upload, candidate.head, photo.length)
            photo = screen_tail(candidate, tail, default_ratio=self._aspect_ratio, now=now)
        if isinstance(photo, Step):
            return photo
        newest = self._jobs.raise_newest_upload(upload.bucket, upload.key, upload.rank)
        return screen_rank(upload, newest, now=now) or photo

    def _find(self, upload: Upload) -> tuple[Upload, Head | Gone | Forbidden]:
        """The upload by the key under which it is there, and its first bytes."""
        head = self._read_head(upload, HEAD_BYTES)
        other = other_reading(upload) if isinstance(head, Gone) else None
        if other is not None and isinstance(found := self._read_head(other, HEAD_BYTES), Head):
            return other, found
        return upload, head

    def _read_head(self, upload: Upload, length: int) -> Head | Gone | Forbidden:
        try:
            return self._photos.read_head(upload.bucket, upload.key, upload.version_id, length)
        except Missing:
            return Gone()
        except Denied as error:
            return Forbidden(str(error))

    def _read_tail(self, upload: Upload, head: Head, length: int) -> bytes | Gone | Forbidden:
        if len(head.data) == head.size:
            return head.data
        try:
            tail = self._photos.read_tail(upload.bucket, upload.key, upload.version_id, length)
        except Missing:
            return Gone()
        except Denied as error:
            return Forbidden(str(error))
        if len(tail) < min(length, head.size):
            raise Transient("the photo was replaced while it was read")
        return tail
