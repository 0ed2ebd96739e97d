"""Small files in the shapes that cameras, telephones and tools give to photos, each with the verdict that is right."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

import numpy as np
from PIL import Image

from detag.domain.reasons import Reason

SIZE: Final = (160, 120)
LARGE: Final = (900, 700)
SEGMENT: Final = 65_533
"""What one segment of a JPEG holds at most, in bytes."""
SLACK: Final = 150_000
"""More than is read of a file's end at first."""


@dataclass(frozen=True)
class Shape:
    """A file; why it is not sent, or None where it is; how often its first and its last bytes are read."""

    make: Callable[[], bytes]
    reason: Reason | None = None
    heads: int = 1
    tails: int = 0

    @property
    def data(self) -> bytes:
        """The file, made once."""
        return _made(self.make)


@cache
def _made(make: Callable[[], bytes]) -> bytes:
    return make()


# Images


def drawn(size: tuple[int, int] = SIZE, mode: str = "RGB") -> Image.Image:
    """An image that compresses about as badly as a photo."""
    across, down = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    grain = np.random.default_rng(size[0]).integers(0, 60, (size[1], size[0], 3))
    waves = np.stack([across % 196, down % 196, (across + down) % 196], axis=2)
    return Image.fromarray((waves + grain).astype(np.uint8)).convert(mode)


