"""Names of what comes out: chosen so that no two photos ever meet, and no output starts a run.

S3 keys hold at most 1,024 bytes of UTF-8 (S3 User Guide, "Naming Amazon S3 objects").
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final
from urllib.parse import quote

from detag.domain.job import Job
from detag.domain.picture import MAX_KEY_BYTES
from detag.domain.runs import MODEL
from detag.domain.values import dataclass

MAX_METADATA_BYTES: Final = 2_048
"""User metadata of an object, names and values together (S3 User Guide, "Working with object metadata")."""
FAILED_RECORDS: Final = "_failed/"
SKIPPED_RECORDS: Final = "_skipped/"
_RECORD: Final = re.compile(rf"(?s)(?:.*/)?(?:{FAILED_RECORDS}|{SKIPPED_RECORDS}).*\.txt")
RECORD_OF: Final = "detag-record-of"
"""In the metadata of a record: whose it is, as `source_of` names it."""
SOURCE_KEY: Final = "detag-source-key"
SEQUENCER: Final = "detag-sequencer"
JOB_ID: Final = "detag-job-id"
RUN_ID: Final = "detag-run-id"
SOURCE_ETAG: Final = "detag-source-etag"
SOURCE_SIZE: Final = "detag-source-size"
REUSED_FROM: Final = "detag-reused-from"
_EXTENSIONS: Final = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "image/gif": ".gif"}
_EXTENSION: Final = re.compile(r"(?<=[^/])\.(jpe?g|jpe|jfif|png|webp|gif|heic|heif|avif|tiff?)\Z", re.IGNORECASE)
"""Those of the types that are cleaned, as cameras and programs write them. A name that is nothing else stays."""
_TYPES: Final = {kind: f"image/{kind}" for kind in ("png", "webp", "gif")} | dict.fromkeys(
    ("jpg", "jpeg", "jpe", "jfif"), "image/jpeg"
)


def is_record(key: str) -> bool:
    """Whether a file in the input bucket has the name of a record: it came there with the outputs."""
    return _RECORD.fullmatch(key) is not None


@dataclass(frozen=True, slots=True)
class Naming:
    """Where what comes out goes in the output bucket: its folders are those of the photos, from the prefixes on.

    Two photos never meet: `Storing.place` passes over a name that is another photo's.
    """

    input_prefix: str = ""
    """What the keys of all photos begin with; it is not repeated in the output's."""
    output_prefix: str = ""
    """What the keys of outputs and records begin with."""
    replaces: bool = False
    """Whether another type takes the place of the photo's own extension: `shoe.webp` in place of `shoe.jpg.webp`."""

    def output_keys(self, key: str, output_type: str, number: int = 1) -> tuple[str, ...]:
        """Where output `number` (from 1) of a photo may go, the first that is not another's: the same for each of its
        versions, whatever type those are, so that a newer one finds what an older one left.

        A name that says the output's type stays; to any other its extension is appended, so that `shoe.jpg` and
        `shoe.png` never meet: `shoe.jpg`, `shoe.jpg.webp`, `shoe.jpg.2.webp`. A hash of the key is put in where the
        name is taken by somebody else's object: `shoe.jpg.1f3a9c20.webp`.
        """
        return self._output_keys(key, output_type, number, keeps=_type_of(key) == output_type)

    def all_output_keys(self, key: str, number: int) -> tuple[str, ...]:
        """Wherever output `number` of a photo may be, whatever its type: earlier versions of detag went by the type of
        the photo, and not of its name.
        """
        ways = ((output, keeps) for output in _EXTENSIONS for keeps in (True, False))
        names = (name for output, keeps in ways for name in self._output_keys(key, output, number, keeps=keeps))
        return tuple(dict.fromkeys(names))

    def _output_keys(self, key: str, output_type: str, number: int, *, keeps: bool) -> tuple[str, ...]:
        """`keeps`: whether the photo's own name will do."""
        digest, extension = hashlib.sha256(key.encode()).hexdigest(), _EXTENSIONS[output_type]
        tails = [owner + (f".{number}" if number > 1 else "") for owner in ("", f".{digest[:8]}", f".{digest[:32]}")]
        names = [self._fit("", key, tail + extension if tail or not keeps else "") for tail in tails]
        if self.replaces and number == 1 and not keeps:
            names.insert(0, self._fit("", _EXTENSION.sub("", key), extension))
        return tuple(dict.fromkeys(names))

    def record_keys(self, folder: str, key: str) -> tuple[str, ...]:
        """Where the record of a photo may lie, the first that is not another's: `_failed/shoe.jpg.txt`.

        The others, with a hash of the key, are for a name that another photo's output or record has taken.
        """
        digest = hashlib.sha256(key.encode()).hexdigest()
        return tuple(self._fit(folder, key, f"{owner}.txt") for owner in ("", f".{digest[:8]}", f".{digest[:32]}"))

    def _fit(self, folder: str, key: str, tail: str) -> str:
        """The photo's name with a tail, below a folder; where that is longer than a key may be, cut at a character and
        marked with a hash of the whole.
        """
        named = self.output_prefix + folder + key.removeprefix(self.input_prefix)
        if len((named + tail).encode()) <= MAX_KEY_BYTES:
            return named + tail
        mark = "~" + hashlib.sha256(named.encode()).hexdigest()[:16]
        left = MAX_KEY_BYTES - len((mark + tail).encode())
        return named.encode()[:left].decode(errors="ignore") + mark + tail


