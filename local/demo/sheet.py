"""The contact sheet: every photo before and after, with its name."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Canvas = NDArray[np.uint8]

COLUMNS: Final = 3
SIDE: Final = 300  # longest side of an image, in pixels
GAP: Final = 8
MARGIN: Final = 36
LABEL: Final = 46
HEAD: Final = 104
MOST: Final = 120
"""Pairs on one sheet: with more of them, only the first are shown."""

PAPER, INK, FAINT = (250, 249, 247), (32, 34, 40), (122, 124, 132)
Image.MAX_IMAGE_PIXELS = None  # the mock Runflow has delivered them, and takes larger ones than Pillow would open
_FONT: Final = "sans"  # built into OpenCV: the same letters on every machine


class Pair(NamedTuple):
    """One photo before and after, and two lines to be written under it."""

    before: Path
    after: Path
    name: str
    note: str


def contact_sheet(pairs: Sequence[Pair], title: str, note: str) -> Image.Image:
    """All pairs (at most MOST) in a grid, under a title and a note."""
    pairs = pairs[:MOST]
    columns = min(COLUMNS, max(1, len(pairs)))
    cell_width, cell_height = 2 * SIDE + GAP, SIDE + LABEL
    rows = -(-len(pairs) // columns)
    width = columns * cell_width + (columns + 1) * MARGIN
    canvas: Canvas = np.full((HEAD + rows * (cell_height + MARGIN) + MARGIN // 2, width, 3), PAPER, np.uint8)
    write(canvas, title, MARGIN, 50, 30, INK, weight=700, width=width - 2 * MARGIN)
    write(canvas, note, MARGIN, 82, 18, FAINT, width=width - 2 * MARGIN)
    for index, pair in enumerate(pairs):
        left = MARGIN + index % columns * (cell_width + MARGIN)
        top = HEAD + index // columns * (cell_height + MARGIN)
        for offset, path in ((0, pair.before), (SIDE + GAP, pair.after)):
            image = thumbnail(path)
            y = top + SIDE - image.shape[0]  # down to its name
            x = left + offset + (SIDE - image.shape[1]) // 2
            canvas[y : y + image.shape[0], x : x + image.shape[1]] = image
        write(canvas, pair.name, left, top + SIDE + 22, 17, INK, weight=600, width=cell_width)
        write(canvas, pair.note, left, top + SIDE + 42, 14, FAINT, width=cell_width)
    return Image.fromarray(canvas)


def thumbnail(path: Path) -> Canvas:
    """An image, upright and at most SIDE long; transparency on white. Raises OSError where it is not an image."""
    with warnings.catch_warnings(action="ignore"), Image.open(path) as image:  # what Pillow makes of odd metadata
        image.draft("RGB", (2 * SIDE, 2 * SIDE))
        upright = ImageOps.exif_transpose(image)
    upright.thumbnail((SIDE, SIDE))
    if upright.has_transparency_data:
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright.convert("RGBA"))
    return np.asarray(upright.convert("RGB"))


def write(
    canvas: Canvas, text: str, x: int, y: int, size: int, colour: tuple[int, int, int], *, weight: int = 400, width: int
) -> None:
    """Write one line, its base at `y`; if it is wider than `width`, the middle is replaced by an ellipsis."""
    line = legible(text)
    while _wide(line, size, weight) > width and len(line) > 3:
        middle = len(line) // 2
        line = f"{line[: middle - 1].rstrip('…')}…{line[middle + 1 :].lstrip('…')}"
    cv2.putText(canvas, line, (x, y), colour, cv2.FontFace(_FONT), size, weight)


def _wide(text: str, size: int, weight: int) -> int:
    return int(cv2.getTextSize((0, 0), text, (0, 0), cv2.FontFace(_FONT), size, weight)[2])


def legible(text: str) -> str:
    """The text in letters that the font has; an emoji is written out, as in `[party popper]`."""
    shown = []
    for letter in unicodedata.normalize("NFC", text):
        if unicodedata.category(letter) in ("Mn", "Me", "Cf", "Cc"):  # nothing to see by itself
            continue
        if _has(letter):
            shown.append(letter)
        else:
            shown.append(f"[{unicodedata.name(letter, 'unknown').lower()}]")
    return "".join(shown)


@cache
def _has(letter: str) -> bool:
    """Whether the font draws the letter; what it lacks, it draws as a question mark."""
    return letter in "? " or not np.array_equal(_drawn(letter), _drawn("?"))


@cache
def _drawn(letter: str) -> Canvas:
    canvas: Canvas = np.zeros((40, 60, 3), np.uint8)
    cv2.putText(canvas, letter, (4, 30), (255, 255, 255), cv2.FontFace(_FONT), 24, 400)
    return canvas