def saved(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    """An image as a file."""
    file = io.BytesIO()
    (image or drawn()).save(file, kind, **options)
    return file.getvalue()


def moving(kind: str, count: int = 3) -> bytes:
    """An animation."""
    first, *others = (Image.new("RGB", (40, 30), (70 * number, 20, 90)) for number in range(count))
    return saved(kind, first, save_all=True, append_images=others)


# JPEG


def segment(marker: int, payload: bytes) -> bytes:
    """A segment of a JPEG's headers."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def profile(*parts: bytes) -> bytes:
    """Segments that are taken for a colour profile in so many parts."""
    heads = (b"ICC_PROFILE\0" + bytes((number, len(parts))) for number in range(1, len(parts) + 1))
    return b"".join(segment(0xE2, head + part) for head, part in zip(heads, parts, strict=True))


def headed(jpeg: bytes, headers: bytes) -> bytes:
    """A JPEG with more headers before all others."""
    return jpeg[:2] + headers + jpeg[2:]


def claimed(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG that says that it is so large."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def jpeg(size: tuple[int, int] = SIZE, mode: str = "RGB", **options: Any) -> bytes:
    """A JPEG of good quality."""
    return saved("JPEG", drawn(size, mode), quality=92, **options)


PARTS: Final = (bytes(SEGMENT - 40),) * 2
THUMBNAIL: Final = b"\xff\xd8 a thumbnail \xff\xd9"


def multi_image() -> bytes:
    """A photo with a second image behind it, as HDR telephones write them."""
    return saved("MPO", drawn(LARGE), save_all=True, append_images=[drawn((80, 60))], quality=92)


def film(length: int = SLACK) -> bytes:
    """A film's boxes; what is in them looks like chance."""
    frames = np.random.default_rng(length).integers(0, 256, length, np.uint8).tobytes()
    return box(b"ftyp", b"mp42\0\0\0\0isommp42") + box(b"mdat", frames)


# Other types


def box(kind: bytes, payload: bytes) -> bytes:
    """A box of the ISO base media file format."""
    return struct.pack(">I", len(payload) + 8) + kind + payload


def branded(major: bytes, *compatible: bytes) -> bytes:
    """A file that begins as one of this brand does."""
    return box(b"ftyp", major + bytes(4) + b"".join(compatible)) + box(b"meta", bytes(400))


def chunk(kind: bytes, payload: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def png(more: bytes = b"", **options: Any) -> bytes:
    """A PNG with more chunks behind its IHDR."""
    data = saved("PNG", **options)
    return data[:33] + more + data[33:]


def scaled(webp: bytes) -> bytes:
    """A lossy WebP with its scaling bits set, which lie above the 14 bits of width and of height."""
    data, at = bytearray(webp), webp.index(b"\x9d\x01\x2a") + 3
    data[at + 1] |= 0x80
    data[at + 3] |= 0x40
    return bytes(data)


def grey16() -> bytes:
    """A PNG with 16 bits of grey for each pixel."""
    return saved("PNG", Image.fromarray(np.linspace(0, 65_535, 120 * 90).astype(np.uint16).reshape(90, 120)))


def gif(screen: tuple[int, int], frame: tuple[int, int]) -> bytes:
    """A GIF of a few bytes whose frame need not fit its screen."""
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + bytes(6)
    return head + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x44\x01\x00;"


def directory(make: str, *tags: tuple[int, int], behind: tuple[tuple[int, int], ...] = (), order: str = "<") -> bytes:
    """A TIFF's directory, as a camera of this make writes it into its raw files; `behind` is a second one, that the
    first refers to as a part of itself.
    """
    named = bool(behind) + bool(make)
    at = 8 + 2 + 12 * (len(tags) + named) + 4
    entries = [(tag, 4, 1, value) for tag, value in tags]
    entries += [(0x10F, 2, len(make) + 1, at)] if make else []
    entries += [(0x14A, 4, 1, at + 40)] if behind else []
    data = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    data += b"".join(struct.pack(f"{order}HHII", *entry) for entry in sorted(entries)) + bytes(4)
    data += make.encode().ljust(40, b"\0") + struct.pack(f"{order}H", len(behind))
    return data + b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in behind) + bytes(300)


SIDES: Final = ((0x100, 160), (0x101, 120))
SMALL: Final = ((0xFE, 1), *SIDES)
"""A preview: raw files begin with one, and photos are not behind it."""
MOSAIC: Final = ((0xFE, 0), (0x100, 6_000), (0x101, 4_000), (0x106, 32_803))
"""The sensor's own values, one colour for each pixel."""
RAWS: Final = {
    "Nikon NEF": (directory("NIKON CORPORATION", *SMALL, behind=MOSAIC, order=">"), "image/x-nikon-nef"),
    "Nikon NEF of a preview alone": (directory("NIKON", *SMALL), "image/x-nikon-nef"),
    "Adobe DNG": (directory("Apple", *SMALL, (0xC612, 0x0401), behind=MOSAIC), "image/x-adobe-dng"),
    "Adobe DNG without a preview": (directory("LEICA", *SIDES, (0xC612, 0x0401)), "image/x-adobe-dng"),
    "Sony ARW": (directory("SONY", *SMALL, (0x103, 6), behind=MOSAIC), "image/x-sony-arw"),
    "Pentax PEF": (directory("PENTAX Corporation", *SIDES, (0x103, 65_535), order=">"), "image/x-pentax-pef"),
    "Pentax PEF of a mosaic": (directory("RICOH IMAGING", *SIDES, (0x106, 32_803)), "image/x-pentax-pef"),
    "Samsung SRW": (directory("SAMSUNG", *SIDES, behind=MOSAIC), "image/x-samsung-srw"),
    "Hasselblad 3FR": (directory("Hasselblad", *SMALL, behind=MOSAIC), "image/x-hasselblad-3fr"),
    "Epson ERF": (directory("SEIKO EPSON CORP.", *SMALL, behind=MOSAIC), "image/x-epson-erf"),
    "Kodak DCR": (directory("Kodak", *SMALL, behind=((0x103, 65_000),)), "image/x-kodak-dcr"),
    "Mamiya MEF": (directory("Mamiya-OP Co.,Ltd.", *SMALL, behind=MOSAIC), "image/x-mamiya-mef"),
    "Leaf MOS": (directory("Leaf", *SMALL, behind=MOSAIC), "image/x-leaf-mos"),
    "Phase One IIQ": (b"IIII".join((b"II*\0\x08\0\0\0", bytes(200))), "image/x-phaseone-iiq"),
    "raw of another make": (directory("Contax", *SMALL, behind=MOSAIC), "image/x-raw"),
    "raw of no make": (directory("", *SIDES, (0x106, 34_892)), "image/x-raw"),
}
"""Raw files that begin as a TIFF does: what a reader of TIFFs would show of them is a preview, or nothing."""
UNSUPPORTED: Final = {
    **RAWS,
    "TIFF that was made from a raw file": (directory("NIKON CORPORATION", (0xFE, 0), *SIDES), "image/tiff"),
    "TIFF with a preview behind it": (directory("SONY", *SIDES, behind=SMALL), "image/tiff"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml"),
    "SVG behind a declaration": (
        b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- by <b> -->\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN"><svg>',
        "image/svg+xml",
    ),
    "SVG with a prefix": (b"<svg:svg xmlns:svg='http://www.w3.org/2000/svg'></svg:svg>", "image/svg+xml"),
    "HEIC of ten bits": (branded(b"heix", b"mif1", b"heix"), "image/heic"),
    "HEIC in a general box": (branded(b"mif1", b"mif1", b"heic"), "image/heic"),
    "HEIC of several layers": (branded(b"heim", b"mif1"), "image/heic"),
    "HEIC burst": (branded(b"hevc", b"msf1", b"hevc"), "image/heic-sequence"),
    "HEIC burst of ten bits": (branded(b"hevx"), "image/heic-sequence"),
    "HEIF sequence": (branded(b"msf1", b"iso8"), "image/heif"),
    "HEIC of another brand": (branded(b"MiHE", b"mif1", b"heic"), "image/heic"),
    "HEIF of one image": (branded(b"1pic", b"mif1"), "image/heif"),
    "HEIF of no known coding": (branded(b"mif1"), "image/heif"),
    "AVIF": (branded(b"avif", b"mif1", b"miaf"), "image/avif"),
    "AVIF burst": (branded(b"avis", b"avif", b"mif1"), "image/avif"),
    "AVIF in a general box": (branded(b"mif1", b"avif"), "image/avif"),
    "JPEG XL": (b"\xff\x0a" + bytes(range(120)), "image/jxl"),
    "JPEG XL in boxes": (box(b"JXL ", b"\r\n\x87\n") + branded(b"jxl "), "image/jxl"),
    "JPEG 2000": (box(b"jP  ", b"\r\n\x87\n") + branded(b"jpx "), "image/jp2"),
    "JPEG 2000 without boxes": (b"\xff\x4f\xff\x51" + bytes(120), "image/j2c"),
    "JPEG-LS": (b"\xff\xd8\xff\xf7" + bytes(120), "image/jls"),
    "Canon CR3": (branded(b"crx ", b"crx ", b"isom"), "image/x-canon-cr3"),
    "Canon CR2": (b"II*\0\x10\0\0\0CR\x02\0" + bytes(200), "image/x-canon-cr2"),
    "Canon CRW": (b"II\x1a\0\0\0HEAPCCDR" + bytes(200), "image/x-canon-crw"),
    "Fujifilm RAF": (b"FUJIFILMCCD-RAW 0201FF129502" + bytes(200), "image/x-fuji-raf"),
    "Panasonic RW2": (b"IIU\0\x18\0\0\0" + bytes(200), "image/x-panasonic-rw2"),
    "Olympus ORF": (b"IIRO\x08\0\0\0" + bytes(200), "image/x-olympus-orf"),
    "Olympus ORF, older": (b"IIRS\x08\0\0\0" + bytes(200), "image/x-olympus-orf"),
    "Olympus ORF, big-endian": (b"MMOR\0\0\0\x08" + bytes(200), "image/x-olympus-orf"),
    "Minolta MRW": (b"\0MRM" + bytes(200), "image/x-minolta-mrw"),
    "Sigma X3F": (b"FOVb" + bytes(200), "image/x-sigma-x3f"),
    "TIFF": (saved("TIFF"), "image/tiff"),
    "BigTIFF": (b"II+\0\x08\0\0\0" + bytes(200), "image/tiff"),
    "BigTIFF, big-endian": (b"MM\0+\0\x08\0\0" + bytes(200), "image/tiff"),
    "OpenEXR": (b"v/1\x01\x02\0\0\0" + bytes(200), "image/x-exr"),
    "Photoshop": (b"8BPS\0\x01" + bytes(200), "image/vnd.adobe.photoshop"),
    "BMP": (saved("BMP"), "image/bmp"),
    "GIF of one frame": (saved("GIF"), "image/gif"),
}
"""Images of types that are not sent, each with the name of its type."""


def empty_metadata(length: int) -> bytes:
    """EXIF of no tags, and space for more, as cameras leave it."""
    return b"Exif\0\0II*\0\x08\0\0\0" + bytes(length)


def moving_behind(length: int) -> bytes:
    """An animated PNG that only says so after so many bytes."""
    data = moving("PNG")
    return data[:33] + chunk(b"iCCP", bytes(length)) + data[33:]


ANIMATIONS: Final = {
    "animated PNG": Shape(lambda: moving("PNG"), Reason.UNSUPPORTED_TYPE),
    "animated PNG behind a profile": Shape(lambda: moving_behind(20_000), Reason.UNSUPPORTED_TYPE),
    "animated PNG behind a long profile": Shape(lambda: moving_behind(SLACK), Reason.UNSUPPORTED_TYPE, heads=2),
    "animated WebP": Shape(lambda: moving("WEBP"), Reason.UNSUPPORTED_TYPE),
    "animated GIF": Shape(lambda: moving("GIF"), Reason.UNSUPPORTED_TYPE),
}
SENT: Final = {
    "small JPEG": Shape(jpeg),
    "small PNG": Shape(png),
    "small WebP": Shape(lambda: saved("WEBP")),
    "large JPEG": Shape(lambda: jpeg(LARGE), tails=1),
    "large progressive JPEG": Shape(lambda: jpeg(LARGE, progressive=True), tails=1),
    "large PNG": Shape(lambda: saved("PNG", drawn(LARGE)), tails=1),
    "large WebP": Shape(lambda: saved("WEBP", drawn(LARGE), quality=95), tails=1),
    # Behind the end
    "JPEG with a trailer": Shape(lambda: jpeg() + b"a trailer" * 1_000),
    "JPEG with zeros behind its end": Shape(lambda: jpeg() + bytes(SLACK), tails=1),
    "JPEG with a film behind its end": Shape(lambda: jpeg() + film(), tails=1),
    "JPEG with words behind its end": Shape(lambda: jpeg() + b"<x:trailer/>" * 10_000, tails=1),
    "PNG with junk behind its end": Shape(lambda: png() + b"\x11" * SLACK, tails=1),
    "large JPEG with a trailer": Shape(lambda: jpeg(LARGE) + b"a trailer" * 1_000, tails=1),
    "large JPEG with a film behind its end": Shape(lambda: jpeg(LARGE) + film(), tails=1),
    "large JPEG with zeros behind its end": Shape(lambda: jpeg(LARGE) + bytes(SLACK), tails=2),
    "large JPEG with erased flash behind its end": Shape(lambda: jpeg(LARGE) + b"\xff" * SLACK, tails=2),
    "large JPEG with written flash behind its end": Shape(lambda: jpeg(LARGE) + b"\xff\0" * SLACK, tails=2),
    "large JPEG with part of an older one behind its end": Shape(
        lambda: jpeg(LARGE) + jpeg(LARGE)[-SLACK - 100 : -100], tails=2
    ),
    "large PNG with zeros behind its end": Shape(lambda: saved("PNG", drawn(LARGE)) + bytes(SLACK), tails=2),
    "WebP with zeros behind its end": Shape(lambda: saved("WEBP") + bytes(5_000)),
    "WebP with many zeros behind its end": Shape(lambda: saved("WEBP") + bytes(SLACK), tails=1),
    "large WebP with zeros behind its end": Shape(
        lambda: saved("WEBP", drawn(LARGE), quality=95) + bytes(SLACK), tails=2
    ),
    "WebP with metadata that ends in zeros": Shape(lambda: saved("WEBP", exif=empty_metadata(5_000))),
    "large WebP with metadata that ends in zeros": Shape(
        lambda: saved("WEBP", drawn(LARGE), exif=empty_metadata(5_000)), tails=1
    ),
    "large WebP with long metadata that ends in zeros": Shape(
        lambda: saved("WEBP", drawn(LARGE), exif=empty_metadata(SLACK)), tails=2
    ),
    # Long headers
    "JPEG with 128 KB of headers": Shape(lambda: headed(jpeg(), profile(*PARTS)), heads=2),
    "large JPEG with 128 KB of headers": Shape(lambda: headed(jpeg(LARGE), profile(*PARTS)), heads=2, tails=0),
    "JPEG with a megabyte of headers": Shape(lambda: headed(jpeg(), profile(*PARTS * 8)), heads=2),
    "PNG with a long profile": Shape(lambda: png(chunk(b"iCCP", bytes(SLACK))), heads=2),
    # Several images in one
    "multi-image JPEG": Shape(multi_image, tails=1),
    "multi-image JPEG with a film": Shape(lambda: multi_image() + film(), tails=1),
    # Colours
    "JPEG of four inks": Shape(lambda: jpeg(mode="CMYK")),
    "grey JPEG": Shape(lambda: jpeg(mode="L")),
    "PNG of 16 bits": Shape(grey16),
    # Dimensions
    "JPEG of 102 million pixels": Shape(lambda: claimed(jpeg(), 11_648, 8_736)),
    "JPEG of 200 million pixels": Shape(lambda: claimed(jpeg(), 16_320, 12_240)),
    "WebP with scaling bits": Shape(lambda: scaled(saved("WEBP"))),
}
CUT: Final = {
    "multi-image JPEG, cut in its first image": Shape(
        lambda: multi_image()[: len(jpeg(LARGE)) // 2], Reason.TRUNCATED, tails=2
    ),
    "motion photo, cut in its photo": Shape(
        lambda: headed(jpeg(LARGE), segment(0xE1, b"MotionPhoto MicroVideo"))[:-30_000], Reason.TRUNCATED, tails=2
    ),
    "JPEG cut behind long headers with a thumbnail": Shape(
        lambda: headed(jpeg(LARGE), profile(*PARTS, bytes(60_000) + THUMBNAIL))[: 3 * SEGMENT + 8_000],
        Reason.TRUNCATED,
        heads=2,
    ),
    "JPEG cut within long headers": Shape(
        lambda: headed(jpeg(), profile(*PARTS, THUMBNAIL * 2_000))[: 2 * SEGMENT + 9_000], Reason.TRUNCATED, heads=2
    ),
    "JPEG of which only the space was reserved": Shape(
        lambda: jpeg(LARGE)[:100_000] + bytes(SLACK), Reason.TRUNCATED, tails=2
    ),
    "PNG cut": Shape(lambda: saved("PNG", drawn(LARGE))[:-20], Reason.TRUNCATED, tails=2),
    "PNG cut in a long profile": Shape(lambda: png(chunk(b"iCCP", bytes(SLACK)))[:100_000], Reason.TRUNCATED, heads=2),
}
MUCH: Final = 4_500_000
"""More than is read of a file's end at most."""
UNSEEN_END: Final = {
    "JPEG with more zeros behind its end than are read": Shape(
        lambda: jpeg(LARGE) + bytes(MUCH), Reason.END_NOT_SEEN, tails=2
    ),
    "PNG with more zeros behind its end than are read": Shape(
        lambda: saved("PNG", drawn(LARGE)) + bytes(MUCH), Reason.END_NOT_SEEN, tails=2
    ),
    "PNG with a long film behind its end": Shape(
        lambda: saved("PNG", drawn(LARGE)) + film(MUCH), Reason.END_NOT_SEEN, tails=2
    ),
    "WebP with more zeros behind its end than are read": Shape(
        lambda: saved("WEBP", drawn(LARGE), quality=95) + bytes(MUCH), Reason.END_NOT_SEEN, tails=2
    ),
    "JPEG of which only much space was reserved": Shape(
        lambda: jpeg(LARGE)[:100_000] + bytes(MUCH), Reason.END_NOT_SEEN, tails=2
    ),
}
"""Whether these are whole cannot be told, and uploading them again would change nothing."""
TOO_LARGE: Final = {
    "JPEG of 4 billion pixels behind long headers": Shape(
        lambda: claimed(headed(jpeg(), profile(*PARTS)), 65_500, 65_500), Reason.TOO_MANY_PIXELS, heads=2
    ),
    "JPEG of 600 million pixels": Shape(lambda: claimed(jpeg(), 30_000, 20_000), Reason.TOO_MANY_PIXELS),
    "JPEG of a few pixels more than are allowed": Shape(
        lambda: claimed(jpeg(), 50_000, 10_001), Reason.TOO_MANY_PIXELS
    ),
    "JPEG that tells its height behind its scan": Shape(
        lambda: claimed(jpeg(), 65_500, 0), Reason.UNREADABLE_DIMENSIONS
    ),
    "JPEG without a frame": Shape(
        lambda: b"\xff\xd8" + profile(bytes(100)) + b"\xff\xda" + bytes(100) + b"\xff\xd9",
        Reason.UNREADABLE_DIMENSIONS,
    ),
    "JPEG with more headers than are read": Shape(
        lambda: headed(claimed(jpeg(), 65_500, 65_500), profile(*PARTS * 36)), Reason.UNREADABLE_DIMENSIONS, heads=2
    ),
}
SHAPES: Final[dict[str, Shape]] = {
    **SENT,
    **CUT,
    **UNSEEN_END,
    **TOO_LARGE,
    **{name: Shape(partial(bytes, data), Reason.UNSUPPORTED_TYPE) for name, (data, _) in UNSUPPORTED.items()},
    **ANIMATIONS,
}
