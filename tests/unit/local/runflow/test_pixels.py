"""The work on the pixels: tags are gone, everything else stays, and formats are what they should be."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from local.runflow.pixels import Made, Unreadable, process, remove_tags
from local.samples import Drawn, Sample
from tests.shapes import ANIMATIONS, SENT
from tests.unit.local.gallery import PHOTOS, content, drawn
from tests.unit.local.runflow.harness import harness

# How much of the difference that a tag makes may be left where it was, and how far anything else may have moved
# (mean of RGB steps of 255). Measured on all samples: at most 0.10 left, and 1.5 elsewhere through WebP.
LEFT, MOVED = 0.16, 2.5
MADE_UP = (
    "JPEG of 102 million pixels",
    "JPEG of 200 million pixels",
    "PNG with a long profile",
    "WebP with scaling bits",
)
"""Shapes whose pixels or profile are not there."""


def error(one: NDArray[np.uint8], other: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    """Mean difference of colour in a region."""
    return float(np.abs(one[where].astype(float) - other[where]).mean())


def pixels_of(made: Made) -> NDArray[np.uint8]:
    return np.array(Image.open(BytesIO(made.body)).convert("RGB"))


def check(known: Drawn, cleaned: NDArray[np.uint8]) -> None:
    """Raises AssertionError unless the tags are gone and the rest is as it was."""
    around = cv2.dilate(known.tags.astype(np.uint8), np.ones((31, 31), np.uint8)) > 0
    before, after = error(known.tagged, known.clean, known.tags), error(cleaned, known.clean, known.tags)
    assert before > 40
    assert after < LEFT * before, f"{after:.1f} of {before:.1f} are left"
    assert error(cleaned, known.clean, ~around) < MOVED


@pytest.mark.parametrize("sample", PHOTOS, ids=lambda sample: sample.path)
def test_every_tag_of_every_sample_is_painted_out(sample: Sample) -> None:
    made = process(content(sample))

    assert (made.extension, made.content_type) == ("webp", "image/webp")
    check(drawn(sample), pixels_of(made))


@pytest.mark.parametrize("mode", ["copy", "reencode"])
def test_with_the_pixel_work_off_that_test_fails(mode: Any) -> None:
    made = process(content(PHOTOS[0]), mode=mode)

    with pytest.raises(AssertionError, match="are left"):
        check(drawn(PHOTOS[0]), pixels_of(made))


@pytest.mark.parametrize("sample", PHOTOS, ids=lambda sample: sample.path)
def test_a_photo_without_tags_stays_as_it_is(sample: Sample) -> None:
    clean = drawn(sample).clean
    assert remove_tags(clean) is clean


@pytest.mark.parametrize("factor", [0.6, 2.0])
def test_tags_are_found_at_other_sizes(factor: float) -> None:
    found = 0
    for sample in PHOTOS[:4]:
        known = drawn(sample)
        resized = [
            np.asarray(cv2.resize(each, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)
            for each in (known.clean, known.tagged, known.tags.astype(np.uint8))
        ]
        cleaned = remove_tags(resized[1])
        where = resized[2] > 0
        found += error(cleaned, resized[0], where) < 0.25 * error(resized[1], resized[0], where)
    assert found >= 3


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "extension", "content_type"),
    [("JPEG", "jpg", "image/jpeg"), ("PNG", "png", "image/png"), ("WEBP", "webp", "image/webp")],
)
def test_the_type_may_stay_the_same(kind: str, extension: str, content_type: str) -> None:
    body = saved(Image.new("RGB", (40, 30), (9, 99, 199)), kind)

    made = process(body, output_type="same")

    assert (made.extension, made.content_type) == (extension, content_type)
    assert Image.open(BytesIO(made.body)).format == kind
    assert process(body, mode="copy") == Made(body, extension, content_type)
    assert process(body, mode="reencode").content_type == "image/webp"


def test_transparency_and_colour_profile_are_kept() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.new("RGBA", (40, 30), (200, 30, 30, 0))
    image.paste((10, 200, 10, 255), (10, 10, 30, 20))

    made = Image.open(BytesIO(process(saved(image, "PNG", icc_profile=profile)).body))

    assert made.mode == "RGBA"
    assert np.array_equal(np.array(made.getchannel("A")), np.array(image.getchannel("A")))
    assert made.info["icc_profile"] == profile


def test_a_photo_that_lies_on_its_side_is_turned_upright() -> None:
    image = Image.new("RGB", (40, 20), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6
    made = Image.open(BytesIO(process(saved(image, "JPEG", exif=exif)).body))
    assert made.size == (20, 40)
    assert 0x0112 not in made.getexif()


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "PNG"), ("P", "PNG"), ("1", "PNG"), ("I;16", "PNG"), ("CMYK", "JPEG"), ("LA", "PNG")]
)
def test_other_colour_modes_are_read(mode: str, kind: str) -> None:
    made = Image.open(BytesIO(process(saved(Image.new(mode, (30, 20)), kind)).body))
    assert made.size == (30, 20)


def test_a_multi_picture_jpeg_is_a_jpeg() -> None:
    first, second = Image.new("RGB", (40, 30), (9, 99, 199)), Image.new("RGB", (20, 15))
    body = saved(first, "MPO", save_all=True, append_images=[second])
    assert Image.open(BytesIO(body)).format == "MPO"
    made = process(body, output_type="same")
    assert (made.content_type, Image.open(BytesIO(made.body)).size) == ("image/jpeg", (40, 30))


@pytest.mark.parametrize("name", [name for name in SENT if name not in MADE_UP])
def test_what_is_sent_is_processed(name: str) -> None:
    assert process(SENT[name].data, mode="reencode").content_type == "image/webp"


@pytest.mark.parametrize("name", ["animated PNG", "animated WebP", "animated GIF"])
def test_an_animation_is_refused(name: str) -> None:
    with pytest.raises(Unreadable):
        process(ANIMATIONS[name].data, mode="reencode")


def test_sixteen_bits_of_grey_stay_grey() -> None:
    pixels = pixels_of(process(SENT["PNG of 16 bits"].data, mode="reencode"))
    assert pixels[0, 0].max() < 20
    assert pixels[-1, -1].min() > 235
    assert 110 < pixels.mean() < 145


def test_grey_is_seen_through_its_profile() -> None:
    """Half the light is no half of sRGB's scale."""
    made = process(saved(Image.new("L", (40, 30), 128), "JPEG", icc_profile=linear_grey()), mode="reencode")
    assert pixels_of(made).mean() == pytest.approx(188, abs=3)
    assert space_of(made) == "RGB "


