"""Price tags, stickers and labels: drawn flat, then laid on an image at an angle with a small shadow."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from local.samples.paint import Colour, Mask, Scene, f32, oval

INK: Colour = (34, 34, 38)


@dataclass(frozen=True)
class Tag:
    """One tag: `shape` price, round or label; centre and width in design units, angle in degrees clockwise."""

    shape: str
    x: float
    y: float
    width: float
    angle: float = 0
    lines: tuple[str, ...] = ()
    paper: Colour = (250, 248, 240)
    ink: Colour = INK

    @property
    def height(self) -> float:
        """In design units."""
        return self.width * {"price": 0.56, "round": 1.0, "label": 0.72}[self.shape]


def stick(scene: Scene, tag: Tag) -> Mask:
    """Lay a tag on the image; returns where it and its shadow are, as a mask."""
    art, cover = _draw(tag)
    size = np.array([art.shape[1], art.shape[0]], dtype=np.float64)
    factor = tag.width * scene.scale / size[0]
    turn = cv2.getRotationMatrix2D((float(size[0] / 2), float(size[1] / 2)), -tag.angle, factor)
    (centre,) = scene.to_pixels([(tag.x, tag.y)])
    turn[:, 2] += centre - size / 2
    canvas = (scene.width, scene.height)
    # An area filter first: scaling down in the warp alone would leave the print ragged.
    blur = max(0.01, 0.45 / factor)
    art = f32(cv2.GaussianBlur(art, (0, 0), blur))
    placed = f32(cv2.warpAffine(art, turn, canvas, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    mask = f32(cv2.warpAffine(cv2.GaussianBlur(cover, (0, 0), blur), turn, canvas))
    fallen = scene.shadow(mask, 3, 5, 4, 0.38)
    scene.fill(mask, placed)
    return np.maximum(mask, f32(fallen > 0.05))


def _draw(tag: Tag) -> tuple[NDArray[np.float32], Mask]:
    """A tag by itself, 600 pixels wide: its colours and its shape."""
    width, height = 600, round(600 * tag.height / tag.width)
    art = np.full((height, width, 3), tag.paper, np.float32)
    cover = np.zeros((height, width), np.uint8)
    if tag.shape == "round":
        _fill(cover, oval(300, 300, 290, 290), 255)
        ring = np.array(oval(300, 300, 258, 258)).round().astype(np.int32)
        cv2.polylines(art, [ring], True, tag.ink, 8, cv2.LINE_AA)
        inset = 45 * (len(tag.lines) - 1)  # two lines need a longer chord
        _write(art, tag.lines, (90 + inset, 130, 510 - inset, 470), tag.ink, 800)
    elif tag.shape == "price":
        cut = height * 0.28
        corners = [(cut, 6), (594, 6), (594, height - 6), (cut, height - 6), (6, height - 6 - cut), (6, 6 + cut)]
        _fill(cover, corners, 255)
        hole = oval(70, height / 2, 20, 20)
        _fill(art, hole, (150, 144, 134))
        _write(art, tag.lines, (120, 40, 570, height - 40), tag.ink, 700)
    else:
        _fill(cover, [(4, 4), (596, 4), (596, height - 4), (4, height - 4)], 255)
        _write(art, tag.lines, (40, 30, 560, height * 0.5), tag.ink, 600)
        _barcode(art, 60, round(height * 0.58), 540, round(height * 0.9))
    return art, f32(cover) / np.float32(255)


def _fill(
    image: NDArray[np.uint8] | NDArray[np.float32], points: list[tuple[float, float]], colour: Colour | int
) -> None:
    corners = (np.array(points) * 16).round().astype(np.int32)
    cv2.fillPoly(image, [corners], colour if isinstance(colour, tuple) else (colour,), cv2.LINE_AA, 4)


def _write(
    art: NDArray[np.float32], lines: tuple[str, ...], box: tuple[float, float, float, float], ink: Colour, weight: int
) -> None:
    """Set lines of text as large as the box allows, centred."""
    if not lines:
        return
    left, top, right, bottom = box
    step = (bottom - top) / len(lines)
    for row, text in enumerate(lines):
        size = step * 0.86
        wide = cv2.getTextSize((0, 0), text, (0, 0), cv2.FontFace("sans"), round(size), weight)[2]
        size = round(min(size, size * (right - left) / max(1, wide)))
        x, y, wide, high = cv2.getTextSize((0, 0), text, (0, 0), cv2.FontFace("sans"), size, weight)
        at = (round((left + right - wide) / 2 - x), round(top + step * (row + 0.5) - high / 2 - y))
        glyphs = np.zeros(art.shape[:2], np.uint8)
        cv2.putText(glyphs, text, at, (255,), cv2.FontFace("sans"), size, weight)
        cover = f32(glyphs)[..., None] / np.float32(255)
        art[:] = art * (1 - cover) + f32(ink) * cover


def _barcode(art: NDArray[np.float32], left: int, top: int, right: int, bottom: int) -> None:
    widths = np.random.default_rng(9).integers(1, 4, 80) * 4
    x, dark = left, True
    for width in widths:
        if x + width > right:
            break
        if dark:
            art[top:bottom, x : x + int(width)] = INK
        x, dark = x + int(width), not dark
