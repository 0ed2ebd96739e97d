"""The contact sheet: photo and output of each pair, and names that can be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from local.demo.sheet import COLUMNS, MOST, SIDE, Pair, contact_sheet, legible, thumbnail
from tests.shapes import claimed, jpeg

RED, GREEN = (200, 20, 20), (20, 160, 60)


def image(path: Path, colour: tuple[int, ...], size: tuple[int, int] = (800, 600), **options: Any) -> Path:
    Image.new("RGB" if len(colour) == 3 else "RGBA", size, colour).save(path, **options)
    return path


def share(sheet: Image.Image, colour: tuple[int, int, int]) -> int:
    """How many pixels have about this colour."""
    return int((np.abs(np.asarray(sheet).astype(int) - colour).max(axis=2) < 12).sum())


def test_every_pair_is_on_the_sheet(tmp_path: Path) -> None:
    before, after = image(tmp_path / "a.jpg", RED), image(tmp_path / "a.webp", GREEN, quality=95)
    one = SIDE * SIDE * 600 // 800
    for count in (1, 2, COLUMNS + 1):
        sheet = contact_sheet([Pair(before, after, "a.jpg", "cleaned")] * count, "Before and after", "note")
        assert share(sheet, RED) == pytest.approx(count * one, rel=0.02)
        assert share(sheet, GREEN) == pytest.approx(count * one, rel=0.02)


def test_a_sheet_of_thousands_shows_the_first(tmp_path: Path) -> None:
    pair = Pair(image(tmp_path / "a.png", RED, (8, 8)), image(tmp_path / "b.png", GREEN, (8, 8)), "a", "b")
    sheet = contact_sheet([pair] * (MOST + 50), "t", "n")
    assert share(sheet, RED) == MOST * 64


def test_names_are_drawn_and_long_ones_stay_in_their_cell(tmp_path: Path) -> None:
    path = image(tmp_path / "a.png", (250, 249, 247))
    for name in ("a.jpg", "x" * 300 + ".jpg"):
        ink = np.asarray(contact_sheet([Pair(path, path, name, "")], "", "")).min(axis=2) < 100
        assert ink.sum() > 40
        assert not ink[:, -30:].any()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("été + 20% & co", "été + 20% & co"),
        ("e\u0301te\u0301", "été"),
        ("a 🎉.jpg", "a [party popper].jpg"),
        ("☀️", "[black sun with rays]"),
        ("who?", "who?"),
        ("a\nb\u200b", "ab"),
    ],
)
def test_letters_that_the_font_lacks_are_written_out(text: str, shown: str) -> None:
    assert legible(text) == shown


def test_thumbnails_are_upright_small_and_on_white(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert thumbnail(image(tmp_path / "a.jpg", RED, (800, 400), exif=exif)).shape == (SIDE, SIDE // 2, 3)
    clear = thumbnail(image(tmp_path / "b.png", (0, 0, 0, 0), (40, 40)))
    assert (clear == 255).all()


def test_odd_metadata_are_shown_without_a_warning(tmp_path: Path) -> None:
    """A photo of several whose index Pillow cannot read is drawn, and nothing is printed into the demo's report."""
    path = image(tmp_path / "a.jpg", RED)
    whole = path.read_bytes()
    path.write_bytes(whole[:2] + b"\xff\xe2\x00\x0cMPF\x00odd!!!" + whole[2:])
    with pytest.warns(UserWarning, match="malformed MPO"), Image.open(path):
        pass
    assert share(Image.fromarray(thumbnail(path)), RED) == SIDE * SIDE * 600 // 800


def test_a_photo_of_200_million_pixels_is_opened(tmp_path: Path) -> None:
    """The mock Runflow takes more pixels than Pillow would open by itself."""
    path = tmp_path / "a.jpg"
    path.write_bytes(claimed(jpeg(), 16_320, 12_240))
    assert thumbnail(path).shape == (SIDE * 3 // 4, SIDE, 3)
