"""The photos: what was uploaded, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO, Final, Protocol

from detag.domain.images import Head
from detag.domain.missed_uploads import Page, Position
from detag.domain.picture import Output
from detag.domain.values import dataclass
from detag.ports.errors import Transient

RECORD_TYPE: Final = "text/plain; charset=utf-8"


class Missing(Exception):
    """No such object or version."""


class Denied(Exception):
    """Reading it is not allowed, or not yet."""


class NotShown(Transient):
    """Something is at a key of the output bucket that may not be looked at; or not yet."""


class Archived(Exception):
    """It lies in an archive: nobody can read it before it is restored."""


class PreconditionFailed(Exception):
    """The object at the key is not the one that the call was conditional on."""


@dataclass(frozen=True, slots=True)
class Existing:
    """An object that is already there."""

    etag: str
    metadata: Mapping[str, str]
    versioned: bool = False
    """Whether it could be brought back after `remove`."""
    version_id: str | None = None
    """None where its bucket keeps no versions."""
    size: int = 0
    """Bytes."""
    content_type: str = ""


class PhotoStore(Protocol):
    """Input and output bucket. All raise `Transient`.

    What is read is the version that is named; without one, what is at the key now, and with an `etag` (without quotes)
    only if it is that object. A read raises `Missing`, `PreconditionFailed`, `Denied` or `Archived`.
    """

    def read_head(self, bucket: str, key: str, version_id: str | None, length: int, etag: str | None = None) -> Head:
        """At most the first `length` bytes."""
        ...

    def read_tail(self, bucket: str, key: str, version_id: str | None, length: int, etag: str | None = None) -> bytes:
        """At most the last `length` bytes."""
        ...

    def presign(
        self, bucket: str, key: str, version_id: str | None, seconds: int, content_type: str | None = None
    ) -> str:
        """A URL from which anybody may read exactly this version for so long.

        With a `content_type`, S3 sends it as that and unencoded, whatever the uploader had it stored as.
        """
        ...

    def existing(self, key: str, version_id: str | None = None) -> Existing | None:
        """What the output bucket has at a key, or a version that it had there; None outside of OutputPrefix, where the
        functions may not look. A version that may not be looked at counts as gone; raises `NotShown` for what is there
        now.
        """
        ...

    def tags(self, key: str, version_id: str | None) -> Mapping[str, str]:
        """The tags of an object in the output bucket, or of one version of it. Raises `Missing` or `Denied`."""
        ...

    def copy_output(self, source: Output, key: str, metadata: Mapping[str, str], replaces: Existing | None) -> Existing:
        """Copy exactly this output to a key of the output bucket, with that metadata and no tags, where `replaces` is
        still what is there (None: nothing is). Returns the copy.

        Raises `PreconditionFailed` where something else is there, `Missing`, `Denied` or `Archived` where the source
        cannot be read or is not the same any more.
        """
        ...

    def put(
        self,
        key: str,
        body: BinaryIO,
        length: int,
        content_type: str,
        metadata: Mapping[str, str],
        replaces: Existing | None,
    ) -> Existing:
        """Store an output of `length` bytes where `replaces` is still what is there (None: nothing is). Returns it.

        Raises `PreconditionFailed`. A body that ends early stores nothing and raises `Transient`.
        """
        ...

    def put_record(self, key: str, text: str, metadata: Mapping[str, str], replaces: Existing | None) -> None:
        """Store a text in the output bucket where `replaces` is still what is there. Raises `PreconditionFailed`."""
        ...

    def remove(self, key: str) -> bool:
        """Take an object out of the output bucket, its versions aside; False where that is not allowed."""
        ...


class Listing(Protocol):
    """What an input bucket with versions holds."""

    def versions(self, bucket: str, prefix: str, after: Position | None, most: int) -> Page:
        """The next page of at most `most` versions and delete markers of keys that begin with `prefix`, by key, the
        latest version of a key first.

        Raises `Transient`.
        """
        ...
