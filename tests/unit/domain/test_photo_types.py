"""Types that an operator may let through: known, measured and seen to be whole, as far as their headers tell."""

from __future__ import annotations

import struct
from io import BytesIO
from unittest.mock import patch

import pytest
from PIL import Image as Pillow

from detag.domain import image_types
from detag.domain.image_types import pixels_end
from detag.domain.images import (
    ACCEPTED,
    HEAD_BYTES,
    NotAnImage,
    Truncated,
    UnreadableDimensions,
    Unsupported,
    check_photo,
    check_tail,
    headers_go_on,
    sniff,
)
from detag.domain.runs import PHOTO_TYPES
from detag.settings import Misconfigured, SubmitSettings
from tests.environment import settings

SIZE = (240, 130)
ALL = tuple(kind for kinds in PHOTO_TYPES.values() for kind in kinds)


def saved(kind: str, **options: object) -> bytes:
    out = BytesIO()
    Pillow.effect_noise(SIZE, 60).convert("RGB").save(out, kind, **options)
    return out.getvalue()


def box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4) + kind + content


def heic(tail: bytes = b"pixels" * 20) -> bytes:
    """A photo of an iPhone: a grid of tiles, and a thumbnail."""
    extents = [
        box(b"ispe", bytes(4) + w.to_bytes(4) + h.to_bytes(4)) for w, h in ((512, 512), (4_032, 3_024), (320, 240))
    ]
    meta = box(b"meta", bytes(4) + box(b"hdlr", bytes(24)) + box(b"iprp", box(b"ipco", b"".join(extents))))
    return box(b"ftyp", b"heic" + bytes(4) + b"mif1heic") + meta + box(b"mdat", tail)


PHOTOS = {
    "image/heic": (heic(), (4_032, 3_024)),
    "image/avif": (saved("AVIF"), SIZE),
    "image/tiff": (saved("TIFF"), SIZE),
}


@pytest.mark.parametrize("kind", PHOTOS)
def test_a_type_that_is_let_through_is_measured(kind: str) -> None:
    data, size = PHOTOS[kind]
    image = sniff(data, len(data), ALL)
    check_photo(image, 500_000_000, ALL)
    assert (image.content_type, image.width, image.height) == (kind, *size)
    assert check_tail(image, data, data[-100:])


@pytest.mark.parametrize("kind", PHOTOS)
def test_what_is_not_let_through_says_how(kind: str) -> None:
    data, _ = PHOTOS[kind]
    name = kind.removeprefix("image/").upper()
    with pytest.raises(Unsupported, match=f"{name}.*PhotoTypes"):
        sniff(data, len(data), {*ACCEPTED})
    with pytest.raises(Unsupported):
        sniff(data, len(data))


def test_a_heic_says_how_an_iphone_saves_jpeg() -> None:
    with pytest.raises(Unsupported, match="Settings, Camera, Formats, Most Compatible"):
        sniff(heic(), len(heic()))


