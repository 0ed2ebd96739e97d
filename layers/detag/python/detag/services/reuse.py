"""An upload whose picture was paid for before, or is being paid for: its result is copied, or waited for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
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
    is_interrupted_often,
    meet_picture,
    refuse_reuse,
)
from detag.domain.images import DELIVERABLE
from detag.domain.job import Job, sequencer_rank
from detag.domain.naming import (
    JOB_ID,
    REUSED_FROM,
    RUN_ID,
    SEQUENCER,
    SOURCE_KEY,
    output_metadata,
    short_key,
)
from detag.domain.picture import REJECTED, REVIEW, Delivery, Output, Picture, Result, prefer, reject
from detag.ports.clock import Clock
from detag.ports.errors import Transient, Unreadable
from detag.ports.jobs import JobStore
from detag.ports.photos import Archived, Denied, Existing, Missing, NotShown, PhotoStore, PreconditionFailed
from detag.services.storing import Storing, as_output

SPARE_SECONDS: Final = 10.0
"""Kept back from the deadline for one more copy; or to pay for the photo, where there can be none."""
GONE: Final = Facts(there=False, untouched=False, rejected=False)


class _Rejected(Exception):
    """What is at the name already was made of the same photo, and somebody rejected it."""


class _NewerDelivered(Exception):
    """A newer version of the same photo is already at the key."""


@dataclass(slots=True)
class _Meeting:
    """A photo that meets a known picture, and what was seen meanwhile: it is looked at again only where an attempt to
    copy showed that it had changed.
    """

    job: Job
    photo: Photo
    picture: Picture
    deadline: float
    uncopied: list[Delivery] = field(default_factory=list)
    """What could not be copied."""
    rejected: list[Result] = field(default_factory=list)
    """Of what a rejected copy is at the photo's own name."""
    objects: dict[tuple[str, str | None], Existing | None] = field(default_factory=dict)
    """What is in the output bucket, by key and version; None where nothing is."""
    tags: dict[tuple[str, str | None], Mapping[str, str] | Denied] = field(default_factory=dict)
    """Of these objects; none of what is gone."""
    delivered: dict[str, Collection[str]] = field(default_factory=dict)
    """By the key of another photo, where the outputs are that were delivered of it last."""

    def remember(self, key: str, there: Existing | None) -> None:
        """What is at a key by now."""
        if self.objects.get((key, None)) != there:
            self.tags.pop((key, None), None)
        self.objects[key, None] = there

    def forget(self, delivery: Delivery) -> None:
        """Have its outputs looked at again."""
        for output in delivery.outputs:
            for version_id in (None, output.version_id):
                self.objects.pop((output.key, version_id), None)
                self.tags.pop((output.key, version_id), None)


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
        met = meet_picture(job, picture, self._payers(picture), now=self._clock.now())
        if not isinstance(met, Reusable):
            return met
        meeting = _Meeting(job, photo, picture, deadline)
        while True:
            source = self._source(meeting)
            if isinstance(source, TakeOver):
                return source
            self._check_time(meeting)
            copied = self._copied(meeting, source.delivery)
            if isinstance(copied, _Rejected):
                meeting.rejected += [one for one in picture.results if one.originals == source.picture.first.originals]
            elif isinstance(copied, Exception):
                meeting.uncopied.append(source.delivery)
            else:
                break
        decided = after_copy(source, copied, now=self._clock.now(), price=self._price)
        if isinstance(decided, Again):
            raise Transient(decided.why)
        return decided

    def _payers(self, picture: Picture) -> list[Job | Untold]:
        found: list[Job | Untold] = []
        for job_id in picture.payers:
            try:
                job = self._jobs.get(job_id)
            except Unreadable:
                found.append(Untold())
            else:
                found += [] if job is None else [job]
        return found

    # What the output bucket shows

    def _existing(self, meeting: _Meeting, key: str, version_id: str | None = None) -> Existing | None:
        if (key, version_id) not in meeting.objects:
            self._check_time(meeting)
            meeting.objects[key, version_id] = self._photos.existing(key, version_id)
        return meeting.objects[key, version_id]

    def _tags(self, meeting: _Meeting, key: str, version_id: str | None) -> Mapping[str, str]:
        """Raises `Denied`."""
        if (key, version_id) not in meeting.tags:
            self._check_time(meeting)
            try:
                meeting.tags[key, version_id] = self._photos.tags(key, version_id)
            except Missing:
                meeting.tags[key, version_id] = {}
            except Denied as denied:
                meeting.tags[key, version_id] = denied
        found = meeting.tags[key, version_id]
        if isinstance(found, Denied):
            raise found
        return found

    def _check_time(self, meeting: _Meeting) -> None:
        if self._clock.monotonic() > meeting.deadline - SPARE_SECONDS:
            raise Transient("too little time is left to look for an output that can be reused")

    # Whether what is known can be used

    def _source(self, meeting: _Meeting) -> Source | TakeOver:
        """The first result that can be used: one under the upload's own name before all others, but those in whose
        place a new one was asked for last, and none of them where that one was rejected. Else why there is none.
        """
        picture, key = meeting.picture, meeting.job.upload.key
        refused, whys = list[Result](), list[str | None]()
        for result in sorted(picture.results, key=lambda one: (one.replaced, not one.has_name(key))):
            known = result in meeting.rejected or picture.was_rejected(result.run_id)
            if known or (result.replaced and refused):
                refused.append(result)
                continue
            found = self._source_in(meeting, result)
            if not isinstance(found, str | None):
                return Source(found[0], prefer(reject(picture, refused), result, found[1]))
            whys.append(found)
            if found == WAS_REJECTED:
                refused.append(result)
        return TakeOver(reject(picture, refused), WAS_REJECTED if refused else whys[0])

    def _source_in(self, meeting: _Meeting, result: Result) -> tuple[Delivery, Collection[Delivery]] | str | None:
        """The first name whose outputs are as they were delivered, the upload's own before all others, and those that
        are not; or why there is none. Of the names after it nothing but whether they were rejected is asked.
        """
        names = sorted(result.deliveries, key=lambda one: one.source_key != meeting.job.upload.key)
        found: Delivery | None = None
        facts: list[list[Facts]] = []
        gone: list[Delivery] = []
        try:
            for one in names:
                if found is None and one not in meeting.uncopied:
                    facts.append([self._facts_of(meeting, one, output) for output in one.outputs])
                    if is_as_delivered(facts[-1]):
                        found = one
                    else:
                        gone.append(one)
                else:
                    facts.append([replace(GONE, rejected=self._is_rejected(meeting, output)) for output in one.outputs])
            for one in names:
                if found is None and one not in meeting.uncopied and self._is_copied(meeting, one):
                    found = one
                    facts.append([Facts(there=True, untouched=True, rejected=False)])  # whether it is: when it is used
        except Denied:  # of the tags: whether it was rejected cannot be told
            return refuse_reuse([[GONE]])
        why = refuse_reuse(facts)
        return why if found is None or why else (found, gone)

    def _is_copied(self, meeting: _Meeting, delivery: Delivery) -> bool:
        """Whether all copies of an earlier delivery are there that were stored for this very job, which could not be
        saved: older outputs made way for them, and they are what the photo's name shows.
        """
        return all(self._has_copy(meeting, delivery, output) for output in delivery.outputs)

    def _has_copy(self, meeting: _Meeting, delivery: Delivery, output: Output) -> bool:
        if output.content_type not in DELIVERABLE:
            return False
        look = partial(self._existing, meeting)
        _, there = self._storing.place(meeting.job, output.content_type, output.number, look)
        return there is not None and _is_copy_for(there, meeting.job, delivery, output)

    def _facts_of(self, meeting: _Meeting, delivery: Delivery, output: Output) -> Facts:
        try:
            shown = self._existing(meeting, output.key)
        except NotShown:
            if not is_interrupted_often(meeting.job):
                raise
            return GONE
        if output.content_type not in DELIVERABLE:
            return GONE
        if shown is not None and _is_very(shown, output):
            return Facts(there=True, untouched=True, rejected=self._is_rejected(meeting, output))
        delivered = self._existing(meeting, output.key, output.version_id) if output.version_id else None
        if delivered is None or delivered.etag != output.etag:
            return GONE
        return Facts(
            there=True,
            untouched=self._replaced_by_us(meeting, delivery, output, delivered, shown),
            rejected=self._is_rejected(meeting, output),
        )

    def _replaced_by_us(
        self, meeting: _Meeting, delivery: Delivery, output: Output, delivered: Existing, shown: Existing | None
    ) -> bool:
        """Whether a newer output of the same photo took the place of one, and nobody's hand: that may have left the
        metadata as they were.
        """
        if shown is not None:
            retouched = _is_same_result(shown, delivered) and shown.etag != delivered.etag
            return not retouched and shown.metadata.get(SOURCE_KEY) == delivered.metadata.get(SOURCE_KEY)
        key = delivery.source_key
        if not key:
            return False
        if key not in meeting.delivered:
            meeting.delivered[key] = self._jobs.delivered_of(meeting.job.upload.bucket, key).keys
        return output.key not in meeting.delivered[key] or self._is_newer_stored(meeting, key, delivered)

    def _is_newer_stored(self, meeting: _Meeting, key: str, delivered: Existing) -> bool:
        """Whether a newer output of the same photo is there under another name, though its delivery is not finished:
        what it replaces may have been removed.
        """
        source, rank = delivered.metadata.get(SOURCE_KEY), sequencer_rank(delivered.metadata.get(SEQUENCER, ""))
        if self._jobs.newest_upload(meeting.job.upload.bucket, key) <= rank:
            return False
        there = filter(None, (self._existing(meeting, name) for name in self._storing.names(key, 1)))
        return any(
            one.metadata.get(SOURCE_KEY) == source and sequencer_rank(one.metadata.get(SEQUENCER, "")) > rank
            for one in there
        )

    def _is_rejected(self, meeting: _Meeting, output: Output) -> bool:
        """Raises `Denied` where that cannot be told. Without versions another photo's output may be at its key by now:
        its tags went with it. With them, what was delivered may have been stored anew, and rejected there.
        """
        try:
            shown = self._existing(meeting, output.key)
        except NotShown:
            shown = None
        if output.version_id is None and (shown is None or shown.etag != output.etag):
            return False
        versions = [output.version_id]
        if shown is not None and not _is_very(shown, output) and self._is_stored_anew(meeting, output, shown):
            versions.append(None)
        return any(self._tags(meeting, output.key, version).get(REVIEW) == REJECTED for version in versions)

    def _is_stored_anew(self, meeting: _Meeting, output: Output, shown: Existing) -> bool:
        """Whether what is at an output's key is the same result, as after a copy onto itself."""
        delivered = self._existing(meeting, output.key, output.version_id)
        return delivered is not None and _is_same_result(shown, delivered)

    # The copies

    def _copied(self, meeting: _Meeting, delivery: Delivery) -> Fetched | Missing | Denied | Archived | _Rejected:
        """What became of the copies of one delivery; or why there can be none."""
        refused: list[Missing | Denied | Archived | _Rejected] = []

        def store() -> Fetched:
            done: list[Output] = []
            try:
                return self._copy(meeting, delivery, done)
            except (Missing, Denied, Archived, _Rejected) as error:
                refused.append(error)
                if isinstance(error, Missing):
                    meeting.forget(delivery)
            except _NewerDelivered:
                return Overtaken(tuple(output.key for output in done))
            except PreconditionFailed:
                return NotStored("another delivery wrote the same key")
            return Stored((), "")

        stored = self._storing.alone(meeting.job, store, meeting.deadline)
        return refused[0] if refused else stored

    def _copy(self, meeting: _Meeting, delivery: Delivery, done: list[Output]) -> Stored:
        own, reused_from = dict(meeting.photo.metadata), delivery.outputs[0].key
        metadata = output_metadata(meeting.job, own, Decimal(0), reused_from=reused_from)
        for output in delivery.outputs:
            done.append(self._copy_one(meeting, delivery, output, metadata))  # noqa: PERF401 - kept if the next raises
        return Stored(tuple(output.key for output in done), "", outputs=tuple(done))

    def _copy_one(self, meeting: _Meeting, delivery: Delivery, output: Output, metadata: Mapping[str, str]) -> Output:
        """What is at its name is looked at again, now that no other worker stores anything there."""
        job = meeting.job

        def look(key: str) -> Existing | None:
            meeting.remember(key, found := self._photos.existing(key))
            return found

        key, existing = self._storing.place(job, output.content_type, output.number, look)
        if existing is not None:
            if sequencer_rank(existing.metadata.get(SEQUENCER, "")) > job.upload.rank:
                raise _NewerDelivered
            there = as_output(output.number, key, existing)
            if key == output.key and _is_very(existing, output):
                return there
            if existing.etag == output.etag and self._is_rejected(meeting, there):
                raise _Rejected
            if _is_copy_for(existing, job, delivery, output):
                return there
        copy = self._photos.copy_output(output, key, metadata, existing)
        meeting.remember(key, copy)
        return as_output(output.number, key, copy)


def _is_same_result(one: Existing, other: Existing) -> bool:
    """Whether two objects say that they are of the same run for the same photo."""
    return all(one.metadata.get(name) == other.metadata.get(name) for name in (JOB_ID, RUN_ID))


def _is_very(existing: Existing, output: Output) -> bool:
    """Whether an object is exactly the output that was delivered."""
    return existing.version_id == output.version_id and existing.etag == output.etag


def _is_copy_for(existing: Existing, job: Job, delivery: Delivery, output: Output) -> bool:
    """Whether an output is a copy of exactly that one, and was made for this very job."""
    copied_from = (existing.metadata.get(REUSED_FROM), existing.etag, existing.size)
    wanted = (short_key(delivery.outputs[0].key), output.etag, output.size)
    return existing.metadata.get(JOB_ID) == job.job_id and copied_from == wanted
