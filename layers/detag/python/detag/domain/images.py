"""What a file is, by its first and last bytes. No pixel is decoded here, or anywhere in the functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final, NamedTuple

from detag.domain.image_types import byte_order, first_directory, pixels_end, type_of
from detag.domain.runs import PHOTO_TYPES
from detag.domain.values import dataclass

HEAD_BYTES: Final = 65_536
"""Enough for the headers of nearly every photo: EXIF with its thumbnail holds at most 64 KiB."""
LONG_HEAD_BYTES: Final = 4_194_304
"""For the few whose headers are longer: a profile for print, a depth map or a thermal image takes up to 3 MB."""
TAIL_BYTES: Final = 65_536
LONG_TAIL_BYTES: Final = 4_194_304
"""For the few with so much behind their end that the last bytes say nothing of the image, such as zeros."""
MAX_OUTPUT_PIXELS: Final = 4_000_000_000
"""Four times the most that MaxImageMegapixels allows: another aspect ratio makes an output larger than its photo, and
what was paid for is not refused for that.
"""
MAX_SEGMENTS: Final = 1_000
"""Parts of a header that are looked at: real ones have dozens."""

ACCEPTED: Final = ("image/jpeg", "image/png", "image/webp")
"""What Runflow is known to take (contract section 10)."""
DELIVERABLE: Final = (*ACCEPTED, "image/gif")


@dataclass(frozen=True, slots=True)
class Head:
    """The first bytes of an object and what its store says of it. `etag` without quotes; `size` of the whole, in
    bytes; `version_id` of the version that answered, None where that has no id (S3 calls it null); `modified` is when
    it was stored.
    """

    data: bytes
    size: int
    etag: str
    metadata: Mapping[str, str]
    version_id: str | None = None
    modified: float = 0.0


class NotAnImage(ValueError):
    """The bytes are not those of a whole image of a type that is accepted. The message is for a person: the fact, and
    what to do about a photo.
    """

    def __init__(self, fact: str, advice: str = "") -> None:
        super().__init__(f"{fact}: {advice}" if advice else fact)
        self.fact = fact


class Unsupported(NotAnImage):
    """An image, but of a type that the model does not take."""


class Film(Unsupported):
    """Not even an image: a film."""


class Truncated(NotAnImage):
    """An image that stops before its end."""


class EndNotSeen(NotAnImage):
    """An image whose last bytes do not tell whether it is complete: it was cut off, or much follows its end."""


class UnreadableDimensions(NotAnImage):
    """An image whose first bytes do not tell its width and height."""


class TooManyPixels(NotAnImage):
    """An image larger than is allowed."""


@dataclass(frozen=True, slots=True)
class Image:
    """Type and dimensions in pixels."""

    content_type: str
    width: int
    height: int
    size: int
    """Of the whole file, in bytes."""
    begins: int
    """Where its own pixels can begin at the earliest, in bytes from the start."""
    animated: bool


@dataclass(frozen=True, slots=True)
class ReadHead:
    """What was read does not tell: so many of the first bytes have to be, `of` the object that was read before; None
    for what is at the key now.
    """

    length: int
    of: Head | None


@dataclass(frozen=True, slots=True)
class ReadTail:
    """What was read does not tell: so many of the last bytes have to be, `of` the object that was read before."""

    length: int
    of: Head


UPLOAD_AGAIN: Final = "upload it again"


def examine(
    head: Head, tail: bytes | None, most_pixels: int, types: Collection[str] = ACCEPTED
) -> Image | ReadHead | ReadTail:
    """The whole photo, of one of these types, that an object holds, by its first and last bytes; else which more have
    to be read. Raises `NotAnImage` or a kind of it.
    """
    if headers_go_on(head.data, head.size):
        return ReadHead(LONG_HEAD_BYTES, of=head)
    image = sniff(head.data, head.size, {*DELIVERABLE, *types}, most_pixels=None, wanted=types)
    check_photo(image, most_pixels, types)
    is_whole = len(head.data) == head.size
    end = head.data if is_whole else tail
    if end is None:
        return ReadTail(TAIL_BYTES, of=head)
    is_all = is_whole or len(end) >= min(head.size, LONG_TAIL_BYTES)
    try:
        if check_filled(image, head.data, end) and check_tail(image, head.data, end):
            return image
    except Truncated:
        if is_all:  # otherwise its end may come before: a card may leave part of an older photo behind it
            raise
    if is_all:
        raise EndNotSeen("its end was not found", "open it, save it anew and upload that")
    return ReadTail(LONG_TAIL_BYTES, of=head)


def headers_go_on(head: bytes, size: int) -> bool:
    """Whether `LONG_HEAD_BYTES` are to be read of a file that begins with `head` and is `size` bytes long."""
    content_type = type_of(head)
    layout = _LAYOUTS.get(content_type or "")
    return layout is not None and len(head) < min(size, LONG_HEAD_BYTES) and layout(head).begins >= len(head)


def sniff(
    head: bytes,
    size: int,
    types: Collection[str] = DELIVERABLE,
    most_pixels: int | None = MAX_OUTPUT_PIXELS,
    wanted: Collection[str] = ACCEPTED,
) -> Image:
    """The image of one of these types that begins with `head` and is `size` bytes long; None for any number of pixels.
    Raises `NotAnImage` or a kind of it, which advises one of the `wanted` types.
    """
    content_type = type_of(head)
    if (content_type or "").startswith("video/"):
        frame = f"save one frame of it as {_any_of(wanted)} and upload that"
        raise Film(f"{content_type} is a film, and only photos are cleaned", frame)
    if content_type is None or not content_type.startswith("image/"):
        raise NotAnImage(
            "this file is not an image" if content_type is None else f"this file is {content_type}, not an image"
        )
    if content_type not in _LAYOUTS or content_type not in types:
        raise _unsupported(content_type, wanted, addable=not _is_never_sent(content_type, head))
    if content_type in _ENDS and _ENDS[content_type](head) > size:
        raise Truncated("this image file stops before its end", UPLOAD_AGAIN)
    width, height, begins, animated = _LAYOUTS[content_type](head)
    if not width or not height:
        if begins >= size or size < _SMALLEST:
            raise Truncated("this image file stops before its end", UPLOAD_AGAIN)
        raise UnreadableDimensions("its headers tell no width and height", "open it, save it anew and upload that")
    if most_pixels is not None and width * height > most_pixels:
        raise _too_large(width, height, most_pixels)
    return Image(content_type, width, height, size, begins, animated)


def check_photo(image: Image, most_pixels: int, types: Collection[str] = ACCEPTED) -> None:
    """Refuse an image of another type, or that is too large. Raises `Unsupported` or `TooManyPixels`."""
    if image.animated:
        raise Unsupported(
            f"this {image.content_type} file is an animation",
            f"save one frame of it as {_any_of(types)} and upload that",
        )
    if image.content_type not in types:
        raise _unsupported(image.content_type, types)
    if image.width * image.height > most_pixels:
        raise _too_large(image.width, image.height, most_pixels)


def check_tail(image: Image, head: bytes, tail: bytes) -> bool:
    """Whether the first and the last bytes of an image show that it was not cut off; False where they do not tell.

    A JPEG ends with FF D9 and a PNG with an IEND chunk, though cameras and tools append data to both. Headers do not
    count: the thumbnail in them ends with the same mark. A WebP says how long it is (`sniff`). Raises `Truncated` where
    an image was cut off for certain.
    """
    mark = _MARKS.get(image.content_type)
    if mark is None:
        return True
    before = image.size - len(tail)
    if before <= len(head):  # they meet
        tail, before = head + tail[len(head) - before :], 0
    rest = tail[max(0, image.begins - before) :]
    if mark in rest or mark in head[image.begins :]:
        return True
    is_jpeg = image.content_type == "image/jpeg"
    if is_jpeg and _NO_SCAN.search(rest):  # something else follows, so the scan had its end
        return True
    is_filling = not rest.strip(b"\xff\0")  # FF 00 alone may be what a camera fills its block with
    if before <= image.begins or (is_jpeg and _SCAN.search(rest) and not is_filling):
        raise Truncated("this image file stops before its end", UPLOAD_AGAIN)
    return False


def check_filled(image: Image, head: bytes, tail: bytes) -> bool:
    """Whether the first and the last bytes of a photo show that its length was filled, and not only reserved; False
    where they do not tell. A WebP has no mark at its end that would show it, but says where that is; zeros there are
    no loss where metadata ends in them. Raises `Truncated`.
    """
    if image.content_type != "image/webp":
        return True
    length = int.from_bytes(head[4:8], "little") + 8
    read, end = (head, length) if length <= len(head) else (tail, length - (image.size - len(tail)))
    if end < min(EMPTY_END_BYTES, length):
        return False
    if read[max(0, end - EMPTY_END_BYTES) : end].strip(b"\0"):
        return True
    if any(_chunk_end(read, found.start()) == end for found in _METADATA.finditer(read, 0, end)):
        return True
    if len(read) < min(length, LONG_TAIL_BYTES):
        return False
    raise Truncated("this WebP file stops before its end", UPLOAD_AGAIN)


def _chunk_end(data: bytes, at: int) -> int:
    """Where a chunk of a WebP ends: its length is even in the file (RFC 9649, section 2.3)."""
    length = int.from_bytes(data[at + 4 : at + 8], "little")
    return at + 8 + length + length % 2


_MARKS: Final = {"image/jpeg": b"\xff\xd9", "image/png": b"IEND\xaeB`\x82"}
_SCAN: Final = re.compile(rb"\xff[\x00\xd0-\xd7]")
"""A stuffed byte or a restart mark: a scan (ITU-T T.81, B.1.1.2) goes on there."""
_NO_SCAN: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7\xc4\xcc\xda-\xdd\xe0-\xef\xfe]|\xff\xff\x00")
"""What is neither in a scan nor between two of one image: tables, comments and the start of the next may be there. Nor
does a scan fill up with FF before a stuffed byte: a mask or a depth map behind the image does.
"""
EMPTY_END_BYTES: Final = 4_096
"""Zeros at the end of a WebP that no encoder writes: its space was reserved, and the rest never came."""
_METADATA: Final = re.compile(rb"EXIF|XMP ")
"""Chunks that follow the pixels of a WebP (RFC 9649, section 2.7)."""
_SMALLEST: Final = 33
"""Bytes of the shortest header that tells dimensions: a file below was cut within it."""


def _any_of(types: Collection[str]) -> str:
    """The names of types of photos: "JPEG, PNG or WebP"."""
    *others, last = (name for name, known in PHOTO_TYPES.items() if set(known) & set(types))
    return f"{', '.join(others)} or {last}" if others else last


def _is_never_sent(content_type: str, head: bytes) -> bool:
    """Whether an image is of a kind that is not sent, whatever its type: an animation, or a TIFF of the large kind."""
    if content_type == "image/tiff":
        return _is_large_tiff(head)
    return content_type in _LAYOUTS and _LAYOUTS[content_type](head).animated


def _unsupported(content_type: str, types: Collection[str], *, addable: bool = True) -> Unsupported:
    name = next((name for name, types in PHOTO_TYPES.items() if addable and content_type in types), None)
    if name == "HEIC":
        return Unsupported(
            "HEIC is not supported",
            "on the iPhone choose Settings, Camera, Formats, Most Compatible, so that it saves "
            "JPEG, and upload that; or let HEIC through: add it to the parameter PhotoTypes and "
            "reopen the photo (unpaid)",
        )
    other = f"; or add {name} to the parameter PhotoTypes and reopen the photo (unpaid)" if name else ""
    return Unsupported(f"{content_type} is not supported", f"save the photo as {_any_of(types)} and upload that{other}")


def _too_large(width: int, height: int, most: int) -> TooManyPixels:
    """It says both in the unit of the parameter, with as much of a fraction as is seen to be above the limit."""
    megapixels = -(-width * height // 100_000) / 10
    has = f"{megapixels:,.{0 if megapixels.is_integer() else 1}f} megapixels ({width:,} x {height:,})"
    return TooManyPixels(f"it has {has}, and the limit is {most // 1_000_000:,}", "make it smaller")


# Headers


class _Layout(NamedTuple):
    """What first bytes tell. Dimensions are 0 where they do not; `begins` is behind them where the headers go on."""

    width: int
    height: int
    begins: int
    animated: bool


_MARKER: Final = re.compile(rb"\xff([^\x00\xff])")
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE: Final = frozenset((0x01, *range(0xD0, 0xD9)))
"""Markers that no length follows."""


def _jpeg(head: bytes) -> _Layout:
    """Segments up to the first scan or the end (ITU-T T.81, annex B); whatever lies between two is skipped, as decoders
    do.
    """
    width = height = 0
    at = 2
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.search(head, at)
        if found is None:
            return _Layout(width, height, max(at, len(head)), animated=False)
        marker, at = found[1][0], found.end()
        if marker in (0xDA, 0xD9):
            return _Layout(width, height, found.start(), animated=False)
        if marker in _ALONE:
            continue
        if marker in _FRAMES and len(head) >= at + 7:
            frame = int.from_bytes(head[at + 5 : at + 7]), int.from_bytes(head[at + 3 : at + 5])
            width, height = max((width, height), frame, key=lambda sides: sides[0] * sides[1])
        at += int.from_bytes(head[at : at + 2])
    return _Layout(width, height, at, animated=False)


def _png(head: bytes) -> _Layout:
    """Chunks up to the first of the pixels (W3C, "Portable Network Graphics")."""
    has_header = head[12:16] == b"IHDR" and len(head) >= 24
    width, height = (int.from_bytes(head[16:20]), int.from_bytes(head[20:24])) if has_header else (0, 0)
    animated, at = False, 8
    for _ in range(MAX_SEGMENTS):
        kind = head[at + 4 : at + 8]
        if kind in (b"IDAT", b"IEND"):
            return _Layout(width, height, at, animated)
        if len(kind) < 4:
            return _Layout(width, height, max(at, len(head)), animated)
        animated |= kind == b"acTL"
        at += 12 + int.from_bytes(head[at : at + 4])
    return _Layout(width, height, at, animated)


def _webp(head: bytes) -> _Layout:
    """The canvas, or else the only frame (RFC 9649, section 2; RFC 6386, section 9.1)."""
    width = height = 0
    animated = False
    if head[12:16] == b"VP8X" and len(head) >= 30:
        width, height = int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
        animated = bool(head[20] & 0x02)
    elif head[12:16] == b"VP8L" and len(head) >= 25:
        sides = int.from_bytes(head[21:25], "little")
        width, height = (sides & 0x3FFF) + 1, (sides >> 14 & 0x3FFF) + 1
    elif head[12:16] == b"VP8 " and len(head) >= 30:  # two bits of each side say how it is to be scaled
        width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    return _Layout(width, height, 0, animated)


def _gif(head: bytes) -> _Layout:
    """The screen, widened to the frames that are seen: decoders go by either (CompuServe, "GIF89a")."""
    if len(head) < 13:
        return _Layout(0, 0, 0, animated=False)
    width, height = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    frames, at = 0, 13 + _table(head[10])
    while len(head) >= at + 10 and head[at] in b"!,":
        if head[at] == 0x2C:
            left, top, across, down = (int.from_bytes(head[at + n : at + n + 2], "little") for n in (1, 3, 5, 7))
            width, height = max(width, left + across), max(height, top + down)
            frames += 1
            at += 11 + _table(head[at + 9])
        else:
            at += 2
        while at < len(head) and head[at]:
            at += 1 + head[at]
        at += 1
    return _Layout(width, height, 0, animated=frames > 1 or b"NETSCAPE2.0" in head)


def _table(flags: int) -> int:
    """Bytes of the colour table that a GIF's flags announce."""
    return 3 * 2 ** ((flags & 0x07) + 1) if flags & 0x80 else 0