@pytest.mark.parametrize("kind", ["image/heic", "image/avif"])
def test_a_cut_is_seen_by_the_length_that_its_boxes_tell(kind: str) -> None:
    data, _ = PHOTOS[kind]
    for cut in (len(data) - 1, len(data) // 2, 40):
        with pytest.raises(NotAnImage):
            sniff(data[:cut], cut, ALL)
    with pytest.raises(Truncated):
        sniff(data, len(data) - 1, ALL)


def test_long_headers_of_a_heic_are_read_on() -> None:
    data = heic()
    far = data[:24] + box(b"free", bytes(HEAD_BYTES)) + data[24:]
    assert headers_go_on(far[:HEAD_BYTES], len(far))
    assert sniff(far, len(far), ALL).width == 4_032


@pytest.mark.parametrize("order", ["little", "big"])
def test_a_tiff_is_measured_in_either_byte_order(order: str) -> None:
    def put(value: int, size: int) -> bytes:
        return value.to_bytes(size, "little" if order == "little" else "big")

    entries = [put(tag, 2) + put(4, 2) + put(1, 4) + put(side, 4) for tag, side in ((0x100, 900), (0x101, 700))]
    data = (b"II*\0" if order == "little" else b"MM\0*") + put(8, 4) + put(2, 2) + b"".join(entries) + bytes(40)
    image = sniff(data, len(data), ALL)
    assert (image.width, image.height) == (900, 700)


@pytest.mark.parametrize(
    "options", [{}, {"compression": "tiff_lzw"}, {"compression": "tiff_lzw", "tiled": True}], ids=str
)
def test_a_cut_is_seen_by_where_a_tiff_says_that_its_pixels_are(options: dict[str, object]) -> None:
    data = saved("TIFF", **options)
    assert sniff(data, len(data), ALL).width == SIZE[0]
    for cut in (len(data) - 1_000, len(data) // 2, 500):
        with pytest.raises(NotAnImage):
            sniff(data[:cut], cut, ALL)


def test_a_tiff_that_hides_where_its_pixels_are_is_not_refused() -> None:
    """Its lists lie behind what was read, or are of another kind: nothing says that it is cut."""
    data = bytearray(saved("TIFF"))
    at = int.from_bytes(data[4:8], "little")
    places = range(at + 2, at + 2 + 12 * int.from_bytes(data[at : at + 2], "little"), 12)
    (place,) = (one for one in places if int.from_bytes(data[one : one + 2], "little") == 0x111)
    data[place + 4 : place + 12] = (1_000_000).to_bytes(4, "little") * 2
    assert sniff(bytes(data), len(data), ALL).width == SIZE[0]
    data[place + 2 : place + 4] = (16).to_bytes(2, "little")
    assert sniff(bytes(data), len(data), ALL).width == SIZE[0]


@pytest.mark.parametrize(("repeated", "count"), [(999, 20_000), (1, 1_000_000)])
def test_a_tiff_that_tells_too_often_or_too_much_costs_little(repeated: int, count: int) -> None:
    """Of lists that fill the first bytes only the first is read, and none that is longer than any photo's."""
    entry = struct.pack("<HHII", 0x111, 4, count, 26 + 12 * repeated)
    lengths = struct.pack("<HHII", 0x117, 4, count, 26 + 12 * repeated)
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", repeated + 1) + entry * repeated + lengths + bytes(4)
    with patch.object(image_types, "_numbers", wraps=image_types._numbers) as read:
        end = pixels_end(head + (7).to_bytes(4, "little") * count)
    assert (read.call_count, end) == (2, 14 if repeated > 1 else 0)


def test_a_tiff_whose_directory_is_far_behind_is_not_measured() -> None:
    data = b"II*\0" + (8_000_000).to_bytes(4, "little") + bytes(HEAD_BYTES)
    assert headers_go_on(data[:HEAD_BYTES], 9_000_000)
    with pytest.raises(UnreadableDimensions):
        sniff(data, 9_000_000, ALL)
    with pytest.raises(Truncated):
        sniff(data, 7_000_000, ALL)


def test_a_large_tiff_is_not_measured() -> None:
    data = b"II+\0" + (8).to_bytes(2, "little") + bytes(2) + (16).to_bytes(8, "little") + bytes(80)
    with pytest.raises(UnreadableDimensions):
        sniff(data, len(data), ALL)


def test_a_moving_avif_is_an_animation() -> None:
    out = BytesIO()
    frames = [Pillow.effect_noise(SIZE, spread).convert("RGB") for spread in (20, 60)]
    frames[0].save(out, "AVIF", save_all=True, append_images=frames[1:])
    data = out.getvalue()
    with pytest.raises(Unsupported, match="animation"):
        check_photo(sniff(data, len(data), ALL), 500_000_000, ALL)


def test_a_type_may_be_taken_away() -> None:
    data = saved("PNG")
    with pytest.raises(Unsupported, match="PNG"):
        check_photo(sniff(data, len(data)), 500_000_000, PHOTO_TYPES["JPEG"])


def test_the_parameter_names_types_and_nothing_else() -> None:
    assert settings(SubmitSettings).photo_types == ACCEPTED
    assert settings(SubmitSettings, photo_types="HEIC,TIFF").photo_types == ("image/heic", "image/heif", "image/tiff")
    with pytest.raises(Misconfigured, match="PHOTO_TYPES"):
        settings(SubmitSettings, photo_types="GIF")
