"""A picture: what a photo shows, under whatever names and however often it is uploaded. It is paid for once.

A picture is free (it has no item, or one that says nothing), taken by the job that pays for it, or known by the outputs
that were delivered of it; and both where it is being paid for anew. Each change is a pure function from a picture to
the next, numbered `version + 1`: the store writes it in the same transaction as the job, and only over the version that
it was made from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from detag.domain.images import DELIVERABLE
from detag.domain.runs import MODEL
from detag.domain.values import dataclass

MAX_KEY_BYTES: Final = 1_024
"""Of a key in S3, as UTF-8."""
REVIEW: Final = "detag-review"
REJECTED: Final = "rejected"
"""The object tag by which an operator says that an output is not good enough."""
MAX_WAITING: Final = 100
"""How many jobs are woken at once where a picture is free or known; others that wait come due by themselves."""
MAX_NAMES: Final = 20
"""Under how many names a picture is remembered: those of the run's own outputs and of the newest copies."""
MAX_KNOWN_OUTPUTS: Final = 64
"""How many outputs those may be in all: an item holds 400 KB, and a key may have 1 KB."""
MAX_RESULTS: Final = 4
"""How many results of one picture are remembered: there are others only where a run ended well after all, or somebody
asked for another."""


def picture_id(etag: str, size: int, *, ratio: str | None, again: str | None) -> str | None:
    """Thirty-two hex digits for equal bytes with equal wishes; None where the photo's ETag is not known.

    `ratio` and the model decide the result; `again` is a word by which an uploader asks for another one.
    """
    if not etag:
        return None
    return hashlib.sha256(json.dumps([etag, size, MODEL, ratio, again]).encode()).hexdigest()[:32]


def output_id(etag: str, size: int) -> str | None:
    """What bytes are known by if detag delivers them: thirty-two hex digits; None where the ETag is not known."""
    return hashlib.sha256(json.dumps([etag, size]).encode()).hexdigest()[:32] if etag else None


@dataclass(frozen=True, slots=True)
class Output:
    """One output, exactly as it was delivered."""

    number: int
    """Which of the run's outputs it is, from 1."""
    key: str
    version_id: str | None
    """None in an output bucket without versions."""
    etag: str
    """Without quotes."""
    size: int
    """Bytes."""
    content_type: str

    @property
    def is_possible(self) -> bool:
        """Whether detag could have delivered it: an item may name anything."""
        return self.number > 0 and self.content_type in DELIVERABLE and 0 < len(self.key.encode()) <= MAX_KEY_BYTES