def _boxes(head: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes between two places of a file: kind, begin of what is in it, and end (ISO/IEC 14496-12)."""
    for _ in range(MAX_SEGMENTS):
        if at + 8 > min(end, len(head)):
            return
        length, kind, begin = int.from_bytes(head[at : at + 4]), head[at + 4 : at + 8], at + 8
        if length == 1:
            length, begin = int.from_bytes(head[at + 8 : at + 16]), at + 16
        at = end if length == 0 else at + max(length, 8)  # 0: up to the end
        yield kind, begin, at


def _heif(head: bytes) -> _Layout:
    """The largest of the extents that the `meta` box gives: those of tiles and of the thumbnail are smaller (ISO/IEC
    23008-12).
    """
    width = height = 0
    begins = len(head)
    for kind, begin, end in _boxes(head, 0, 1 << 62):
        begins = max(begin, len(head))
        if kind != b"meta":
            continue
        begins = end
        for path in _inside(head, begin + 4, end, (b"iprp", b"ipco", b"ispe")):
            sides = int.from_bytes(head[path + 4 : path + 8]), int.from_bytes(head[path + 8 : path + 12])
            width, height = max((width, height), sides, key=lambda one: one[0] * one[1])
        break
    animated = b"avis" in (head[8:12], *(head[at : at + 4] for at in range(16, min(int.from_bytes(head[:4]), 256), 4)))
    return _Layout(width, height, begins, animated)


def _inside(head: bytes, at: int, end: int, path: tuple[bytes, ...]) -> Iterator[int]:
    """Where what is in each box begins that a path of kinds leads to."""
    for kind, begin, box_end in _boxes(head, at, end):
        if kind == path[0] and len(path) > 1:
            yield from _inside(head, begin, box_end, path[1:])
        elif kind == path[0]:
            yield begin


def _heif_end(head: bytes) -> int:
    """How long the file is at least, by the boxes that begin in its first bytes; a last one without a length counts as
    nothing.
    """
    ends = [end for _, _, end in _boxes(head, 0, 1 << 62)]
    return max((end for end in ends if end < 1 << 62), default=0)


def _tiff(head: bytes) -> _Layout:
    """The first directory, which may lie behind the pixels: then its place is where to read."""
    if _is_large_tiff(head):
        return _Layout(0, 0, 0, animated=False)
    tags, end = first_directory(head)
    return _Layout(tags.get(0x100, 0), tags.get(0x101, 0), end, animated=False)


def _is_large_tiff(head: bytes) -> bool:
    """Whether a TIFF is a BigTIFF, whose places are of 64 bits."""
    return b"+" in head[2:4]


def _tiff_end(head: bytes) -> int:
    """A file has its first directory at least, and the pixels that this tells of."""
    return max(int.from_bytes(head[4:8], byte_order(head)) + 2, pixels_end(head))


_ENDS: Final[dict[str, Callable[[bytes], int]]] = {
    "image/webp": lambda head: int.from_bytes(head[4:8], "little") + 8,
    "image/heic": _heif_end,
    "image/heif": _heif_end,
    "image/avif": _heif_end,
    "image/tiff": _tiff_end,
}
"""How long a file says that it is, or must be at least."""
_LAYOUTS: Final[dict[str, Callable[[bytes], _Layout]]] = {
    "image/jpeg": _jpeg,
    "image/png": _png,
    "image/webp": _webp,
    "image/gif": _gif,
    "image/heic": _heif,
    "image/heif": _heif,
    "image/avif": _heif,
    "image/tiff": _tiff,
}
