"""Two kinds of bucket in memory: versioned ones that photos are dropped into, and one that outputs are written to."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final
from urllib.parse import parse_qs, quote, unquote, urlsplit

from detag.domain.images import Head
from detag.domain.missed_uploads import Listed, Page, Position
from detag.domain.picture import Output
from detag.ports.clock import Clock
from detag.ports.effect_fake import Effect, no_effect
from detag.ports.errors import Transient
from detag.ports.photos import RECORD_TYPE, Archived, Denied, Existing, Missing, NotShown, PreconditionFailed

_HOST: Final = ".s3.eu-central-1.amazonaws.com"
_KEY: Final = b"signs the URLs of this fake"


@dataclass(frozen=True, slots=True)
class Stored:
    """An object. `etag` without quotes."""

    data: bytes
    etag: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/octet-stream"
    content_encoding: str = ""
    modified: float = 0.0
    version_id: str | None = None
    """In the output bucket."""


class FakePhotoStore:
    """See `detag.ports.photos.PhotoStore`, and `Listing`.

    Its effects are "photos.<method>", but for presign, which calls nobody.

    Input buckets are made by the first `upload`. A bucket named in `unversioned` keeps the last upload only; one in
    `suspended` the last, as version "null", beside those from before.
    """

    def __init__(self, clock: Clock, output_bucket: str = "outputs", effect: Effect = no_effect) -> None:
        self.output_bucket = output_bucket
        self.output_prefix = ""
        """The folder of the output bucket at which the functions may look; a test may set another later."""
        self.outputs: dict[str, Stored] = {}
        """Everything in the output bucket by key, records included; a test may put in what others have stored there."""
        self.puts: list[tuple[str, Stored]] = []
        """Every write to the output bucket, oldest first."""
        self.unversioned: set[str] = set()
        self.suspended: set[str] = set()
        self.older: dict[tuple[str, str], Stored] = {}
        """Every version that the output bucket ever had, by key and version; a test may take one out."""
        self.output_tags: dict[tuple[str, str | None], dict[str, str]] = {}
        """Tags in the output bucket, by key and version."""
        self.keeps_versions = True
        """Whether the output bucket does."""
        self.removed: list[tuple[str, Stored]] = []
        """What was taken out of it, oldest first."""
        self.denied: set[tuple[str, str]] = set()
        """Bucket and key of what may not be read."""
        self.failing: set[tuple[str, str]] = set()
        """Bucket and key of what S3 fails to give out."""
        self.closed: set[str] = set()
        """Keys of the output bucket whose objects may not be looked at, nor written over."""
        self.read_only = False
        """Whether nothing may be stored in the output bucket."""
        self.archived: set[tuple[str, str]] = set()
        """Bucket and key of what lies in an archive."""
        self.rights_spread = True
        """Whether detag may read photos already: what IAM was told takes a while to reach S3."""
        self.sizes: dict[tuple[str, str], int] = {}
        """By key and version, what a listing tells where it is not the length of the bytes that are kept here."""
        self._versions: dict[tuple[str, str], dict[str, Stored | None]] = {}
        """By bucket and key, oldest first; None is a delete marker."""
        self._count = 0
        self._clock, self._effect = clock, effect

    # What others do

    def upload(
        self, bucket: str, key: str, data: bytes, metadata: Mapping[str, str] | None = None, *, encoding: str = ""
    ) -> dict[str, Any]:
        """Store an object, over whatever was there, and return the event that EventBridge would send. `encoding`: what
        the uploader says of it, rightly or not.
        """
        stored = replace(_stored(data, metadata or {}, "application/octet-stream"), content_encoding=encoding)
        return self._event(bucket, key, stored, self._add(bucket, key, stored), "PutObject")

    def copy(self, bucket: str, key: str, target: str) -> dict[str, Any]:
        """Store a copy of an object under another key, as a tool does that renames; returns the copy's event."""
        stored = self._find(bucket, key, None)
        return self._event(bucket, target, stored, self._add(bucket, target, stored), "CopyObject")

    def _event(self, bucket: str, key: str, stored: Stored, version: str, reason: str) -> dict[str, Any]:
        data = stored.data
        thing = {"key": key, "size": len(data), "etag": stored.etag, "sequencer": f"{self._count:018X}"}
        if bucket not in self.unversioned:
            thing["version-id"] = version
        return {
            "version": "0",
            "id": f"{self._count:08x}-0000-4000-8000-000000000000",
            "detail-type": "Object Created",
            "source": "aws.s3",
            "account": "123456789012",
            "time": datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": "eu-central-1",
            "resources": [f"arn:aws:s3:::{bucket}"],
            "detail": {"version": "0", "bucket": {"name": bucket}, "object": thing, "reason": reason},
        }

    def delete(self, bucket: str, key: str, version_id: str | None = None) -> None:
        """Delete an object, leaving a delete marker where there are versions; or one version for good."""
        versions = self._versions.setdefault((bucket, key), {})
        if version_id is not None:
            versions.pop(version_id, None)
        else:
            self._add(bucket, key, None)
            if bucket in self.unversioned:
                versions.clear()

    def current(self, bucket: str, key: str) -> tuple[str, Stored] | None:
        """What is at a key, and the id of its version; None where nothing is, or a delete marker."""
        versions = self._versions.get((bucket, key), {})
        version = next(reversed(versions), "")
        stored = versions.get(version)
        return None if stored is None else (version, stored)

    def open_url(self, url: str, at: float | None = None) -> Stored:
        """What a presigned URL gives anybody at a time, or now. Raises `Denied` (expired, or not as it was signed) or
        `Missing`.
        """
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        unsigned, _, signature = url.partition("&X-Amz-Signature=")
        begins, seconds = float(query.get("X-Amz-Date", 0)), float(query.get("X-Amz-Expires", 0))
        if signature != _signature(unsigned):
            raise Denied("SignatureDoesNotMatch")
        if (self._clock.now() if at is None else at) >= begins + seconds:
            raise Denied("Request has expired")
        bucket = parts.netloc.removesuffix(_HOST)
        stored = self._readable(bucket, unquote(parts.path[1:]), query.get("versionId"))
        return replace(
            stored,
            content_type=query.get("response-content-type", stored.content_type),
            content_encoding=query.get("response-content-encoding", stored.content_encoding),
        )

    def _add(self, bucket: str, key: str, stored: Stored | None) -> str:
        """A version, or a delete marker, on top of the others; returns its id."""
        self._count += 1
        versions = self._versions.setdefault((bucket, key), {})
        if bucket in self.unversioned:
            versions.clear()
        keeps = bucket not in self.unversioned | self.suspended
        version = hashlib.sha256(str(self._count).encode()).hexdigest()[:32] if keeps else "null"
        versions.pop(version, None)
        # S3 tells whole seconds
        versions[version] = stored and replace(stored, modified=float(int(self._clock.now())))
        return version

    def _find(self, bucket: str, key: str, version_id: str | None) -> Stored:
        there = self.current(bucket, key)
        if version_id:
            stored = self._versions.get((bucket, key), {}).get(version_id)
        else:
            stored = there[1] if there else None
        if stored is None:
            raise Missing(f"{bucket} has no such object or version")
        return stored

    # The port

    def read_head(self, bucket: str, key: str, version_id: str | None, length: int, etag: str | None = None) -> Head:
        """See `PhotoStore`."""
        with self._effect("photos.read_head"):
            stored = self._read(bucket, key, version_id, etag)
            there = self.current(bucket, key)
            answered = version_id or (there[0] if there else None)
            version = None if answered == "null" else answered
            return Head(stored.data[:length], len(stored.data), stored.etag, stored.metadata, version, stored.modified)

    def read_tail(self, bucket: str, key: str, version_id: str | None, length: int, etag: str | None = None) -> bytes:
        """See `PhotoStore`."""
        with self._effect("photos.read_tail"):
            return self._read(bucket, key, version_id, etag).data[-length:]

    def _read(self, bucket: str, key: str, version_id: str | None, etag: str | None) -> Stored:
        if not self.rights_spread:
            raise Denied("AccessDenied")
        stored = self._readable(bucket, key, version_id)
        if etag is not None and stored.etag != etag:
            raise PreconditionFailed("PreconditionFailed")
        return stored

    def _readable(self, bucket: str, key: str, version_id: str | None) -> Stored:
        if (bucket, key) in self.denied:
            raise Denied("AccessDenied")
        if (bucket, key) in self.failing:
            raise Transient("S3 answered InternalError")
        stored = self._find(bucket, key, version_id)
        if (bucket, key) in self.archived:
            raise Archived("InvalidObjectState")
        return stored

    def presign(
        self, bucket: str, key: str, version_id: str | None, seconds: int, content_type: str | None = None
    ) -> str:
        """See `PhotoStore`."""
        version = f"versionId={version_id}&" if version_id else ""
        if content_type:
            version += f"response-content-encoding=identity&response-content-type={quote(content_type, safe='')}&"
        url = f"https://{bucket}{_HOST}/{quote(key)}?{version}X-Amz-Date={self._clock.now()}&X-Amz-Expires={seconds}"
        return f"{url}&X-Amz-Signature={_signature(url)}"

    def existing(self, key: str, version_id: str | None = None) -> Existing | None:
        """See `PhotoStore`."""
        with self._effect("photos.existing"):
            stored = self._output(key, version_id) if key.startswith(self.output_prefix) else None
            if key in self.closed and version_id is None:
                raise NotShown("HeadObject: 403")
            return None if stored is None or key in self.closed else _existing(stored)

    def tags(self, key: str, version_id: str | None) -> Mapping[str, str]:
        """See `PhotoStore`."""
        with self._effect("photos.tags"):
            stored = self._output(key, version_id)
            if stored is None or not key.startswith(self.output_prefix):
                raise Missing("NoSuchKey")
            return self.output_tags.get((key, stored.version_id), {})

    def copy_output(self, source: Output, key: str, metadata: Mapping[str, str], replaces: Existing | None) -> Existing:
        """See `PhotoStore`."""
        with self._effect("photos.copy_output"):
            stored = self._output(source.key, source.version_id)
            if (self.output_bucket, source.key) in self.archived:
                raise Archived("InvalidObjectState")
            if stored is None:
                raise Missing("NoSuchKey")
            if self.read_only:
                raise Transient("CopyObject: the copy may not be stored: AccessDenied")
            there = self.outputs.get(key)
            if stored.etag != source.etag or (there and there.etag) != (replaces and replaces.etag):
                raise PreconditionFailed("PreconditionFailed")
            return _existing(self._store(key, replace(stored, metadata=dict(metadata))))

    def _output(self, key: str, version_id: str | None) -> Stored | None:
        return self.older.get((key, version_id)) if version_id else self.outputs.get(key)

    def put(
        self,
        key: str,
        body: BinaryIO,
        length: int,
        content_type: str,
        metadata: Mapping[str, str],
        replaces: Existing | None,
    ) -> Existing:
        """See `PhotoStore`."""
        if not all((name + value).isascii() and (name + value).isprintable() for name, value in metadata.items()):
            raise ValueError("metadata that cannot be stored as it is")
        with self._effect("photos.put"):
            data = body.read(length)
            while data and len(data) < length and (more := body.read(length - len(data))):
                data += more
            if len(data) < length:
                raise Transient("the output ended early")
            self._expect(key, replaces)
            return _existing(self._store(key, _stored(data, metadata, content_type)))

    def _expect(self, key: str, replaces: Existing | None) -> None:
        there = self.outputs.get(key)
        if (there and there.etag) != (replaces and replaces.etag):
            raise PreconditionFailed("PreconditionFailed")

    def put_record(self, key: str, text: str, metadata: Mapping[str, str], replaces: Existing | None) -> None:
        """See `PhotoStore`."""
        with self._effect("photos.put_record"):
            self._expect(key, replaces)
            self._store(key, _stored(text.encode(), metadata, RECORD_TYPE))

    def remove(self, key: str) -> bool:
        """See `PhotoStore`."""
        with self._effect("photos.remove"):
            if (self.output_bucket, key) in self.denied:
                return False
            if (stored := self.outputs.pop(key, None)) is not None:
                self.removed.append((key, stored))
            return True

    def versions(self, bucket: str, prefix: str, after: Position | None, most: int) -> Page:
        """See `Listing`."""
        with self._effect("photos.versions"):
            objects = sorted(
                (key, versions)
                for (where, key), versions in self._versions.items()
                if where == bucket and key.startswith(prefix)
            )
            entries = [
                (key, version, stored, not place)
                for key, versions in objects
                for place, (version, stored) in enumerate(reversed(versions.items()))
            ]
            places = {(key, version): place for place, (key, version, *_) in enumerate(entries)}
            begin = 0
            if after is not None:  # a version that is gone meanwhile: with the next key
                later = (place for place, (key, *_) in enumerate(entries) if key > after[0])
                begin = places[after] + 1 if after in places else next(later, len(entries))
            page = entries[begin : begin + most]
            latest = [
                Listed(key, version, stored.etag, self.sizes.get((key, version), len(stored.data)), stored.modified)
                for key, version, stored, is_latest in page
                if is_latest and stored is not None
            ]
            return Page(latest, len(page), page[-1][:2] if len(entries) > begin + most else None)

    def _store(self, key: str, stored: Stored) -> Stored:
        version = f"o{len(self.puts) + 1}" if self.keeps_versions else None
        stored = replace(stored, version_id=version)
        self.outputs[key] = stored
        self.output_tags.pop((key, version), None)
        if version is not None:
            self.older[key, version] = stored
        self.puts.append((key, stored))
        return stored


def _existing(stored: Stored) -> Existing:
    return Existing(
        stored.etag,
        stored.metadata,
        stored.version_id is not None,
        stored.version_id,
        len(stored.data),
        stored.content_type,
    )


def _stored(data: bytes, metadata: Mapping[str, str], content_type: str) -> Stored:
    return Stored(data, hashlib.md5(data, usedforsecurity=False).hexdigest(), dict(metadata), content_type)


def _signature(unsigned: str) -> str:
    return hmac.digest(_KEY, unsigned.encode(), "sha256").hex()
