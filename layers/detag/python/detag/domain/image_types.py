"""The type of a file, by its first bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

import filetype

MAX_ENTRIES: Final = 1_000
"""Entries of a TIFF's directory that are looked at: real ones have dozens."""
MAX_PIECES: Final = 100_000
"""Strips or tiles of a TIFF whose ends are looked at: a strip for each row of the highest photo is fewer."""


_SIGNATURES: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff\xf7": "image/jls",
    b"\xff\x0a": "image/jxl",
    b"\0\0\0\x0cJXL \r\n\x87\n": "image/jxl",
    b"\0\0\0\x0cjP  \r\n\x87\n": "image/jp2",
    b"\xff\x4f\xff\x51": "image/j2c",
    b"II+\0": "image/tiff",
    b"MM\0+": "image/tiff",
    b"II\x1a\0\0\0HEAPCCDR": "image/x-canon-crw",
    b"FUJIFILMCCD-RAW": "image/x-fuji-raf",
    b"II*\0\x08\0\0\0IIII": "image/x-phaseone-iiq",
    b"MM\0*\0\0\0\x08MMMM": "image/x-phaseone-iiq",
    b"IIU\0": "image/x-panasonic-rw2",
    b"IIRO": "image/x-olympus-orf",
    b"IIRS": "image/x-olympus-orf",
    b"MMOR": "image/x-olympus-orf",
    b"\0MRM": "image/x-minolta-mrw",
    b"FOVb": "image/x-sigma-x3f",
    b"v/1\x01": "image/x-exr",
}
"""Beginnings that `filetype` does not know, or takes for something else."""
_BRANDS: Final = {
    b"crx ": "image/x-canon-cr3",
    **dict.fromkeys((b"avif", b"avis"), "image/avif"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis"), "image/heic"),
    **dict.fromkeys((b"hevc", b"hevx", b"hevm", b"hevs"), "image/heic-sequence"),
    **dict.fromkeys((b"mif1", b"mif2", b"msf1", b"miaf"), "image/heif"),
}
"""Brands of the ISO base media file format that stand for images; the last are general, and a compatible brand may say
more (ISO/IEC 23008-12).
"""


def type_of(head: bytes) -> str | None:
    """A content type; None for what is not known."""
    for signature, content_type in _SIGNATURES.items():
        if head.startswith(signature):
            return content_type
    known: str | None = filetype.guess_mime(head)
    if head[4:8] == b"ftyp" and (known is None or head[8:12] in _BRANDS):
        end = min(int.from_bytes(head[:4]), 256)
        brands = (head[8:12], *(head[at : at + 4] for at in range(16, end, 4)))
        found = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
        general = "image/heif" if found else None
        return next((content_type for content_type in found if content_type != "image/heif"), general)
    if known == "image/tiff":
        return _raw(head) or known
    return "image/svg+xml" if known is None and _is_svg(head) else known


def _is_svg(head: bytes) -> bool:
    """Whether a text's first element is a drawing's; only a declaration, a document type and comments precede it."""
    text = head[:_SVG_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip()
    first = _ELEMENT.search(_COMMENT.sub(b"", text)) if text.startswith(b"<") else None
    return first is not None and first[1] == b"svg"


_SVG_BYTES: Final = 8_192
_COMMENT: Final = re.compile(rb"<!--(?:[^-]|-(?!->))*+-->")
_ELEMENT: Final = re.compile(rb"<(?:[A-Za-z_][\w.-]{0,30}:)?([A-Za-z_][\w.-]*)")


# TIFF, and the cameras' own files that begin as one does


class Directory(NamedTuple):
    """A TIFF's directory: its tags, each with its first value where that is a number; and where it ends. No tags where
    it lies behind the bytes that were read.
    """

    tags: dict[int, int]
    end: int


def byte_order(head: bytes) -> Literal["little", "big"]:
    """Of the numbers in a TIFF."""
    return "little" if head[:2] == b"II" else "big"


def directory(head: bytes, at: int) -> Directory:
    """The directory of a TIFF that begins at a place (Adobe, "TIFF 6.0")."""
    order = byte_order(head)
    if at + 2 > len(head):
        return Directory({}, at + 2)
    tags = {}
    for tag, place in _entries(head, at, order):
        kind = int.from_bytes(head[place + 2 : place + 4], order)
        tags[tag] = int.from_bytes(head[place + 8 : place + (10 if kind == 3 else 12)], order)
    return Directory(tags, at + 2 + 12 * int.from_bytes(head[at : at + 2], order))


def _entries(head: bytes, at: int, order: Literal["little", "big"]) -> Iterator[tuple[int, int]]:
    """The tags of the directory at a place, each with where its entry begins."""
    entries = min(int.from_bytes(head[at : at + 2], order), MAX_ENTRIES)
    for place in range(at + 2, min(at + 2 + 12 * entries, len(head)), 12):
        yield int.from_bytes(head[place : place + 2], order), place


def pixels_end(head: bytes) -> int:
    """Where the last strip or tile of a TIFF's first image ends, by its directory; 0 where that or its lists lie behind
    the bytes that were read.
    """
    order = byte_order(head)
    lists: dict[int, tuple[int, ...]] = {}
    for tag, place in _entries(head, int.from_bytes(head[4:8], order), order):
        if tag in _EXTENTS and tag not in lists:
            lists[tag] = _numbers(head, place, order)
    pairs = zip(_OFFSETS, _LENGTHS, strict=True)
    ends = (
        begin + length
        for one, other in pairs
        for begin, length in zip(lists.get(one, ()), lists.get(other, ()), strict=False)
    )
    return max(ends, default=0)


def _numbers(head: bytes, place: int, order: Literal["little", "big"]) -> tuple[int, ...]:
    """The values of a directory's entry, of 16 or 32 bits; none where they lie behind the bytes that were read, or are
    more than any photo has.
    """
    kind, count = int.from_bytes(head[place + 2 : place + 4], order), int.from_bytes(head[place + 4 : place + 8], order)
    size = {3: 2, 4: 4}.get(kind, 0)
    begin = place + 8 if size * count <= 4 else int.from_bytes(head[place + 8 : place + 12], order)
    if not size or count > MAX_PIECES or begin + size * count > len(head):
        return ()
    return tuple(int.from_bytes(head[at : at + size], order) for at in range(begin, begin + size * count, size))


_OFFSETS: Final = (0x111, 0x144)
_LENGTHS: Final = (0x117, 0x145)
_EXTENTS: Final = frozenset((*_OFFSETS, *_LENGTHS))


def first_directory(head: bytes) -> Directory:
    """That of a TIFF's first image."""
    return directory(head, int.from_bytes(head[4:8], byte_order(head)))


_SUBFILE: Final = 0xFE
_COMPRESSION: Final = 0x103
_PHOTOMETRIC: Final = 0x106
_MAKE: Final = 0x10F
_PARTS: Final = 0x14A
_DNG: Final = 0xC612
_RAW_PHOTOMETRICS: Final = frozenset((32_803, 34_892))
"""A mosaic of colours, and a sensor's values for each colour (Adobe, "Digital Negative")."""
_RAW_COMPRESSIONS: Final = frozenset((32_767, 32_769, 32_770, 34_713, 65_000, 65_535))
"""Sony's, packed, Samsung's, Nikon's, Kodak's, Pentax's."""
_MAKES: Final = {
    "nikon": "image/x-nikon-nef",
    "sony": "image/x-sony-arw",
    "pentax": "image/x-pentax-pef",
    "asahi": "image/x-pentax-pef",
    "ricoh": "image/x-pentax-pef",
    "samsung": "image/x-samsung-srw",
    "hasselblad": "image/x-hasselblad-3fr",
    "seiko epson": "image/x-epson-erf",
    "kodak": "image/x-kodak-dcr",
    "eastman kodak": "image/x-kodak-dcr",
    "mamiya": "image/x-mamiya-mef",
    "leaf": "image/x-leaf-mos",
    "phase one": "image/x-phaseone-iiq",
}


def _raw(head: bytes) -> str | None:
    """The type of a camera's raw file that begins as a TIFF does; None for a picture.

    A raw file's first directory is of a preview, or holds a sensor's values, or a part of it does. A picture that was
    made of one names the same camera, but its first directory is its own.
    """
    first = first_directory(head)
    if _DNG in first.tags:
        return "image/x-adobe-dng"
    part = directory(head, first.tags[_PARTS]) if _PARTS in first.tags else Directory({}, 0)
    is_raw = first.tags.get(_SUBFILE, 0) & 1 or any(
        tags.get(_PHOTOMETRIC) in _RAW_PHOTOMETRICS or tags.get(_COMPRESSION) in _RAW_COMPRESSIONS
        for tags in (first.tags, part.tags)
    )
    if not is_raw:
        return None
    at = first.tags.get(_MAKE, len(head))
    make = head[at : at + 32].partition(b"\0")[0].decode("latin-1").casefold()
    return next((content_type for name, content_type in _MAKES.items() if make.startswith(name)), "image/x-raw")
