"""What the first and the last bytes of an image tell, where they tell too little, and that each rule is needed."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from detag.domain.images import (
    EMPTY_END_BYTES,
    HEAD_BYTES,
    LONG_HEAD_BYTES,
    LONG_TAIL_BYTES,
    TAIL_BYTES,
    Image,
    NotAnImage,
    Truncated,
    UnreadableDimensions,
    check_filled,
    check_tail,
    headers_go_on,
    sniff,
)
from tests.shapes import (
    LARGE,
    SENT,
    SIZE,
    chunk,
    claimed,
    drawn,
    gif,
    headed,
    jpeg,
    moving,
    png,
    saved,
    scaled,
    segment,
)

SCAN = Random(3).randbytes(200_000).replace(b"\xff", b"\xff\0")
"""As it would be between the first scan's header and the end of a JPEG."""


def ends(rest: bytes, before: bytes = b"", *, size: int = 10_000_000, tail: int = TAIL_BYTES) -> bool:
    """Whether a JPEG that ends with these bytes, and begins with others, shows that it was not cut off."""
    image = Image("image/jpeg", 8, 8, size, 700, animated=False)
    return check_tail(image, before.rjust(HEAD_BYTES, b"\0"), rest[-tail:])


def test_a_scan_without_an_end_was_cut_off() -> None:
    with pytest.raises(Truncated):
        ends(SCAN)


def test_a_scan_between_two_tables_was_cut_off() -> None:
    with pytest.raises(Truncated):
        ends(SCAN + segment(0xC4, bytes(40)) + segment(0xDA, bytes(10)) + SCAN[:30_000])


@pytest.mark.parametrize("follows", [b"\xff\xd8", b"\xff\xd9", b"\xff\xc0", b"\xff\xf4", b"\xff\x07", b"\xff\xbf"])
def test_what_no_scan_holds_shows_that_it_ended(follows: bytes) -> None:
    assert ends(SCAN[:60_000] + follows + SCAN[:5_000])


@pytest.mark.parametrize("padding", [b"\0", b"\xff", b"\x11", b"trailer"])
def test_padding_tells_nothing(padding: bytes) -> None:
    assert not ends(padding * TAIL_BYTES)


def test_a_mask_behind_an_image_is_no_scan() -> None:
    """A depth map of two values: 00 and FF in any order."""
    assert ends(bytes(Random(4).choices((0, 255), k=TAIL_BYTES)))


@pytest.mark.parametrize("pattern", [b"\xff\0", b"\0\xff", b"\xff\0\xff\0\xff\0\0"])
def test_filling_behind_an_image_is_not_called_a_scan(pattern: bytes) -> None:
    """A camera fills its block with FF 00, or with anything: what precedes it may tell."""
    filled = SCAN[:50_000] + b"\xff\xd9" + pattern * TAIL_BYTES
    assert not ends(filled)
    assert ends(filled, tail=LONG_TAIL_BYTES)


def test_a_short_scan_of_two_values_was_cut_off() -> None:
    with pytest.raises(Truncated):
        ends(SCAN[:100] + b"\xff\0" * 10_000)


def is_filled(data: bytes, behind: int, tail: int = LONG_TAIL_BYTES) -> bool:
    """Whether a WebP shows that its length was filled."""
    head, whole = data[:HEAD_BYTES], data + bytes(behind)
    return check_filled(sniff(head, len(whole)), head, whole[-tail:])


