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


def output_of(source: bytes, content_type: str) -> bytes:
    """What a run makes of a photo: another image with the same name in it."""
    return _draw(b"<output %s>" % name_in(source).encode(), content_type)


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
