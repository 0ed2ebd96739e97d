"""Real files of every type, whole and cut at many points, and bytes that are no files at all."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageCms

from detag.domain.images import (
    ACCEPTED,
    DELIVERABLE,
    HEAD_BYTES,
    LONG_HEAD_BYTES,
    LONG_TAIL_BYTES,
    MAX_OUTPUT_PIXELS,
    TAIL_BYTES,
    NotAnImage,
    TooManyPixels,
    Truncated,
    Unsupported,
    check_photo,
    check_tail,
    headers_go_on,
    sniff,
)
from detag.domain.runs import aspect_ratio
from detag.ports.runs_fake import tiny_image
from tests.shapes import UNSUPPORTED

SIZE = (97, 61)


MOST_PIXELS = 250_000_000


def looked(data: bytes, *, photo: bool = True) -> tuple[str, int, int]:
    """What a file is, judged by its first and last bytes as the functions do it."""
    head = data[:HEAD_BYTES]
    if headers_go_on(head, len(data)):
        head = data[:LONG_HEAD_BYTES]
    image = sniff(head, len(data))
    if photo:
        check_photo(image, MOST_PIXELS)
    if not check_tail(image, head, data[-TAIL_BYTES:]) and not check_tail(image, head, data[-LONG_TAIL_BYTES:]):
        raise Truncated("no end")
    return image.content_type, image.width, image.height


def noise(size: tuple[int, int] = SIZE, mode: str = "RGB") -> Pillow.Image:
    """An image that does not compress."""
    chance = random.Random(7)
    return Pillow.frombytes("RGB", size, chance.randbytes(size[0] * size[1] * 3)).convert(mode)


def saved(kind: str, image: Pillow.Image | None = None, **options: Any) -> bytes:
    file = io.BytesIO()
    (image or noise()).save(file, kind, **options)
    return file.getvalue()


def exif(thumbnail: bytes) -> bytes:
    """An EXIF block with a JPEG thumbnail in it, as cameras write them."""
    block = b"MM\0*" + (8).to_bytes(4, "big") + bytes(2) + (14).to_bytes(4, "big") + (2).to_bytes(2, "big")
    at = 14 + 2 + 2 * 12 + 4
    for tag, value in ((0x0201, at), (0x0202, len(thumbnail))):
        block += tag.to_bytes(2, "big") + (4).to_bytes(2, "big") + (1).to_bytes(4, "big") + value.to_bytes(4, "big")
    return b"Exif\0\0" + block + bytes(4) + thumbnail


THUMBNAIL = saved("JPEG", noise((64, 48)), quality=40)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def encoded(extension: str, *options: int, depth: type = np.uint8) -> bytes:
    pixels: Any = np.frombuffer(noise().tobytes(), np.uint8).reshape(SIZE[1], SIZE[0], 3).astype(depth)
    done, data = cv2.imencode(extension, pixels, list(options))
    assert done
    return bytes(data)


JPEGS: dict[str, Callable[[], bytes]] = {
    "baseline": lambda: saved("JPEG"),
    "progressive": lambda: saved("JPEG", progressive=True),
    "optimised": lambda: saved("JPEG", optimize=True, quality=98),
    "grey": lambda: saved("JPEG", noise(mode="L")),
    "CMYK": lambda: saved("JPEG", noise(mode="CMYK")),
    "with a colour profile": lambda: saved("JPEG", icc_profile=PROFILE),
    "with a thumbnail": lambda: saved("JPEG", exif=exif(THUMBNAIL)),
    "progressive, with a thumbnail": lambda: saved("JPEG", exif=exif(THUMBNAIL), progressive=True),
    "with a comment that ends like an image": lambda: saved("JPEG", comment=b"\xff\xd9 no end \xff\xd9"),
    "with restart marks": lambda: saved("JPEG", restart_marker_blocks=2),
    "by OpenCV": lambda: encoded(".jpg"),
    "by OpenCV, progressive": lambda: encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
}
PNGS: dict[str, Callable[[], bytes]] = {
    "RGB": lambda: saved("PNG"),
    "RGBA": lambda: saved("PNG", noise(mode="RGBA")),
    "palette": lambda: saved("PNG", noise(mode="P")),
    "one bit": lambda: saved("PNG", noise(mode="1")),
    "16 bits": lambda: encoded(".png", depth=np.uint16),
    "by OpenCV": lambda: encoded(".png"),
}
WEBPS: dict[str, Callable[[], bytes]] = {
    "lossy": lambda: saved("WEBP"),
    "lossless": lambda: saved("WEBP", lossless=True),
    "with transparency": lambda: saved("WEBP", noise(mode="RGBA")),
    "with a colour profile": lambda: saved("WEBP", icc_profile=PROFILE),
    "by OpenCV": lambda: encoded(".webp"),
}
FILES = {
    **{f"JPEG, {name}": ("image/jpeg", make) for name, make in JPEGS.items()},
    **{f"PNG, {name}": ("image/png", make) for name, make in PNGS.items()},
    **{f"WebP, {name}": ("image/webp", make) for name, make in WEBPS.items()},
}


@pytest.mark.parametrize("name", FILES)
def test_a_real_file_is_known_by_its_content(name: str) -> None:
    kind, make = FILES[name]
    assert looked(make()) == (kind, *SIZE)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_cut_off_anywhere_is_refused(name: str) -> None:
    data = FILES[name][1]()
    cuts = {*range(min(600, len(data))), *range(600, len(data), 97), *range(len(data) - 40, len(data))}
    for cut in sorted(cuts - {len(data)}):
        with pytest.raises(NotAnImage):
            looked(data[:cut])


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith(("JPEG", "PNG"))])
@pytest.mark.parametrize("more", [b"\0" * 5_000, b"\r\n", b"trailer" * 3_000, random.Random(1).randbytes(20_000)])
def test_what_cameras_append_does_no_harm(name: str, more: bytes) -> None:
    kind, make = FILES[name]
    assert looked(make() + more) == (kind, *SIZE)


LARGE = (1_100, 900)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"exif": exif(THUMBNAIL)}),
        ("JPEG", {"icc_profile": PROFILE * 60}),
        ("PNG", {}),
        ("WEBP", {"quality": 95}),
    ],
)
def test_a_large_file_is_judged_by_its_two_ends(kind: str, options: dict[str, Any]) -> None:
    data = saved(kind, noise(LARGE), **options)
    assert len(data) > HEAD_BYTES + TAIL_BYTES
    assert looked(data) == (f"image/{kind.lower()}", *LARGE)
    for cut in (len(data) - 1, len(data) - 100, len(data) // 2, HEAD_BYTES + 1, HEAD_BYTES, HEAD_BYTES - 1):
        with pytest.raises(NotAnImage):
            looked(data[:cut])


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "PPM", "ICO", "PCX", "TGA", "GIF", "JPEG2000"])
def test_an_image_of_another_type_is_not_taken(kind: str) -> None:
    with pytest.raises(NotAnImage):
        looked(saved(kind))


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "GIF", "JPEG2000"])
def test_an_image_that_is_known_but_not_taken_says_so(kind: str) -> None:
    with pytest.raises(Unsupported, match="save the photo as JPEG, PNG or WebP"):
        looked(saved(kind))


def test_a_gif_may_be_delivered() -> None:
    assert looked(saved("GIF", noise(mode="P")), photo=False) == ("image/gif", *SIZE)


@pytest.mark.parametrize("kind", DELIVERABLE)
def test_the_images_of_the_fakes_are_images(kind: str) -> None:
    assert looked(tiny_image(kind, b"a note"), photo=False) == (kind, 8, 8)


@pytest.mark.parametrize(
    "data",
    [b"GIF89a", b"GIF89a\x08", b"\x89PNG\r\n\x1a\n\0\0\0\0IEND\xaeB`\x82", b"\xff\xd8\xff\xd9"],
)
def test_a_whole_file_that_tells_no_dimensions_is_broken(data: bytes) -> None:
    with pytest.raises(Truncated):
        looked(data, photo=False)


def test_a_rotated_photo_has_its_dimensions_either_way_round() -> None:
    turned = Pillow.Exif()
    turned[0x0112] = 6
    kind, *sides = looked(saved("JPEG", exif=turned))
    assert (kind, sorted(map(int, filter(None, sides)))) == ("image/jpeg", sorted(SIZE))


def test_too_many_pixels_are_refused_without_one_being_decoded() -> None:
    header = saved("PNG")[:16]
    for width, height in ((100_000, 100_000), (MAX_OUTPUT_PIXELS, 2), (2**31 - 1, 2**31 - 1)):
        claimed = header + width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes(100)
        with pytest.raises(TooManyPixels):
            sniff(claimed, 10_000)


OTHERS = {
    "empty": b"",
    "text": b"just some text",
    "HTML": b"<!DOCTYPE html><html></html>",
    "HTML with a drawing in it": b"<!-- <svg> --><html><svg></svg></html>",
    "XML of another kind": b'<?xml version="1.0"?><rss><svg/></rss>',
    "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3",
    "ZIP": b"PK\x03\x04" + bytes(100),
    "program": b"\x7fELF" + bytes(100),
    "sound": b"ID3\x03" + bytes(100),
    "RIFF that is no WebP": b"RIFF\x24\0\0\0WAVEfmt " + bytes(100),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_image_is_not_taken(name: str) -> None:
    with pytest.raises(NotAnImage, match="not an image"):
        looked(OTHERS[name], photo=False)


def test_each_refusal_tells_a_person_what_to_do() -> None:
    whole = saved("JPEG")
    with pytest.raises(Truncated, match="upload it again"):
        looked(whole[:-10])
    with pytest.raises(Unsupported, match="save the photo as"):
        looked(saved("TIFF"))


# Anything at all

STARTS = [make()[:n] for _, make in FILES.values() for n in (2, 4, 12, 30, 200)] + list(OTHERS.values())
STARTS += [data[:n] for data, _ in UNSUPPORTED.values() for n in (12, 60, 200)]
hostile = st.binary(max_size=3_000) | st.builds(
    lambda start, rest: start + rest, st.sampled_from(STARTS), st.binary(max_size=3_000)
)


@given(hostile, st.integers(0, 10**9), st.binary(max_size=300))
@example(b"\xff\xd8\xff", 3, b"")
@example(b"\xff\xd8\xff" + b"\xff" * 3_000, 3_003, b"")
@example(b"\xff\xd8\xff\xe0\0\0" * 500, 3_000, b"\xff")
@example(b"RIFF\xff\xff\xff\xffWEBPVP8X", 16, b"")
@example(b"RIFF\0\0\0\0WEBP", 12, b"")
@example(b"\0\0\0\x18ftyp", 12, b"")
@example(b"GIF89a\1\0\1\0\xf7\0\0,", 12, b"")
def test_no_bytes_raise_anything_but_not_an_image(data: bytes, more: int, tail: bytes) -> None:
    for size, last in ((len(data), data[-TAIL_BYTES:]), (len(data) + more + len(tail), tail)):
        try:
            goes_on = headers_go_on(data, size)
            image = sniff(data, size)
            check_tail(image, data, last)
            check_photo(image, MOST_PIXELS)
        except NotAnImage:
            continue
        assert image.content_type in ACCEPTED
        assert 0 < image.width * image.height <= MOST_PIXELS
        assert not goes_on or len(data) < size


@given(st.sampled_from(sorted(STARTS)), st.binary(max_size=40), st.integers(LONG_HEAD_BYTES, 10**9))
def test_no_bytes_are_asked_for_twice(start: bytes, rest: bytes, size: int) -> None:
    """Whatever is read at the second time is judged: nothing is read a third time."""
    assert not headers_go_on((start + rest).ljust(LONG_HEAD_BYTES, b"\xff"), size)


@given(st.sampled_from(sorted(FILES)), st.data())
def test_a_file_with_a_few_bytes_changed_raises_nothing_else(name: str, data: st.DataObject) -> None:
    changed = bytearray(FILES[name][1]())
    for _ in range(data.draw(st.integers(1, 6))):
        changed[data.draw(st.integers(0, min(2_000, len(changed) - 1)))] = data.draw(st.integers(0, 255))
    try:
        kind, _, _ = looked(bytes(changed))
    except NotAnImage:
        return
    assert kind in ACCEPTED


# The aspect ratio


@given(st.integers(1, 99), st.integers(1, 99), st.sampled_from(["", " ", "\t", "\n"]))
def test_two_numbers_with_a_colon_are_a_ratio(width: int, height: int, space: str) -> None:
    assert aspect_ratio(f"{space}{width}:{height}{space}") == f"{width}:{height}"


@pytest.mark.parametrize("text", [None, "", " ", "\n"])
def test_no_ratio_keeps_the_photos_own(text: str | None) -> None:
    assert aspect_ratio(text) is None


@given(st.text(max_size=12) | st.text("0123456789:.x/ ", max_size=8) | st.from_regex(r"\A\d{1,3}:\d{1,3}\Z"))
@example("1\u0663:1")
@example("\uff11:\uff11")
@example("0:1")
@example("01:1")
@example("1:1:1")
@example("100:1")
@example("1:1\n1:1")
def test_anything_else_is_refused_in_words_for_a_person(text: str) -> None:
    if re.fullmatch(r"\s*([1-9][0-9]?:[1-9][0-9]?)?\s*", text):
        return
    with pytest.raises(ValueError, match="two whole numbers with a colon"):
        aspect_ratio(text)
