"""An upload whose picture was paid for before, or is being paid for: its result is copied, or waited for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from detag.domain.decisions import (
    WAS_REJECTED,
    Again,
    Facts,
    Fetched,
    NotStored,
    Overtaken,
    Photo,
    Reusable,
    Source,
    Step,
    Stored,
    TakeOver,
    Untold,
    after_copy,
    is_as_delivered,
    meet_picture,
    refuse_reuse,
)
from detag.domain.images import DELIVERABLE
from detag.domain.job import Job, sequencer_rank
from detag.domain.naming import (
    JOB_ID,
    REUSED_FROM,
    SEQUENCER,
    SOURCE_KEY,
    output_keys,
    output_metadata,
    short_key,
    source_of,
)
from detag.domain.picture import REJECTED, REVIEW, Delivery, Output, Picture, Result, prefer, reject
from detag.ports.clock import Clock
from detag.ports.errors import Transient, Unreadable
from detag.ports.jobs import JobStore
from detag.ports.photos import Archived, Denied, Existing, Missing, PhotoStore, PreconditionFailed
from detag.services.storing import Storing, as_output

GONE: Final = Facts(there=False, untouched=False, rejected=False)


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
        unreadable: list[Delivery] = []
        rejected: list[Result] = []
        while True:
            source = self._source(job, photo, picture, unreadable, rejected)
            if isinstance(source, TakeOver):
                return source
            copied = self._copied(job, photo, source.delivery, deadline)
            if isinstance(copied, _Rejected):
                rejected += [one for one in picture.results if one.originals == source.picture.first.originals]
            elif isinstance(copied, Exception):
                unreadable.append(source.delivery)
            else:
                break
        decided = after_copy(job, source, copied, now=self._clock.now(), price=self._price)
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

    def _source(
        self,
        job: Job,
        photo: Photo,
        picture: Picture,
        unreadable: Collection[Delivery],
        rejected: Collection[Result],
    ) -> Source | TakeOver:
        """The first result that can be used: one under the upload's own name before all others, but those in whose
        place a new one was asked for last, and none of them where that one was rejected. Else why there is none.
        """
        key, refused, whys = job.upload.key, list[Result](), list[str | None]()
        for result in sorted(picture.results, key=lambda one: (one.replaced, not one.has_name(key))):
            known = result in rejected or picture.was_rejected(result.run_id)
            if known or (result.replaced and refused):
                refused.append(result)
                continue
            found = self._source_in(job, photo, result, unreadable)
            if not isinstance(found, str | None):
                return Source(found[0], prefer(reject(picture, refused), result, found[1]))
            whys.append(found)
            if found == WAS_REJECTED:
                refused.append(result)
        return TakeOver(reject(picture, refused), WAS_REJECTED if refused else whys[0])

    def _source_in(
        self, job: Job, photo: Photo, result: Result, unreadable: Collection[Delivery]
    ) -> tuple[Delivery, Collection[Delivery]] | str | None:
        """The first name whose outputs are as they were delivered, the upload's own before all others, and those that
        are not; or why there is none. Of the names after it nothing but whether they were rejected is asked.
        """
        names = sorted(result.deliveries, key=lambda one: one.source_key != job.upload.key)
        found: Delivery | None = None
        facts: list[list[Facts]] = []
        gone: list[Delivery] = []
        try:
            for one in names:
                if found is None and one not in unreadable:
                    facts.append([self._facts_of(job, one, output) for output in one.outputs])
                    if is_as_delivered(facts[-1]):
                        found = one
                    else:
                        gone.append(one)
                else:
                    facts.append([replace(GONE, rejected=self._is_rejected(output)) for output in one.outputs])
            for one in names:
                if found is None and one not in unreadable and self._is_copied(job, photo, one):
                    found = one
                    facts.append([Facts(there=True, untouched=True, rejected=False)])  # whether it is: when it is used
        except Denied:  # of the tags: whether it was rejected cannot be told
            return refuse_reuse([[GONE]])
        why = refuse_reuse(facts)
        return why if found is None or why else (found, gone)

    def _is_copied(self, job: Job, photo: Photo, delivery: Delivery) -> bool:
        """Whether all copies of an earlier delivery are there that were stored for this very job, which could not be
        saved: older outputs made way for them, and they are what the photo's name shows.
        """
        return all(self._has_copy(job, photo, delivery, output) for output in delivery.outputs)

    def _has_copy(self, job: Job, photo: Photo, delivery: Delivery, output: Output) -> bool:
        if output.content_type not in DELIVERABLE:
            return False
        source = source_of(job.upload.bucket, job.upload.key)
        for key in output_keys(job.upload.key, photo.content_type, output.content_type, output.number):
            there = self._photos.existing(key)
            if there is None or there.metadata.get(SOURCE_KEY) == source:
                return there is not None and _is_copy_for(there, job, delivery, output)
        return False

    def _facts_of(self, job: Job, delivery: Delivery, output: Output) -> Facts:
        shown = self._photos.existing(output.key)
        if output.content_type not in DELIVERABLE:
            return GONE
        if shown is not None and _is_very(shown, output):
            return Facts(there=True, untouched=True, rejected=self._is_rejected(output))
        delivered = self._photos.existing(output.key, output.version_id) if output.version_id else None
        if delivered is None:
            return GONE
        return Facts(
            there=True,
            untouched=self._replaced_by_us(job, delivery, output, delivered, shown),
            rejected=self._is_rejected(output),
        )

    def _replaced_by_us(
        self, job: Job, delivery: Delivery, output: Output, delivered: Existing, shown: Existing | None
    ) -> bool:
        """Whether a newer output of the same photo took the place of one, and nobody's hand."""
        if shown is not None:
            return shown.metadata.get(SOURCE_KEY) == delivered.metadata.get(SOURCE_KEY)
        if not delivery.source_key:
            return False
        return output.key not in self._jobs.delivered_of(job.upload.bucket, delivery.source_key).keys

    def _is_rejected(self, output: Output) -> bool:
        """Raises `Denied` where that cannot be told. Without versions another photo's output may be at its key by now:
        its tags went with it.
        """
        if output.version_id is None:
            shown = self._photos.existing(output.key)
            if shown is None or shown.etag != output.etag:
                return False
        try:
            tags = self._photos.tags(output.key, output.version_id)
        except Missing:
            return False
        return tags.get(REVIEW) == REJECTED

    # The copies

    def _copied(
        self, job: Job, photo: Photo, delivery: Delivery, deadline: float
    ) -> Fetched | Missing | Denied | Archived | _Rejected:
        """What became of the copies of one delivery; or why there can be none."""
        refused: list[Missing | Denied | Archived | _Rejected] = []

        def store() -> Fetched:
            try:
                return self._copy(job, photo, delivery)
            except (Missing, Denied, Archived, _Rejected) as error:
                refused.append(error)
            except _NewerDelivered:
                return Overtaken()
            except PreconditionFailed:
                return NotStored("another delivery wrote the same key")
            return Stored((), "")

        stored = self._storing.alone(job, store, deadline)
        return refused[0] if refused else stored

    def _copy(self, job: Job, photo: Photo, delivery: Delivery) -> Stored:
        reused_from = delivery.outputs[0].key
        metadata = output_metadata(job, dict(photo.metadata), Decimal(0), reused_from=reused_from)
        outputs = tuple(self._copy_one(job, photo, delivery, output, metadata) for output in delivery.outputs)
        return Stored(tuple(output.key for output in outputs), "", outputs=outputs)

    def _copy_one(
        self, job: Job, photo: Photo, delivery: Delivery, output: Output, metadata: Mapping[str, str]
    ) -> Output:
        source = source_of(job.upload.bucket, job.upload.key)
        for key in output_keys(job.upload.key, photo.content_type, output.content_type, output.number):
            existing = self._photos.existing(key)
            if existing is not None:
                if existing.metadata.get(SOURCE_KEY) != source:
                    continue
                if sequencer_rank(existing.metadata.get(SEQUENCER, "")) > job.upload.rank:
                    raise _NewerDelivered
                there = as_output(output.number, key, existing)
                if key == output.key and _is_very(existing, output):
                    return there
                if existing.etag == output.etag and self._is_rejected(there):
                    raise _Rejected
                if _is_copy_for(existing, job, delivery, output):
                    return there
            return as_output(output.number, key, self._photos.copy_output(output, key, metadata, existing))
        raise Transient("no free key for the output")


def _is_very(existing: Existing, output: Output) -> bool:
    """Whether an object is exactly the output that was delivered."""
    return existing.version_id == output.version_id and existing.etag == output.etag


def _is_copy_for(existing: Existing, job: Job, delivery: Delivery, output: Output) -> bool:
    """Whether an output is a copy of exactly that one, and was made for this very job."""
    copied_from = (existing.metadata.get(REUSED_FROM), existing.etag, existing.size)
    wanted = (short_key(delivery.outputs[0].key), output.etag, output.size)
    return existing.metadata.get(JOB_ID) == job.job_id and copied_from == wanted