@pytest.mark.parametrize("mode", ["CMYK", "L", "RGB"])
@pytest.mark.parametrize("space", [b"CMYK", b"GRAY", b"RGB "])
def test_an_output_has_no_profile_of_other_colours(mode: str, space: bytes) -> None:
    profile = bytes(16) + space + bytes(112)
    made = process(saved(Image.new(mode, (40, 30)), "JPEG", icc_profile=profile), mode="reencode")
    assert space_of(made) == ("RGB " if (mode, space) == ("RGB", b"RGB ") else "")


def space_of(made: Made) -> str:
    """The colours that an output's profile is for; nothing where it has none."""
    profile: bytes = Image.open(BytesIO(made.body)).info.get("icc_profile", b"")
    return profile[16:20].decode()


def linear_grey() -> bytes:
    """A profile (ICC.1:2001-04) for grey whose values are amounts of light."""
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 7) + b"linear\0" + bytes(78),
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">III", 0xF6D6, 0x10000, 0xD32D),
        b"kTRC": b"curv" + bytes(8),
    }
    table, data = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(data), len(value))
        data += value.ljust(-(-len(value) // 4) * 4, b"\0")
    head = b"\0\0\0\0\0\0\0\0\2\x20\0\0mntrGRAYXYZ ".ljust(36, b"\0") + b"acsp"
    head = head.ljust(68, b"\0") + struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)
    whole = head.ljust(128, b"\0") + table + data
    return struct.pack(">I", len(whole)) + whole[4:]


@pytest.mark.parametrize(
    ("ratio", "size"), [("1:1", (40, 40)), ("16:9", (53, 30)), ("3:4", (40, 53)), ("4:3", (40, 30))]
)
def test_a_ratio_is_reached_by_adding_to_the_photo(ratio: str, size: tuple[int, int]) -> None:
    body = saved(Image.new("RGB", (40, 30), (10, 200, 10)), "PNG")
    made = Image.open(BytesIO(process(body, aspect_ratio=ratio, output_type="same").body))
    assert made.size == size
    assert made.convert("RGB").getextrema() == ((10, 10), (200, 200), (10, 10))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"a,b,c",
        saved(Image.new("RGB", (200, 200)), "JPEG")[:-200],
        saved(Image.new("RGB", (9, 9)), "GIF"),
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_what_is_no_image_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable):
        process(body)


@pytest.mark.anyio
async def test_the_mock_removes_the_tags_of_its_input() -> None:
    sample = PHOTOS[0]
    async with harness(behaviour={"pixels": "remove"}) as runflow:
        runflow.photos["/shoe.png"] = content(sample)
        record = await runflow.done()
        output = await runflow.fetch(record["output"]["image_urls"][0])
        assert output.headers["content-type"] == "image/webp"
        check(drawn(sample), pixels_of(Made(output.content, "webp", "image/webp")))
