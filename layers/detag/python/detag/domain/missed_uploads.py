"""The scan of the input bucket for uploads that no event told of: which objects it takes up, and where it goes on.

EventBridge may take five minutes until it tells of a bucket's uploads (S3 User Guide, "Enabling Amazon EventBridge").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from detag.domain import waits
from detag.domain.job import Upload
from detag.domain.prefix_claim import STACKS_KEY
from detag.domain.values import dataclass

PAGE: Final = 1_000
"""Versions in one page of a listing: as many as S3 gives."""
MAX_OBJECTS: Final = 100_000
"""A bucket with more objects is not scanned to its end."""
MAX_LISTED: Final = 1_000_000
"""Nor one with more versions and delete markers, however few objects they leave: at a page a minute, 17 hours."""

Position = tuple[str, str]
"""Key and version after which a listing goes on."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The latest version of an object, as a listing shows it."""

    key: str
    version_id: str
    etag: str
    """Without quotes."""
    size: int
    """Bytes."""
    modified: float

    def message(self, bucket: str) -> dict[str, Any]:
        """What `detag.domain.uploads.read_upload` reads."""
        return {
            "listed": {
                "bucket": bucket,
                "key": self.key,
                "version_id": self.version_id,
                "etag": self.etag,
                "size": self.size,
                "modified": self.modified,
            }
        }


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing."""

    latest: Sequence[Listed]
    entries: int
    """How many versions and delete markers it holds, the latest and others."""
    next: Position | None
    """None on the last page."""


@dataclass(frozen=True, slots=True)
class Place:
    """What is scanned: a folder of the input bucket, or all of it."""

    bucket: str
    prefix: str
    is_own: bool
    """Whether the stack made the bucket."""

    @property
    def name(self) -> str:
        """What a scan is told apart by; no bucket's name has a slash."""
        return f"{self.bucket}/{self.prefix}"

    @property
    def is_unnamed(self) -> bool:
        """Whether a scan that names no place is of this one: earlier versions knew no other."""
        return self.is_own and not self.prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """Where the scan stands, as one item of the job table keeps it."""

    since: float
    """The scan takes up what was uploaded from this time on: at first the time at which the job table was created, and
    in a place that it did not scan before, the time at which it came there.
    """
    place: str = ""
    """The bucket and the prefix that it is of, with a slash between them. A scan of another place starts anew."""
    started_at: float = 0.0
    """When the scan that is under way, or the latest, began."""
    next_at: float = 0.0
    """Before this no page is asked for."""
    after_key: str = ""
    """Where the next page begins; empty for the first."""
    after_version: str = ""
    """The version of `after_key` at which the next page begins."""
    entries: int = 0
    """How many versions and delete markers it has seen."""
    objects: int = 0
    """How many objects it has seen: the latest versions among them."""
    completed_at: float = 0.0
    """When a scan last came to the end of the bucket."""
    too_large: bool = False
    """Whether the latest scan was broken off, since the bucket holds too much."""
    version: int = 0
    """One more after each write; 0 for a scan without an item."""

    @property
    def after(self) -> Position | None:
        """Where the next page begins; None for the first."""
        return (self.after_key, self.after_version) if self.after_key else None


def first_scan(place: Place, created_at: float) -> Scan:
    """The first of a table that was created at a time."""
    return Scan(since=_second(created_at), place=place.name)


def scan_of(place: Place, stored: Scan, *, now: float) -> Scan:
    """The scan of a place, from the one that the item keeps.

    Where that is of another place, or it is not known of which, what is here now may have been here before the stack
    was: it is not paid for.
    """
    if stored.place == place.name or (not stored.place and place.is_unnamed):
        return replace(stored, place=place.name)
    return Scan(since=_second(now), place=place.name, version=stored.version + 1)


def scan_over(place: Place, created_at: float, *, now: float) -> Scan:
    """The scan of a place where the item cannot be read: done again it does no harm, in the one place that every
    version knew.
    """
    over = first_scan(place, created_at) if place.is_unnamed else Scan(since=_second(now), place=place.name)
    return replace(over, version=1)


def _second(time: float) -> float:
    """A listing has whole seconds."""
    return float(int(time))


def taken_up(scan: Scan, listed: Listed, *, now: float) -> bool:
    """Whether an upload without a job is made one.

    It may not be younger than the time that its event may take, nor older than this scan's span or than the items of
    closed jobs: what was paid for long ago has no item any more. A version called null has no name of its own: its job
    cannot be told from its listing. The list of stacks is none.
    """
    youngest = now - waits.LATE_EVENT.seconds
    oldest = max(scan.since, now - waits.REMEMBERED.seconds)
    named = listed.version_id != "null" and listed.key != STACKS_KEY
    return named and oldest <= listed.modified <= youngest


def is_overtaken(upload: Upload, newest: str) -> bool:
    """Whether an upload that no event told of would be ranked below what is known of its name, the rank `newest`:
    empty where nothing is.

    Every event ranks above every listing, whatever came first, so that only the upload's own event can tell. Uploads
    that the scan has found are in the order of their times.
    """
    return newest > upload.rank


def after_page(scan: Scan, page: Page, *, now: float) -> Scan:
    """Where the scan stands after a page."""
    first = scan.after is None
    before = replace(scan, started_at=now, entries=0, objects=0) if first else scan
    started, entries, objects = before.started_at, before.entries + page.entries, before.objects + len(page.latest)
    moved = replace(before, entries=entries, objects=objects, version=scan.version + 1)
    if page.next is not None and objects <= MAX_OBJECTS and entries < MAX_LISTED:
        return replace(moved, after_key=page.next[0], after_version=page.next[1])
    moved = replace(moved, after_key="", after_version="")
    if page.next is not None:
        return replace(moved, too_large=True, next_at=now + waits.TOO_LARGE_TO_SCAN.seconds)
    return replace(
        moved,
        since=max(scan.since, started - waits.SCAN_OVERLAP.seconds),
        completed_at=now,
        too_large=False,
        next_at=now + waits.SCAN_AGAIN.seconds,
    )
