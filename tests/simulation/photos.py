"""Photos of a few dozen bytes, each with a name in its pixels, and the outputs that runs make of them."""

from __future__ import annotations

import re
import struct
import zlib
from typing import Final

_MARK: Final = re.compile(rb"<(?:photo|output) ([\w.-]+)>")


def photo(name: str, content_type: str) -> bytes:
    """A whole JPEG or PNG in which `name` can be found again."""
    return _draw(b"<photo %s>" % name.encode(), content_type)


def output_of(source: bytes, content_type: str, mark: str) -> bytes:
    """What a run makes of a photo: another image with the same name in it, and with its own mark."""
    return _draw(b"<output %s> %s" % (name_in(source).encode(), mark.encode()), content_type)


def dressed(photo: bytes, number: int) -> tuple[bytes, str]:
    """A photo as one camera or tool or another leaves it, and the encoding that its uploader says it has."""
    match number % 8:
        case 0:  # recovered from a card
            return photo + bytes(70_000), ""
        case 1 if photo.startswith(b"\xff\xd8"):  # with a profile for print
            return photo[:2] + (b"\xff\xe2\x9c\x40" + bytes(39_998)) * 2 + photo[2:], ""
        case 2 if photo.startswith(b"\xff\xd8"):  # with a second image
            return photo[:2] + b"\xff\xe2\0\x10MPF\0MM\0*" + bytes(6) + photo[2:] + photo, ""
        case 3:  # by a tool that compresses pages, but not photos
            return photo, "gzip"
    return photo, ""


def name_in(image: bytes) -> str:
    """The name in an image's pixels. Raises ValueError where there is none."""
    found = _MARK.search(image)
    if found is None:
        raise ValueError("no pixels of ours")
    return found[1].decode()


def is_output(image: bytes) -> bool:
    """Whether the image came out of a run."""
    return b"<output " in image


def _draw(mark: bytes, content_type: str) -> bytes:
    if content_type == "image/jpeg":
        frame = b"\xff\xc0\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00"
        comment = b"\xff\xfe" + struct.pack(">H", len(mark) + 2) + mark
        return b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00" + comment + frame + b"\xff\xd9"
    if content_type == "image/png":
        header = _chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + header + _chunk(b"tEXt", b"name\0" + mark) + _chunk(b"IEND", b"")
    if content_type == "image/webp":
        canvas = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + b"\x07\0\0\x07\0\0"
        body = b"WEBP" + canvas + b"EXIF" + struct.pack("<I", len(mark)) + mark + b"\0" * (len(mark) % 2)
        return b"RIFF" + struct.pack("<I", len(body)) + body
    raise ValueError(content_type)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


NOT_SENT: Final = {
    "cut.jpg": photo("cut", "image/jpeg")[:-2],
    "cut multi-image.jpg": dressed(photo("cut", "image/jpeg"), 2)[0].split(b"\xff\xd9")[0],
    "telephone.heic": b"\0\0\0\x18ftypheix\0\0\0\0mif1heix" + bytes(80),
    "moving.webp": b"RIFF\x1e\0\0\0WEBPVP8X\n\0\0\0\2\0\0\0\x07\0\0\x07\0\0ANIM\0\0\0\0",
    "without a height.jpg": photo("flat", "image/jpeg").replace(b"\xff\xc0\0\x0b\x08\0\x08", b"\xff\xc0\0\x0b\x08\0\0"),
}
"""Images that cannot be cleaned, each in another way."""
