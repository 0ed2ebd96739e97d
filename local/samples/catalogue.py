"""The sample photos: their names, and the state in which each should end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from local.samples import products
from local.samples.paint import Colour, Mask, Scene
from local.samples.tags import Tag, stick

Rgb = NDArray[np.uint8]

YELLOW: Final[Colour] = (250, 208, 52)
RED: Final[Colour] = (214, 40, 46)
GREEN: Final[Colour] = (46, 148, 84)
WHITE: Final[Colour] = (255, 255, 255)


@dataclass(frozen=True)
class Drawn:
    """A sample with and without its tags (RGB arrays), and where the tags and their shadows are (bool)."""

    clean: Rgb
    tagged: Rgb
    tags: NDArray[np.bool_]


@dataclass(frozen=True)
class Sample:
    """One file. `path` is relative to the folder of samples; `ends` is the state its job should reach."""

    path: str
    product: Callable[[Scene], None] | None = None
    tags: tuple[Tag, ...] = ()
    wall: Colour = (220, 214, 206)
    floor: Colour = (198, 190, 180)
    size: tuple[int, int] = (1000, 1000)
    text: str = ""
    ends: Literal["delivered", "skipped"] = "delivered"

    def draw(self) -> Drawn:
        """Draw it; the same pixels every time. Raises ValueError for a sample that is not a photo."""
        if self.product is None:
            raise ValueError(f"{self.path} is not a photo")
        scene = Scene(*self.size, self.wall, self.floor)
        self.product(scene)
        bare = scene.pixels.copy()
        where: Mask = np.zeros((scene.height, scene.width), np.float32)
        scene.grain(1.6, seed=len(self.path))
        clean = scene.photo()
        scene.pixels = bare
        for tag in self.tags:
            where = np.maximum(where, stick(scene, tag))
        scene.grain(1.6, seed=len(self.path))
        return Drawn(clean, scene.photo(), where > 0.02)

    def content(self) -> bytes:
        """The bytes of the file."""
        if self.product is None:
            return self.text.encode()
        formats = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
        file = BytesIO()
        image = Image.fromarray(self.draw().tagged)
        # Quality 93 keeps the grain; PNG's level 3 is a third of the time of its default.
        image.save(file, formats[Path(self.path).suffix], quality=93, compress_level=3)
        return file.getvalue()


SAMPLES: Final = (
    Sample(
        "kitchen/a.jpg",
        products.mug,
        (Tag("price", 470, 560, 190, -8, ("€ 14.90",)),),
        wall=(226, 208, 186),
        floor=(206, 184, 158),
    ),
    Sample(
        "kitchen/a.png",
        products.teapot,
        (Tag("round", 560, 560, 150, 10, ("-30%",), GREEN, WHITE),),
        wall=(196, 210, 204),
        floor=(172, 188, 182),
    ),
    Sample(
        "shoes/sneaker.jpg",
        products.sneaker,
        (
            Tag("price", 372, 602, 170, -5, ("$ 89",), YELLOW),
            Tag("round", 800, 330, 170, -14, ("NEW", "IN"), RED, WHITE),
        ),
        wall=(204, 214, 226),
        floor=(180, 192, 206),
        size=(1200, 900),
    ),
    Sample(
        "bags/leather/handbag.webp",
        products.handbag,
        (Tag("price", 640, 700, 210, 14, ("$ 129.00",)),),
        wall=(214, 206, 214),
        floor=(190, 180, 190),
    ),
    Sample(
        "beauty/perfume.png",
        products.perfume,
        (Tag("label", 508, 620, 190, -4, ("TESTER", "50 ml"), WHITE),),
        wall=(206, 188, 186),
        floor=(182, 160, 160),
        size=(900, 1100),
    ),
    Sample(
        "clothes/T-shirt d'été + 20% off 🎉.jpg",
        products.shirt,
        (Tag("round", 596, 360, 150, 12, ("SALE", "-20%"), YELLOW, (150, 30, 30)),),
        wall=(222, 216, 208),
        floor=(222, 216, 208),
    ),
    Sample(
        "home/lamp.webp",
        products.lamp,
        (Tag("price", 560, 400, 180, -12, ("£ 45.00",), WHITE),),
        wall=(120, 132, 146),
        floor=(96, 104, 116),
        size=(900, 1100),
    ),
    Sample(
        "home/vase.jpg",
        products.vase,
        (Tag("round", 480, 660, 160, -10, ("HAND", "MADE"), (244, 240, 228), (140, 60, 40)),),
        wall=(228, 214, 204),
        floor=(208, 190, 178),
        size=(900, 1100),
    ),
    Sample(
        "home/cushion.png",
        products.cushion,
        (Tag("label", 610, 610, 190, 8, ("45 x 45 cm", "COTTON"), (250, 250, 246)),),
        wall=(188, 196, 200),
        floor=(168, 176, 182),
    ),
    Sample(
        "food/honey jar.jpeg",
        products.jar,
        (Tag("price", 500, 620, 200, 5, ("€ 7.50",)), Tag("round", 590, 474, 130, 14, ("BIO",), GREEN, WHITE)),
        wall=(218, 222, 206),
        floor=(196, 200, 182),
    ),
    Sample(
        "headphones.webp",
        products.headphones,
        (Tag("round", 500, 430, 180, -8, ("SALE",), RED, WHITE),),
        wall=(208, 200, 220),
        floor=(184, 176, 198),
        size=(1200, 900),
    ),
    Sample(
        "stationery/notebook.jpg",
        partial(products.notebook, colour=(62, 86, 120)),
        (Tag("label", 500, 600, 200, -6, ("NOTEBOOK", "$ 12.00"), WHITE),),
        wall=(224, 200, 176),
        floor=(218, 192, 166),
    ),
    Sample("price list.txt", text="mug 14.90\nteapot 39.00\n", ends="skipped"),
    Sample("shoes/not a photo.jpg", text="This file has a photo's name, but no photo in it.\n", ends="skipped"),
)


def write_samples(folder: Path) -> list[Path]:
    """Write every sample under `folder`; returns their paths."""
    paths = []
    for sample in SAMPLES:
        path = folder / sample.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample.content())
        paths.append(path)
    return paths
