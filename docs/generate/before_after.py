"""The contact sheet at the head of the README: two sample photos before and after, `docs/before-after.jpg`.

OpenCV and Pillow draw the same scene a little differently from one machine to the next: so it is compared as pixels.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from PIL import Image

from local.demo.sheet import Pair, contact_sheet
from local.runflow.pixels import process
from local.samples import SAMPLES

SHEET: Final = "docs/before-after.jpg"
SHOWN: Final = ("food/honey jar.jpeg", "stationery/notebook.jpg")
NOTE: Final = "Cleaned by the mock Runflow of make demo: a few lines of OpenCV. Runflow's own model is far better."
ALIKE: Final = 3.0
"""The most by which two drawings of it may differ, as the mean over all values of 0 to 255."""


def draw() -> Image.Image:
    """The samples as they are, and as the mock Runflow cleans them."""
    with TemporaryDirectory() as name:
        pairs = []
        for number, sample in enumerate(one for one in SAMPLES if one.path in SHOWN):
            before, after = Path(name) / f"{number}-before", Path(name) / f"{number}-after"
            before.write_bytes(sample.content())
            after.write_bytes(process(sample.content()).body)
            pairs.append(Pair(before, after, sample.path, "before and after"))
        return contact_sheet(pairs, "detag: before and after", NOTE)


def is_current(root: Path) -> bool:
    """Whether the sheet in the repository shows what is drawn now."""
    path = root / SHEET
    if not path.is_file():
        return False
    drawn = draw()
    with Image.open(path) as image:
        if image.size != drawn.size:
            return False
        difference = np.abs(np.asarray(image.convert("RGB"), np.float32) - np.asarray(drawn, np.float32))
    return float(difference.mean()) < ALIKE


def write(root: Path) -> None:
    """Draw it into the repository."""
    draw().save(root / SHEET, quality=82, optimize=True)
