"""Storing outputs of a photo, whichever version and however they come: by one worker at a time, and the newest wins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from detag.domain import waits
from detag.domain.backoff import Uniform
from detag.domain.decisions import Busy, Fetched, NotStored, Overtaken, Partway, Stored
from detag.domain.job import Job, sequencer_rank
from detag.domain.naming import SEQUENCER, SOURCE_KEY, Naming, readable, source_of
from detag.domain.picture import Output
from detag.domain.runs import MAX_OUTPUT_URLS
from detag.ports.clock import Clock
from detag.ports.errors import Transient
from detag.ports.jobs import Delivered, DeliveryHeld, JobStore
from detag.ports.photos import Existing, NotShown, PhotoStore
from detag.ports.telemetry import Telemetry
from detag.services.records import Records


class Storing:
    """For `deliver`, which stores what Runflow made, and for `submit`, which copies what was delivered before."""

    def __init__(
        self,
        *,
        naming: Naming,
        jobs: JobStore,
        photos: PhotoStore,
        records: Records,
        clock: Clock,
        telemetry: Telemetry,
        uniform: Uniform,
    ) -> None:
        self._naming, self._jobs, self._photos, self._records = naming, jobs, photos, records
        self._clock, self._telemetry, self._uniform = clock, telemetry, uniform

    def alone(self, job: Job, store: Callable[[], Fetched], deadline: float) -> Fetched:
        """Store outputs while no other worker stores any of this photo, whichever version: then what was seen in the
        output bucket is still true when it is written, and newest wins over all the names that outputs may have.

        An ETag would not do for that: it tells bytes apart, and A, B and A again are three versions.
        """
        bucket, key = job.upload.bucket, job.upload.key
        worker = f"{job.job_id}.{job.version}.{self._clock.now()}.{self._uniform(0.0, 1.0)}"
        until = self._clock.now() + deadline - self._clock.monotonic() + waits.STORING.seconds
        try:
            before = self._jobs.begin_delivery(bucket, key, worker, until)
        except DeliveryHeld:
            return Busy()
        if before.unfinished:
            before = self._finished(job, before)
        newer = sequencer_rank(before.sequencer) > job.upload.rank
        after, fetched = (before, Overtaken()) if newer else self._replace(job, before, store())
        self._jobs.end_delivery(bucket, key, worker, after)
        return fetched

    def names(self, key: str, number: int) -> tuple[str, ...]:
        """Wherever output `number` of a photo may be."""
        return self._naming.all_output_keys(key, number)

    def place(
        self,
        job: Job,
        output_type: str,
        number: int,
        look: Callable[[str], Existing | None] | None = None,
    ) -> tuple[str, Existing | None]:
        """Where output `number` of a photo goes, and what of this photo is there already: the first name that is not
        another's. `look` tells what is at a name, where that is not asked of S3. Raises `Transient` where all names are
        others'.
        """
        source = source_of(job.upload.bucket, job.upload.key)
        for key in self._naming.output_keys(job.upload.key, output_type, number):
            existing = look(key) if look is not None else self._photos.existing(key)
            if existing is not None and existing.metadata.get(SOURCE_KEY) != source:
                continue
            if not self._naming.replaces or self._jobs.claim_name(key, source):
                return key, existing
        raise Transient("no free key for the output")

    def _finished(self, job: Job, before: Delivered) -> Delivered:
        """What has been delivered of the photo, with what a worker stored that died before it could say so. Where a
        name may not be looked at, that is still to be found.
        """
        found: list[str] = []
        unfinished = False
        for number in range(1, MAX_OUTPUT_URLS + 1):
            before_this = len(found)
            for name in self.names(job.upload.key, number):
                try:
                    found += [name] if self._belongs_to(job, self._photos.existing(name)) else []
                except NotShown:
                    unfinished = True
            if len(found) == before_this:
                break
        return replace(before, keys=tuple(dict.fromkeys((*before.keys, *found))), unfinished=unfinished)

    def _belongs_to(self, job: Job, existing: Existing | None) -> bool:
        source = source_of(job.upload.bucket, job.upload.key)
        return existing is not None and existing.metadata.get(SOURCE_KEY) == source

    def _replace(self, job: Job, before: Delivered, fetched: Fetched) -> tuple[Delivered, Fetched]:
        """What has been delivered of the photo now: outputs of older versions under other names are removed, and the
        record of a failure.
        """
        match fetched:
            case Stored(keys) if keys:
                try:
                    left = tuple(key for key in before.keys if key not in keys and not self._removed(job, key))
                    after = self._records.withdraw(job, before)
                except Transient as error:
                    both = tuple(dict.fromkeys((*before.keys, *keys)))
                    return replace(before, keys=both), NotStored(f"what is replaced could not be removed: {error}")
                after = replace(after, sequencer=job.upload.sequencer, keys=(*keys, *left))
                return after, replace(fetched, leftovers=left)
            case Partway(done) | NotStored(done=done):
                unclear = isinstance(fetched, NotStored)  # a write that failed may have had its effect
                keys = tuple(dict.fromkeys((*before.keys, *filter(None, done))))
                return replace(before, keys=keys, unfinished=before.unfinished or unclear), fetched
            case Overtaken(done):
                return self._withdraw(job, before, [key for key in done if key and key not in before.keys]), fetched
            case Stored():  # nothing of it is delivered, yet some may have been stored
                return replace(before, unfinished=True), fetched
        return before, fetched

    def _withdraw(self, job: Job, before: Delivered, keys: Sequence[str]) -> Delivered:
        """What has been delivered of the photo, once those outputs of an older version are removed."""
        try:
            left = [key for key in keys if not self._removed(job, key)]
        except Transient:
            return replace(before, unfinished=True)
        return replace(before, keys=(*before.keys, *left))

    def _removed(self, job: Job, key: str) -> bool:
        """Remove an output of an older version; False where it stays: it is not ours any more, or would be gone."""
        existing = self._photos.existing(key)
        if existing is None:
            return True
        older = sequencer_rank(existing.metadata.get(SEQUENCER, "")) <= job.upload.rank
        removed = self._belongs_to(job, existing) and older and existing.versioned and self._photos.remove(key)
        if removed:
            self._telemetry.info("older output removed", job_id=job.job_id, key=readable(key), why="a newer is stored")
        return removed


def as_output(number: int, key: str, there: Existing) -> Output:
    """An output as the output bucket has it."""
    return Output(number, key, there.version_id, there.etag, there.size, there.content_type)