@pytest.mark.parametrize("options", [{"quality": 90}, {"lossless": True}])
def test_a_webp_whose_rest_never_came_was_cut_off(options: dict[str, Any]) -> None:
    """Its whole length was reserved, and is filled with zeros."""
    data = saved("WEBP", drawn(LARGE), **options)
    half = data[: len(data) // 2].ljust(len(data), b"\0")
    for behind in (0, 100, TAIL_BYTES - EMPTY_END_BYTES):
        assert is_filled(data, behind, TAIL_BYTES)
        with pytest.raises(Truncated):
            is_filled(half, behind)
    assert not is_filled(data, TAIL_BYTES, TAIL_BYTES), "its own last bytes were not read"


@pytest.mark.parametrize("zeros", [EMPTY_END_BYTES, TAIL_BYTES, LONG_TAIL_BYTES - 100])
def test_metadata_of_a_webp_may_end_in_zeros(zeros: int) -> None:
    """Its pixels came before that: the file is whole. How much of it was read decides whether that is seen."""
    data = saved("WEBP", drawn(LARGE), exif=b"Exif\0\0" + bytes(zeros))
    assert is_filled(data, 0)
    assert is_filled(data, 0, TAIL_BYTES) is (zeros < TAIL_BYTES)


def test_metadata_that_ends_elsewhere_fills_nothing() -> None:
    data = saved("WEBP", drawn(LARGE), quality=90)
    half = (data[: len(data) // 2] + b"EXIF" + (100).to_bytes(4, "little")).ljust(len(data), b"\0")
    with pytest.raises(Truncated):
        is_filled(half, 0)


def test_an_end_in_the_first_bytes_is_an_end() -> None:
    assert ends(bytes(TAIL_BYTES), b"\xff\xd9" + bytes(9_000))


def test_a_thumbnails_end_is_none() -> None:
    with pytest.raises(Truncated):
        ends(SCAN, b"\xff\xd9" + bytes(HEAD_BYTES - 600))


def test_an_end_between_the_first_and_the_last_bytes_is_seen() -> None:
    """The mark lies half in those and half in these."""
    data = jpeg() + b"\xff\0"
    cut = data.index(b"\xff\xd9") + 1
    image = sniff(data[:cut], len(data))
    assert check_tail(image, data[:cut], data[cut:])


def test_all_that_follows_the_headers_tells_for_certain() -> None:
    with pytest.raises(Truncated):
        ends(bytes(5_000), size=HEAD_BYTES + 5_000)


@pytest.mark.parametrize("length", [0, 20_000, 100_000])
def test_a_png_is_judged_behind_its_headers(length: int) -> None:
    """The end mark of an image in its headers does not count."""
    data = png(chunk(b"eXIf", b"IEND\xaeB`\x82" + bytes(length)))
    with pytest.raises(Truncated):
        check_tail(sniff(data, len(data)), data[:-12], data[:-12][-TAIL_BYTES:])


@pytest.mark.parametrize("name", SENT)
def test_no_more_than_so_many_bytes_are_asked_for(name: str) -> None:
    data, heads = SENT[name].data, SENT[name].heads
    assert headers_go_on(data[:HEAD_BYTES], len(data)) is (heads == 2)
    assert not headers_go_on(data[:LONG_HEAD_BYTES], len(data))


def test_a_whole_file_has_no_more() -> None:
    assert not headers_go_on(b"\xff\xd8" + segment(0xE0, bytes(100)), 106)


@pytest.mark.parametrize("junk", [b"\0" * 9, b"\xff" * 5, b"\xff\0\xff\0", b"junk"])
def test_junk_between_headers_is_passed_over(junk: bytes) -> None:
    data = headed(jpeg(), segment(0xE1, bytes(10)) + junk + segment(0xE1, bytes(10)) + junk)
    image = sniff(data, len(data))
    assert (image.width, image.height) == SIZE
    assert data[image.begins : image.begins + 2] == b"\xff\xda"


def test_of_two_frames_the_larger_counts() -> None:
    frame = claimed(jpeg(), 9_000, 8_000)
    at = frame.index(b"\xff\xc0")
    data = headed(jpeg(), frame[at : at + 19])
    assert sniff(data, len(data)).width == 9_000


@pytest.mark.parametrize("options", [{"quality": 80}, {"lossless": True}, {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}])
def test_a_webp_of_each_kind_is_as_large_as_it_is(options: dict[str, Any]) -> None:
    data = saved("WEBP", **options)
    image = sniff(data, len(data))
    assert (image.width, image.height, image.animated) == (*SIZE, False)


def test_scaling_bits_are_no_size() -> None:
    data = scaled(saved("WEBP"))
    assert sniff(data, len(data)).width == SIZE[0]


def test_a_gif_is_as_large_as_its_largest_frame() -> None:
    data = gif((4, 5), (40_000, 50_000))
    image = sniff(data, len(data))
    assert (image.width, image.height, image.animated) == (40_000, 50_000, False)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_an_animation_is_told_from_a_photo(kind: str) -> None:
    for data, moves in ((moving(kind), True), (saved(kind), False)):
        assert sniff(data, len(data)).animated is moves


def test_a_gif_that_plays_once_is_an_animation() -> None:
    data = moving("GIF").replace(b"NETSCAPE2.0", b"SOMETHINGEL")
    assert sniff(data, len(data)).animated


def test_headers_that_never_tell_are_no_image_that_was_cut() -> None:
    data = b"\xff\xd8" + segment(0xE0, bytes(60)) + b"\xff\xda" + bytes(60) + b"\xff\xd9"
    with pytest.raises(UnreadableDimensions, match="save it anew"):
        sniff(data, len(data))


@pytest.mark.parametrize("size", [SIZE, LARGE])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_no_cut_is_taken_for_whole(kind: str, size: tuple[int, int]) -> None:
    data = saved(kind, drawn(size))
    for cut in range(40, len(data) - 1, 997):
        part = data[:cut]
        with pytest.raises(NotAnImage):
            check_tail(sniff(part, cut), part, part[-TAIL_BYTES:])
