"""A picture: what a photo shows, under whatever names and however often it is uploaded. It is paid for once.

A picture is free (it has no item, or one that says nothing), taken by the job that pays for it, or known by the outputs
that were delivered of it; and both where it is being paid for anew. Each change is a pure function from a picture to
the next, numbered `version + 1`: the store writes it in the same transaction as the job, and only over the version that
it was made from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final

from detag.domain.images import DELIVERABLE
from detag.domain.runs import MODEL

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
class Picture:
    """One picture, as one item of the job table keeps it."""

    picture_id: str
    version: int = 0
    """Incremented by each change; 0 for a picture without an item."""
    taken_by: str | None = None
    """The job that pays for it."""
    taken_until: float = 0.0
    """When another job may take it, whatever has become of that one: as long as a run may take."""
    waiting: tuple[str, ...] = ()
    """Jobs that are woken once it is free or known."""
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
    known_version: int = 0
    """The version with which something was delivered of it last."""

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """All that is remembered of the result that was delivered last, the newest first. Its originals stay among
        them, even deleted: whether they were rejected is always looked at.
        """
        named = (Delivery(self.source_key, self.outputs), *self.older)
        if not self.originals or any(one.outputs == self.originals for one in named):
            return named
        return (*named, Delivery("", self.originals))

    @property
    def is_known(self) -> bool:
        """Whether something was delivered of it. Where its item names what cannot be, it says nothing."""
        return bool(self.outputs) and all(one.is_possible for made in self.deliveries for one in made.outputs)

    @property
    def expires(self) -> bool:
        """Whether the item may be deleted in the end. What is known is remembered for as long as its output exists."""
        return not self.is_known


def take(picture: Picture, job_id: str, until: float) -> Picture:
    """Let a job pay for it. What is known of it stays, in case that fails."""
    return replace(picture, version=picture.version + 1, taken_by=job_id, taken_until=until)


def retake(picture: Picture, job_id: str, now: float, span: float) -> Picture:
    """Let a job have it for so long whose run is used after all, unless another one pays for it."""
    if picture.taken_by not in (None, job_id) and now < picture.taken_until:
        return picture
    return take(picture, job_id, now + span)


def keep(picture: Picture, job_id: str, claimed: int | None) -> Picture | None:
    """Let the job that has it send its photo again; None where another has it, or something was delivered of it since
    the claim that wrote the version `claimed`: None where a new result was asked for.
    """
    if picture.taken_by != job_id or (claimed is not None and picture.known_version > claimed):
        return None
    return replace(picture, version=picture.version + 1)


def wait(picture: Picture, job_id: str) -> Picture:
    """Have a job woken when the one that pays for it has ended."""
    if job_id not in picture.waiting and len(picture.waiting) >= MAX_WAITING:
        return picture
    waiting = tuple(dict.fromkeys((*picture.waiting, job_id)))
    return replace(picture, version=picture.version + 1, waiting=waiting)


def leave(picture: Picture, job_id: str) -> Picture:
    """Let the next one take it, if the job still has it."""
    if picture.taken_by != job_id:
        return picture
    return replace(picture, version=picture.version + 1, taken_by=None, taken_until=0.0, waiting=())


def know(
    picture: Picture,
    job_id: str,
    delivered: Delivery,
    *,
    copies: bool,
    run_id: str | None = None,
    partial: bool = False,
) -> Picture:
    """Remember what was delivered of it; `copies`: of what was known.

    A copy is one more name of the same result, since people delete the old folder after they renamed it, or the new one
    again; the outputs of another run take the place of all that was known, but not those of the same run, stored again.
    """
    left = leave(picture, job_id)
    same = picture.is_known and (copies or (run_id is not None and run_id == picture.run_id))
    if same and delivered in picture.deliveries:
        return left
    others = [one for one in picture.deliveries if one.source_key not in ("", delivered.source_key)] if same else []
    originals = picture.originals if same else delivered.outputs
    return replace(
        left,
        version=picture.version + 1,
        source_key=delivered.source_key,
        outputs=delivered.outputs,
        originals=originals,
        older=_newest(delivered, others, originals),
        run_id=picture.run_id if same else run_id,
        partial=picture.partial if same else partial,
        known_version=picture.version + 1,
    )


def _newest(delivered: Delivery, others: Iterable[Delivery], originals: tuple[Output, ...]) -> tuple[Delivery, ...]:
    """As many of the others as are remembered beside what was delivered, and in any case the originals."""
    kept: list[Delivery] = []
    names, outputs = MAX_NAMES - 2, MAX_KNOWN_OUTPUTS - len(delivered.outputs) - len(originals)
    for one in others:
        if one.outputs == originals:
            kept.append(one)
        elif names and len(one.outputs) <= outputs:
            kept.append(one)
            names, outputs = names - 1, outputs - len(one.outputs)
    return tuple(kept)


def without(picture: Picture, gone: Collection[Delivery]) -> Picture:
    """A known picture without names whose outputs are gone; one is left in any case."""
    left = [one for one in picture.deliveries if one not in gone and one.source_key]
    if not left:
        return picture
    return replace(picture, source_key=left[0].source_key, outputs=left[0].outputs, older=tuple(left[1:]))


def woken(before: Picture, after: Picture) -> tuple[str, ...]:
    """The jobs that waited for what has changed."""
    return before.waiting if before.waiting and not after.waiting else ()