def _type_of(key: str) -> str | None:
    """The content type that a name says, of those that an output may have."""
    found = _EXTENSION.search(key)
    return _TYPES.get(found[1].lower()) if found else None


def source_of(bucket: str, key: str) -> str:
    """A source as output metadata names it: percent-encoded ASCII; a long one by its hash.

    At most 700 characters, so that a version id of the longest kind (1,024 bytes) and all the rest still fit.
    """
    encoded = quote(f"{bucket}/{key}")
    return encoded if len(encoded) <= 700 else "sha256:" + hashlib.sha256(f"{bucket}/{key}".encode()).hexdigest()


def output_metadata(
    job: Job, source_metadata: Mapping[str, str], cost: Decimal | None, *, reused_from: str | None = None
) -> dict[str, str]:
    """User metadata of an output: ours first, then the source's own as far as the 2 KB allow. `reused_from`: the key of
    the output that this one is a copy of.
    """
    upload = job.upload
    metadata = {
        SOURCE_KEY: source_of(upload.bucket, upload.key),
        "detag-source-version": upload.version_id or "null",
        SEQUENCER: upload.sequencer,
        JOB_ID: job.job_id,
        RUN_ID: job.run_id or "",
        "detag-model": MODEL,
    }
    if cost is not None:
        metadata["detag-cost"] = format(cost, "f")
    left = MAX_METADATA_BYTES - sum(len(name) + len(value) for name, value in metadata.items())
    facts = {
        REUSED_FROM: short_key(reused_from) if reused_from is not None else "",
        SOURCE_SIZE: str(upload.size),
        SOURCE_ETAG: upload.etag if _carried(upload.etag) else "",
    }
    for name, value in facts.items():  # they are left out beside a version id that is longer than any S3 gives
        if value and len(name) + len(value) <= left:
            metadata[name] = value
            left -= len(name) + len(value)
    for name, value in sorted(source_metadata.items()):
        size = len(name.encode()) + len(value.encode())
        if size <= left and not name.startswith("detag-") and _carried(name) and _carried(value):
            metadata[name] = value
            left -= size
    return metadata


def short_key(key: str) -> str:
    """A key as metadata names it: percent-encoded ASCII; a long one by its hash."""
    encoded = quote(key)
    return encoded if len(encoded) <= 200 else "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def _carried(text: str) -> bool:
    """Whether a header can hold the text as it is: what S3 decoded into other characters would not come back the
    same.
    """
    return re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", text) is not None


def readable(key: str) -> str:
    """A key for a person to read: control characters made visible, at most 300 characters."""
    text = "".join(character if character.isprintable() else quote(character, safe="") for character in key)
    return text if len(text) <= 300 else text[:299] + "…"