@dataclass(frozen=True, slots=True)
class Delivery:
    """All that was delivered of a picture for one photo."""

    source_key: str
    """The photo's key; empty where nobody wrote it down."""
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one run made of a picture, under the names that are remembered of it."""

    source_key: str = ""
    """The key of the photo whose outputs these are."""
    outputs: tuple[Output, ...] = ()
    """What was delivered of it last: the outputs of a run, or copies of them."""
    originals: tuple[Output, ...] = ()
    """The outputs of the run that all of these are copies of, or the same: by them one result is told from another."""
    older: tuple[Delivery, ...] = ()
    """What the same result was delivered as before, under other names, the newest first."""
    run_id: str | None = None
    """Runflow's id of that run."""
    partial: bool = False
    """Whether the run made less than it was asked for."""
    replaced: bool = False
    """Whether a new run was asked for in its place: it is used only where what that made is gone."""

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """All that is remembered of it, the newest first. Its originals stay among them, even deleted: whether they
        were rejected is always looked at.
        """
        named = (Delivery(self.source_key, self.outputs), *self.older)
        if not self.originals or any(one.outputs == self.originals for one in named):
            return named
        return (*named, Delivery("", self.originals))

    def has_name(self, source_key: str) -> bool:
        """Whether it was delivered for a photo of that key."""
        return any(one.source_key == source_key for one in self.deliveries)

    def named(self, delivered: Delivery) -> Result:
        """The same with one more name, or with one as it was delivered last."""
        others = tuple(one for one in self.deliveries if one.source_key not in ("", delivered.source_key))
        return replace(self, source_key=delivered.source_key, outputs=delivered.outputs, older=others)

    def without(self, gone: Collection[Delivery]) -> Result:
        """The same without names whose outputs are gone; one is left in any case."""
        left = [one for one in self.deliveries if one not in gone and one.source_key]
        if not left:
            return self
        return replace(self, source_key=left[0].source_key, outputs=left[0].outputs, older=tuple(left[1:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture, as one item of the job table keeps it."""

    picture_id: str
    version: int = 0
    """Incremented by each change; 0 for a picture without an item."""
    taken_by: str | None = None
    """The job that pays for it."""
    taken_until: float = 0.0
    """When another job may take it, whatever has become of that one: as long as a run may take."""
    also_taken_by: tuple[str, ...] = ()
    """Jobs that have paid for it too: their runs turned up while that one did. It is theirs once that one leaves it."""
    waiting: tuple[str, ...] = ()
    """Jobs that are woken once it is free or known."""
    results: tuple[Result, ...] = ()
    """What is known of it: the result of the run that was paid for last, or the one that is preferred; then those of
    other runs, which ended well after all, or were there before another was paid for.
    """
    rejected_runs: tuple[str, ...] = ()
    """The runs whose results were seen to be rejected: they are not used any more, however they are delivered again."""
    known_version: int = 0
    """The version with which something was delivered of it last."""

    @property
    def payers(self) -> tuple[str, ...]:
        """All jobs that pay for it, or have."""
        return tuple(filter(None, (self.taken_by, *self.also_taken_by)))

    @property
    def first(self) -> Result:
        """The result that comes before the others; an empty one where there is none."""
        return self.results[0] if self.results else Result()

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """All that is remembered of all its results."""
        return tuple(one for result in self.results for one in result.deliveries)

    @property
    def is_known(self) -> bool:
        """Whether something was delivered of it. Where its item names what cannot be, it says nothing."""
        return bool(self.first.outputs) and all(one.is_possible for made in self.deliveries for one in made.outputs)

    @property
    def expires(self) -> bool:
        """Whether the item may be deleted in the end. What is known is remembered for as long as its output exists."""
        return not self.is_known

    def was_rejected(self, run_id: str | None) -> bool:
        """Whether the result of a run was seen to be rejected. Which run made it is not always known."""
        return run_id is not None and run_id in self.rejected_runs


def take(picture: Picture, job_id: str, until: float) -> Picture:
    """Let a job pay for it. What is known of it stays, in case that fails."""
    return replace(picture, version=picture.version + 1, taken_by=job_id, taken_until=until, also_taken_by=())


def retake(picture: Picture, job_id: str, now: float, span: float) -> Picture:
    """Let a job have it for so long whose run is used after all; beside another one that pays for it."""
    until = now + span
    if picture.taken_by in (None, job_id) or now >= picture.taken_until:
        return take(picture, job_id, until)
    also = tuple(dict.fromkeys((*picture.also_taken_by, job_id)))
    until = max(until, picture.taken_until)
    return replace(picture, version=picture.version + 1, taken_until=until, also_taken_by=also)


def keep(picture: Picture, job_id: str, claimed: int | None) -> Picture | None:
    """Let the job that has it send its photo again; None where another has it too, or something was delivered of it
    since the claim that wrote the version `claimed`: None where a new result was asked for.
    """
    if picture.payers != (job_id,) or (claimed is not None and picture.known_version > claimed):
        return None
    return replace(picture, version=picture.version + 1)


def wait(picture: Picture, job_id: str) -> Picture:
    """Have a job woken when the one that pays for it has ended."""
    if job_id not in picture.waiting and len(picture.waiting) >= MAX_WAITING:
        return picture
    waiting = tuple(dict.fromkeys((*picture.waiting, job_id)))
    return replace(picture, version=picture.version + 1, waiting=waiting)


def leave(picture: Picture, job_id: str, *, known: bool = False) -> Picture:
    """Let the next one have it, or take it, if the job still has it. `known`: something was delivered of it, so that
    nobody waits for another one that has paid for it too.
    """
    if job_id not in picture.payers:
        return picture
    version, others = picture.version + 1, tuple(one for one in picture.payers if one != job_id)
    if not others or (known and job_id == picture.taken_by):
        return replace(picture, version=version, taken_by=None, taken_until=0.0, also_taken_by=(), waiting=())
    return replace(picture, version=version, taken_by=others[0], also_taken_by=others[1:])


def know(
    picture: Picture,
    job_id: str,
    delivered: Delivery,
    *,
    copies: bool,
    of: tuple[Output, ...] | None = None,
    run_id: str | None = None,
    partial: bool = False,
    asked: bool = False,
    alone: bool = False,
) -> Picture:
    """Remember what was delivered of it; `copies`: of a result that was known, the one with the originals `of`, or the
    first. `asked`: a new run was asked for in place of what was known. `alone`: its job paid for itself alone, since
    results were not reused then.

    A copy is one more name of its result, since people delete the old folder after they renamed it, or the new one
    again; so are the outputs of the same run, stored again. The result of another run stays beside what was known: in
    front, where its job has the picture or paid for itself alone, and behind, where it came late. What was rejected
    makes way for it.
    """
    left = leave(picture, job_id)
    if picture.was_rejected(run_id):
        return left
    results = list(picture.results) if picture.is_known else []
    number = next((n for n, one in enumerate(results) if _is_same(one, copies=copies, of=of, run_id=run_id)), None)
    if number is None and of is not None:  # what it was copied from is not known any more
        return left
    if number is not None:
        if delivered in results[number].deliveries:
            return left
        results[number] = results[number].named(delivered)
    else:
        key, outputs = delivered.source_key, delivered.outputs
        made = Result(source_key=key, outputs=outputs, originals=outputs, run_id=run_id, partial=partial)
        known = [one for one in results if not picture.was_rejected(one.run_id)]
        results = _beside(known, made, first=alone or picture.taken_by == job_id, asked=asked)
    version = picture.version + 1
    left = leave(picture, job_id, known=True)
    return replace(left, results=_fitting(results), version=version, known_version=version)


def _beside(known: Sequence[Result], made: Result, *, first: bool, asked: bool) -> list[Result]:
    """What is known, with one more result: the `first`, or one that came late."""
    if first:
        return [made, *(replace(one, replaced=one.replaced or asked) for one in known)]
    return [*known[: MAX_RESULTS - 1], made]


def _is_same(one: Result, *, copies: bool, of: tuple[Output, ...] | None, run_id: str | None) -> bool:
    if copies:
        return of in (None, one.originals)
    return run_id is not None and one.run_id == run_id


def _fitting(results: Sequence[Result]) -> tuple[Result, ...]:
    """As many results as are remembered, the first in any case: each with its newest name and its originals, and with
    as many of the other names as there may be in all.
    """
    fitting = [*results[:MAX_RESULTS]]
    while len(fitting) > 1 and _most_outputs(fitting) < 0:
        fitting.pop()
    names, outputs = MAX_NAMES - 2 * len(fitting), _most_outputs(fitting)
    for number, result in enumerate(fitting):
        kept: list[Delivery] = []
        for one in result.older:
            if one.outputs == result.originals:
                kept.append(one)
            elif names > 0 and len(one.outputs) <= outputs:
                kept.append(one)
                names, outputs = names - 1, outputs - len(one.outputs)
        fitting[number] = replace(result, older=tuple(kept))
    return tuple(fitting)


def _most_outputs(results: Sequence[Result]) -> int:
    """How many outputs the other names of these results may have."""
    return MAX_KNOWN_OUTPUTS - sum(len(one.outputs) + len(one.originals) for one in results)


def reject(picture: Picture, rejected: Collection[Result]) -> Picture:
    """A picture that remembers which of its results were rejected, where the run is known that made them."""
    runs = dict.fromkeys((*picture.rejected_runs, *(one.run_id for one in rejected if one.run_id is not None)))
    return replace(picture, rejected_runs=tuple(runs)[-MAX_NAMES:])


def prefer(picture: Picture, result: Result, gone: Collection[Delivery]) -> Picture:
    """A known picture with the result that is used in front of the others, and without those of its names that are
    gone.
    """
    others = (one for one in picture.results if one.originals != result.originals)
    return replace(picture, results=(result.without(gone), *others))


def woken(before: Picture, after: Picture) -> tuple[str, ...]:
    """The jobs that waited for what has changed."""
    return before.waiting if before.waiting and not after.waiting else ()
