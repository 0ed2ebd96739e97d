"""The records of photos that have no output: written and removed by one worker at a time for each photo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from detag.domain import waits
from detag.domain.backoff import Uniform
from detag.domain.job import Job, sequencer_rank
from detag.domain.naming import FAILED_RECORDS, RECORD_OF, SEQUENCER, SKIPPED_RECORDS, Naming, source_of
from detag.domain.records import folder_of, is_newer, is_overtaken, newest_recorded, text_of, was_taken_back
from detag.ports.clock import Clock
from detag.ports.errors import Transient, Unreadable
from detag.ports.jobs import Delivered, DeliveryHeld, JobStore
from detag.ports.photos import Archived, Denied, Existing, Missing, PhotoStore, PreconditionFailed


class Records:
    """For the outbox, when a photo has ended without an output; and for `deliver`, when it has one after all."""

    def __init__(self, *, naming: Naming, jobs: JobStore, photos: PhotoStore, clock: Clock, uniform: Uniform) -> None:
        self._naming, self._jobs, self._photos = naming, jobs, photos
        self._clock, self._uniform = clock, uniform

    def publish(self, job: Job) -> None:
        """Write the record of a closed job, or remove what an older version left. Raises `Transient`: try again."""
        bucket, key = job.upload.bucket, job.upload.key
        now = self._clock.now()
        worker = f"record.{job.job_id}.{job.version}.{now}.{self._uniform(0.0, 1.0)}"
        try:
            before = self._jobs.begin_delivery(bucket, key, worker, now + waits.RECORD.seconds)
        except DeliveryHeld:
            raise Transient("another worker is storing outputs of this photo") from None
        try:
            after = self._published(job, before)
        except Transient:
            self._jobs.end_delivery(bucket, key, worker, before)
            raise
        self._jobs.end_delivery(bucket, key, worker, after)

    def _published(self, job: Job, before: Delivered) -> Delivered:
        folder = folder_of(job)
        delivered = "" if self._is_removed(job, before) else before.sequencer
        at_key = cache(lambda: self._version_at_key(job))
        recorded = self._recorded(job, before, at_key)
        if is_overtaken(job, delivered=delivered, recorded=recorded) or self._was_taken_back(job, before, at_key):
            if folder is not None:  # an attempt that was interrupted may have left it, and nothing else knows of it
                self._remove(job, folder, unless=before.record)
            return before
        record = self._write(job, folder) if folder is not None else ""
        self._remove_known(job, before.record, unless=record)
        return replace(before, recorded=job.upload.sequencer, record=record)

    def _was_taken_back(self, job: Job, before: Delivered, at_key: Callable[[], str | None]) -> bool:
        """Whether the upload was taken back (`was_taken_back`). What is there is looked at only where another ended."""
        known = {*filter(None, (before.sequencer, before.recorded))}
        if job.upload.version is None or not known - {job.upload.sequencer}:
            return False
        version = at_key()
        if version is None:
            return False
        try:
            other = self._jobs.get(replace(job.upload, version_id=version).job_id)
        except Unreadable:
            return False
        return was_taken_back(job, other)

    def _is_removed(self, job: Job, before: Delivered) -> bool:
        """Whether the job, reopened, was delivered before, and nothing of that is there any more."""
        own = before.sequencer != "" and sequencer_rank(before.sequencer) == job.upload.rank
        return own and folder_of(job) is not None and not any(map(self._photos.existing, before.keys))

    def withdraw(self, job: Job, before: Delivered) -> Delivered:
        """Remove the record of a photo whose output is there, unless it is a newer version's. The caller has the right
        to store outputs of it. Raises `Transient`.
        """
        if is_newer(job, self._recorded(job, before, lambda: self._version_at_key(job), delivered=True)):
            return before
        self._remove_known(job, before.record)
        if job.state.terminal:  # its own may be there already, by a worker that has not said so
            for folder in (FAILED_RECORDS, SKIPPED_RECORDS):
                self._remove(job, folder)
        return replace(before, recorded="", record="")

    def _recorded(
        self, job: Job, before: Delivered, at_key: Callable[[], str | None], *, delivered: bool = False
    ) -> str:
        """The sequencer of the newest upload whose record stays; what is at the photo's key is read only if that is not
        the job's own.
        """
        if not is_newer(job, before.recorded):
            return before.recorded
        return newest_recorded(job, before.recorded, at_key(), delivered=delivered)

    def _version_at_key(self, job: Job) -> str | None:
        """The version that is at a photo's key; None where there is none that can be read."""
        try:
            return self._photos.read_head(job.upload.bucket, job.upload.key, None, 1).version_id
        except (Missing, Denied, Archived, PreconditionFailed):
            return None

    def _write(self, job: Job, folder: str) -> str:
        key, existing = self._place(job, folder)
        metadata = {RECORD_OF: _source(job), SEQUENCER: job.upload.sequencer}
        try:
            self._photos.put_record(key, text_of(job), metadata, existing)
        except PreconditionFailed:
            raise Transient("something else was written under the record's name") from None
        return key

    def _remove(self, job: Job, folder: str, *, unless: str = "") -> None:
        key, existing = self._place(job, folder)
        if existing is not None and key != unless:
            self._photos.remove(key)

    def _remove_known(self, job: Job, key: str, *, unless: str = "") -> None:
        existing = self._photos.existing(key) if key and key != unless else None
        if existing is not None and _is_record(existing, job):
            self._photos.remove(key)

    def _place(self, job: Job, folder: str) -> tuple[str, Existing | None]:
        """Where the photo's record is, or may be written, and what is there."""
        for key in self._naming.record_keys(folder, job.upload.key):
            existing = self._photos.existing(key)
            if existing is None or _is_record(existing, job):
                return key, existing
        raise Transient("no free key for the record")


def _is_record(existing: Existing, job: Job) -> bool:
    return existing.metadata.get(RECORD_OF) == _source(job)


def _source(job: Job) -> str:
    return source_of(job.upload.bucket, job.upload.key)
