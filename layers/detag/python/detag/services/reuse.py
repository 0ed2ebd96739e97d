"""An upload whose picture was paid for before, or is being paid for: its result is copied, or waited for."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from detag.domain.decisions import (
    Again,
    Facts,
    Fetched,
    NotStored,
    Overtaken,
    Photo,
    Reusable,
    Step,
    Stored,
    TakeOver,
    Untold,
    Unusable,
    after_copy,
    meet_picture,
    refuse_reuse,
)
from detag.domain.job import Job, sequencer_rank
from detag.domain.naming import (
    JOB_ID,
    REUSED_FROM,
    SEQUENCER,
    SOURCE_ETAG,
    SOURCE_KEY,
    SOURCE_SIZE,
    output_keys,
    output_metadata,
    source_of,
)
from detag.domain.picture import REJECTED, REVIEW, Output, Picture
from detag.ports.clock import Clock
from detag.ports.errors import Transient, Unreadable
from detag.ports.jobs import JobStore
from detag.ports.photos import Archived, Denied, Existing, Missing, PhotoStore, PreconditionFailed
from detag.services.storing import Storing, as_output


class _Rejected(Exception):
    """What is at the name already was made of the same photo, and somebody rejected it."""


class _NewerDelivered(Exception):
    """A newer version of the same photo is already at the key."""


class Reuse:
    """`price` in US dollars: what a photo costs that is not paid for."""

    def __init__(
        self,
        *,
        price: Decimal,
        jobs: JobStore,
        photos: PhotoStore,
        storing: Storing,
        clock: Clock,
    ) -> None:
        self._price, self._jobs, self._photos, self._storing, self._clock = price, jobs, photos, storing, clock

    def meet(self, job: Job, photo: Photo, picture: Picture, deadline: float) -> Step | TakeOver:
        """What follows where a picture is taken or known: to wait, to be delivered as a copy, which is stored by then,
        or to be paid for all the same. Raises `Transient`.
        """
        met = meet_picture(job, picture, self._payer(picture), now=self._clock.now())
        if not isinstance(met, Reusable):
            return met
        copied = self._copied(job, photo, picture, deadline)
        decided = after_copy(job, picture, copied, now=self._clock.now(), price=self._price)
        if isinstance(decided, Again):
            raise Transient(decided.why)
        return decided

    def _payer(self, picture: Picture) -> Job | Untold | None:
        if picture.taken_by is None:
            return None
        try:
            return self._jobs.get(picture.taken_by)
        except Unreadable:
            return Untold()

    # Whether what is known can be used

    def _copied(self, job: Job, photo: Photo, picture: Picture, deadline: float) -> Fetched | Unusable:
        if not self._is_copied(job, photo, picture) and (why := refuse_reuse(self._facts(job, picture))):
            return Unusable(why)
        unusable: list[str] = []

        def store() -> Fetched:
            try:
                return self._copy(job, photo, picture)
            except (Missing, Denied, Archived):
                unusable.append("the earlier result cannot be read")
            except _Rejected:
                unusable.append("the earlier result was rejected")
            except _NewerDelivered:
                return Overtaken()
            except PreconditionFailed:
                return NotStored("another delivery wrote the same key")
            return Stored((), "")

        stored = self._storing.alone(job, store, deadline)
        return Unusable(unusable[0]) if unusable else stored

    def _is_copied(self, job: Job, photo: Photo, picture: Picture) -> bool:
        """Whether copies for this very job are there: older outputs made way for them, and the job could not be saved.

        Whatever has become of what they are copies of meanwhile: they are what the photo's name shows.
        """
        first, source = picture.outputs[0], source_of(job.upload.bucket, job.upload.key)
        for key in output_keys(job.upload.key, photo.content_type, first.content_type, first.number):
            there = self._photos.existing(key)
            if there is None or there.metadata.get(SOURCE_KEY) == source:
                return there is not None and _is_copy_for(there, job)
        return False

    def _facts(self, job: Job, picture: Picture) -> list[Facts]:
        try:
            facts = [self._facts_of(job, picture, output) for output in picture.outputs]
            copied_from = (one for one in picture.originals if one not in picture.outputs)
            return facts + [Facts(there=True, untouched=True, rejected=self._is_rejected(one)) for one in copied_from]
        except Denied:  # of the tags: whether it was rejected cannot be told
            return [Facts(there=False, untouched=False, rejected=False)]

    def _facts_of(self, job: Job, picture: Picture, output: Output) -> Facts:
        shown = self._photos.existing(output.key)
        if shown is not None and _is_very(shown, output):
            return Facts(there=True, untouched=True, rejected=self._is_rejected(output))
        delivered = self._photos.existing(output.key, output.version_id) if output.version_id else None
        if delivered is None:
            return Facts(there=False, untouched=False, rejected=False)
        return Facts(
            there=True,
            untouched=self._replaced_by_us(job, picture, output, delivered, shown),
            rejected=self._is_rejected(output),
        )

    def _replaced_by_us(
        self, job: Job, picture: Picture, output: Output, delivered: Existing, shown: Existing | None
    ) -> bool:
        """Whether a newer output of the same photo took the place of one, and nobody's hand."""
        if shown is not None:
            return shown.metadata.get(SOURCE_KEY) == delivered.metadata.get(SOURCE_KEY)
        return output.key not in self._jobs.delivered_of(job.upload.bucket, picture.source_key).keys

    def _is_rejected(self, output: Output) -> bool:
        """Raises `Denied` where that cannot be told."""
        try:
            tags = self._photos.tags(output.key, output.version_id)
        except Missing:
            return False
        return tags.get(REVIEW) == REJECTED

    # The copies

    def _copy(self, job: Job, photo: Photo, picture: Picture) -> Stored:
        reused_from = picture.outputs[0].key
        metadata = output_metadata(job, dict(photo.metadata), Decimal(0), reused_from=reused_from)
        outputs = tuple(self._copy_one(job, photo, output, metadata) for output in picture.outputs)
        return Stored(tuple(output.key for output in outputs), "", outputs=outputs)

    def _copy_one(self, job: Job, photo: Photo, output: Output, metadata: Mapping[str, str]) -> Output:
        source = source_of(job.upload.bucket, job.upload.key)
        for key in output_keys(job.upload.key, photo.content_type, output.content_type, output.number):
            existing = self._photos.existing(key)
            if existing is not None:
                if existing.metadata.get(SOURCE_KEY) != source:
                    continue
                if sequencer_rank(existing.metadata.get(SEQUENCER, "")) > job.upload.rank:
                    raise _NewerDelivered
                there = as_output(output.number, key, existing)
                if _is_copy_for(existing, job) or (key == output.key and _is_very(existing, output)):
                    return there
                if _is_same_picture(existing, job) and self._is_rejected(there):
                    raise _Rejected
            return as_output(output.number, key, self._photos.copy_output(output, key, metadata, existing))
        raise Transient("no free key for the output")


def _is_very(existing: Existing, output: Output) -> bool:
    """Whether an object is exactly the output that was delivered."""
    return existing.version_id == output.version_id and existing.etag == output.etag


def _is_copy_for(existing: Existing, job: Job) -> bool:
    """Whether an output is a copy that was made for this very job."""
    return existing.metadata.get(JOB_ID) == job.job_id and REUSED_FROM in existing.metadata


def _is_same_picture(existing: Existing, job: Job) -> bool:
    """Whether an output was made of bytes equal to a job's photo."""
    facts = (existing.metadata.get(SOURCE_ETAG), existing.metadata.get(SOURCE_SIZE))
    return facts == (job.upload.etag, str(job.upload.size))
