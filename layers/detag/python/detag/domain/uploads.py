"""What starts a job: an upload's event, or a message about one that had none; and names not meant as photos."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote_plus, unquote_plus

from detag.domain.job import Upload
from detag.domain.naming import is_record


def read_upload(event: Mapping[str, Any]) -> Upload:
    """The upload that an S3 "Object Created" event of EventBridge describes, or a message of the scan.

    The key is taken as it is: EventBridge does not URL-encode keys as S3's own notifications do (S3 User Guide,
    "EventBridge event message structure"); see `other_reading`. Raises ValueError, naming what is missing.
    """
    listed = event.get("listed")
    if isinstance(listed, Mapping):
        return _listed(listed)
    detail = event.get("detail")
    thing = detail.get("object") if isinstance(detail, Mapping) else None
    holder = detail.get("bucket") if isinstance(detail, Mapping) else None
    if not isinstance(thing, Mapping) or not isinstance(holder, Mapping):
        raise ValueError("not an S3 event: detail.bucket and detail.object are missing")
    try:
        return Upload(
            bucket=_text(holder, "name"),
            key=_text(thing, "key"),
            version_id=_version(thing.get("version-id")),
            sequencer=_text(thing, "sequencer"),
            etag=str(thing.get("etag", "")).strip('"'),
            size=int(thing.get("size", 0)),
            uploaded_at=datetime.fromisoformat(_text(event, "time")).timestamp(),
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"not an S3 event: {error}") from error


def other_reading(upload: Upload) -> Upload | None:
    """The same upload by the URL-decoded key, for an object that is not there by the key of its event; None where there
    is no other reading, or it could be another object.

    AWS documents raw keys for EventBridge, and encoded ones for S3's own notifications; some clients decode both. A
    version is of one object only, so what it names under the other key is this upload; an ETag shows no such thing.
    """
    if upload.version is None or upload.event_key is not None:
        return None
    try:
        decoded = unquote_plus(upload.key, errors="strict")
    except UnicodeDecodeError:
        return None
    other = replace(upload, key=decoded, event_key=upload.key)
    return other if decoded != upload.key and other.is_addressable else None


def by_encoded_key(upload: Upload) -> Upload:
    """A listed upload as an event with a URL-encoded key would tell of it: the job may be known by that."""
    return replace(upload, event_key=quote_plus(upload.key, safe="/"))


def by_own_key(upload: Upload) -> Upload:
    """An upload as its listing tells of it, whatever its event did."""
    return replace(upload, event_key=None)


def sequencer_of(modified: float) -> str:
    """A sequencer for an upload whose own is unknown: below every real one, and in the order of the uploads.

    S3's are shorter, and compare as if zeros followed (S3 User Guide, "Event message structure").
    """
    return f"{int(modified):064X}"


def _listed(listed: Mapping[str, Any]) -> Upload:
    try:
        return Upload(
            bucket=_text(listed, "bucket"),
            key=_text(listed, "key"),
            version_id=_text(listed, "version_id"),
            sequencer=sequencer_of(float(listed["modified"])),
            etag=str(listed.get("etag", "")),
            size=int(listed["size"]),
            uploaded_at=float(listed["modified"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a listed object: {error}") from error


def ignoring(names: Sequence[str], key: str) -> str | None:
    """The first of some names that a part of a key has; None where none has. `*` stands for any characters.

    A part is what stands between slashes: sync tools and NAS boxes keep files of their own in folders of such names. A
    name that ends in `/` is a folder's. One that only begins with `*`, as `*.tmp` does, is a file's: a folder may be
    called anything. Capitals do not count, because some file systems change them.
    """
    *folders, file = key.casefold().split("/")
    if file in _FOLDER_ICONS:
        return FOLDER_ICON
    if is_record(key):
        return RECORD
    return next((name for name in names if any(map(_pattern(name).fullmatch, _places(name, folders, file)))), None)


RECORD: Final = "a record that detag wrote"
"""It came into the input bucket with the outputs."""
FOLDER_ICON: Final = "Icon and a carriage return"
"""What macOS calls the file with a folder's icon: no parameter can hold that name, so it needs none."""
_FOLDER_ICONS: Final = ("icon\r", "icon%0d", "icon\uf00d")
"""As it is; URL-encoded; and as macOS writes it to a file server for Windows."""


def _places(name: str, folders: Sequence[str], file: str) -> Sequence[str]:
    if name.endswith("/"):
        return folders
    is_ending = name.startswith("*") and not name.endswith("*")
    return [file] if is_ending else [*folders, file]


def photos_beside(key: str) -> tuple[str, ...]:
    """Where the photo is that a telephone took with a film: in the same folder, under the same name; or under that
    without the tail that icloudpd gives the film.
    """
    stem = re.sub(r"\.[^./]*\Z", "", key)
    stems = dict.fromkeys((stem, re.sub(r"(?i)_HEVC\Z", "", stem)))
    endings = ("HEIC", "JPG", "JPEG", "PNG")
    names = (f"{stem}.{ending}" for stem in stems for ending in (*endings, *map(str.lower, endings)))
    return tuple(name for name in names if name != key)


def is_named_as_film(key: str) -> bool:
    """Whether a telephone may give the film of a photo such a name."""
    return key.casefold().endswith((".mov", ".mp4"))


@lru_cache(maxsize=256)
def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, name.casefold().removesuffix("/").split("*"))), re.DOTALL)


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is missing")
    return value


def _version(value: object) -> str | None:
    """None for an object of a bucket without versioning, whose version S3 calls null."""
    return value if isinstance(value, str) and value not in ("", "null") else None
