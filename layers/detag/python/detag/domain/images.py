"""What a file is, by its first and last bytes. No pixel is decoded here, or anywhere in the functions."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import filetype
import imagesize

HEAD_BYTES: Final = 65_536
"""Enough for the header of any image met so far: a JPEG's EXIF block, with its thumbnail, holds at most 64 KiB, so a
JPEG whose size lies behind it is read as one of unknown dimensions, not refused."""
TAIL_BYTES: Final = 65_536
MAX_PIXELS: Final = 100_000_000
"""Runflow names no limit for this model (contract section 10): this is twice the largest camera in common use."""

ACCEPTED: Final = ("image/jpeg", "image/png", "image/webp")
"""What Runflow is known to take (contract section 10)."""
DELIVERABLE: Final = (*ACCEPTED, "image/gif")


@dataclass(frozen=True, slots=True)
class Head:
    """The first bytes of an object and what its store says of it. `etag` without quotes; `size` of the whole, in
    bytes.
    """

    data: bytes
    size: int
    etag: str
    metadata: Mapping[str, str]


class NotAnImage(ValueError):
    """The bytes are not those of a whole image of a type that is accepted; the message is for a person."""


class Unsupported(NotAnImage):
    """An image, but of a type that the model does not take."""


class Truncated(NotAnImage):
    """An image that stops before its end."""


class TooManyPixels(NotAnImage):
    """An image larger than `MAX_PIXELS`."""


@dataclass(frozen=True, slots=True)
class Image:
    """Type and dimensions in pixels; dimensions are None where the first bytes do not have them."""

    content_type: str
    width: int | None
    height: int | None
    size: int
    """Of the whole file, in bytes."""
    begins: int
    """Where its own pixels can begin at the earliest, in bytes from the start."""


def sniff(head: bytes, size: int, accepted: tuple[str, ...] = ACCEPTED) -> Image:
    """The image that begins with `head` and is `size` bytes long. Raises `NotAnImage` or a kind of it."""
    content_type = filetype.guess_mime(head)
    if content_type is None or not content_type.startswith("image/"):
        raise NotAnImage(
            "this file is not an image" if content_type is None else f"this file is {content_type}, not an image"
        )
    if content_type not in accepted:
        raise Unsupported(f"{content_type} is not supported: save the photo as JPEG, PNG or WebP and upload it again")
    if content_type == "image/webp" and int.from_bytes(head[4:8], "little") + 8 > size:
        raise Truncated("this WebP file stops before its end: upload it again")
    width, height = _dimensions(head)
    if width is None and len(head) == size:
        raise Truncated("this image file stops before its end: upload it again")
    if width and height and width * height > MAX_PIXELS:
        raise TooManyPixels(
            f"{width} x {height} pixels are more than {MAX_PIXELS // 1_000_000} million: make the photo smaller"
        )
    return Image(content_type, width, height, size, _headers(head) if content_type == "image/jpeg" else 0)


def check_tail(image: Image, head: bytes, tail: bytes) -> None:
    """Refuse an image that was cut off. `tail` is its last bytes, at most `TAIL_BYTES`.

    A JPEG ends with FF D9 and a PNG with an IEND chunk, though cameras append data to both: the mark is looked for in
    all of the tail, and a JPEG that says that a film follows it is not judged. A JPEG's headers do not count: the
    thumbnail in them ends with the same mark. Raises `Truncated`.
    """
    tail = tail[max(0, image.begins - (image.size - len(tail))) :]
    mark = {"image/jpeg": b"\xff\xd9", "image/png": b"IEND\xaeB`\x82"}.get(image.content_type)
    if mark and mark not in tail and not re.search(rb"MotionPhoto|MicroVideo|MPF\0", head):
        raise Truncated("this image file stops before its end: upload it again")


def _headers(head: bytes) -> int:
    """How many bytes a JPEG's headers take up: the segments before its first scan or its end (ITU-T T.81, annex B)."""
    at = 2
    while head[at : at + 1] == b"\xff" and head[at + 1 : at + 2] not in (b"", b"\xda", b"\xd9"):
        at += 1 if head[at + 1] == 0xFF else 2 + int.from_bytes(head[at + 2 : at + 4])
    return at


def _dimensions(head: bytes) -> tuple[int, int] | tuple[None, None]:
    try:
        width, height = imagesize.get(io.BytesIO(head))
    except Exception:  # noqa: BLE001 - a parser of a hostile file: whatever it raises, it did not find them
        return None, None
    return (width, height) if width > 0 and height > 0 else (None, None)
