"""A small studio: shapes, light and shadow on a floating-point canvas.

Shapes are masks: float32 arrays of the canvas' height and width, 0 outside and 1 inside, antialiased. Points are in a
design space of 1000 x 1000 units, placed in the middle of the canvas and scaled to its shorter side. Colours are RGB,
0 to 255. Everything is deterministic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Mask: TypeAlias = NDArray[np.float32]
Pixels: TypeAlias = NDArray[np.float32]
Colour: TypeAlias = tuple[float, float, float]
Points: TypeAlias = Sequence[tuple[float, float]]

_FINER = 3  # shapes are drawn so many times finer, then averaged: an antialias without steps


def f32(values: Any) -> NDArray[np.float32]:
    """Any array or number as float32."""
    return np.asarray(values, np.float32)


class Scene:
    """An image being drawn. `pixels` is float32, height x width x RGB."""

    def __init__(self, width: int, height: int, wall: Colour, floor: Colour, horizon: float = 760) -> None:
        self.width, self.height = width, height
        self.scale = min(width, height) / 1000
        self.x, self.y = self._grid()
        # The wall falls into the floor without an edge, and both darken towards the corners.
        depth = 1 / (1 + np.exp(-(self.y - horizon) / 60))
        vignette = 1.06 - 0.22 * (((self.x - 430) / 900) ** 2 + ((self.y - 380) / 900) ** 2)
        blend = depth[..., None] * f32(floor) + (1 - depth[..., None]) * f32(wall)
        self.pixels: Pixels = f32(blend * vignette[..., None])

    def _grid(self) -> tuple[Mask, Mask]:
        x = (np.arange(self.width, dtype=np.float32) - self.width / 2) / self.scale + 500
        y = (np.arange(self.height, dtype=np.float32) - self.height / 2) / self.scale + 500
        return np.broadcast_to(x, (self.height, self.width)), np.broadcast_to(y[:, None], (self.height, self.width))

    def to_pixels(self, points: Points) -> NDArray[np.float64]:
        """Design coordinates as pixel coordinates, n x 2."""
        centre = np.array([self.width / 2, self.height / 2])
        placed: NDArray[np.float64] = (np.array(points, dtype=np.float64) - 500) * self.scale + centre
        return placed

    # Shapes

    def polygon(self, points: Points) -> Mask:
        """A polygon."""
        return self._shape(points, 0, lambda fine, corners: cv2.fillPoly(fine, [corners], (255,)))

    def _shape(
        self, points: Points, margin: float, draw: Callable[[NDArray[np.uint8], NDArray[np.int32]], object]
    ) -> Mask:
        """Let `draw` paint a shape, `margin` design units wider than its points, on a finer canvas; then average it."""
        placed = self.to_pixels(points)
        edge = margin * self.scale + 2
        left, top = np.floor(placed.min(axis=0) - edge).astype(int).clip(0)
        right, bottom = np.ceil(placed.max(axis=0) + edge).astype(int).clip(0, (self.width, self.height))
        mask = np.zeros((self.height, self.width), np.float32)
        if left < right and top < bottom:
            fine = np.zeros(((bottom - top) * _FINER, (right - left) * _FINER), np.uint8)
            draw(fine, np.round((placed - (left, top)) * _FINER).astype(np.int32))
            coarse = cv2.resize(fine, (int(right - left), int(bottom - top)), interpolation=cv2.INTER_AREA)
            mask[top:bottom, left:right] = f32(coarse) / np.float32(255)
        return mask

    def curve(self, points: Points) -> Mask:
        """A closed smooth shape through the points (Catmull-Rom)."""
        return self.polygon(smooth(points, closed=True))

    def ellipse(self, x: float, y: float, rx: float, ry: float) -> Mask:
        """An ellipse with its axes along the image's."""
        return self.polygon(oval(x, y, rx, ry))

    def rounded(self, left: float, top: float, right: float, bottom: float, radius: float) -> Mask:
        """A rectangle with round corners."""
        corners = [(right - radius, bottom - radius), (left + radius, bottom - radius),
                   (left + radius, top + radius), (right - radius, top + radius)]  # fmt: skip
        points: list[tuple[float, float]] = []
        for quarter, (x, y) in enumerate(corners):
            angles = np.radians(np.linspace(90 * quarter, 90 * quarter + 90, 16))
            points += [(x + radius * float(np.cos(a)), y + radius * float(np.sin(a))) for a in angles]
        return self.polygon(points)

    def line(self, points: Points, width: float) -> Mask:
        """An open smooth line of a width in design units."""
        thick = max(1, round(width * self.scale * _FINER))
        path = smooth(points, closed=False)
        return self._shape(path, width, lambda fine, corners: cv2.polylines(fine, [corners], False, (255,), thick))

    # Paint

    def fill(self, mask: Mask, colour: Colour | Pixels, opacity: float = 1.0) -> None:
        """Paint a shape in one colour, or with an array of them."""
        part = _box(mask)
        cover = (mask[part] * opacity)[..., None]
        paint = f32(colour)
        paint = paint[part] if paint.ndim == 3 else paint
        self.pixels[part] = self.pixels[part] * (1 - cover) + paint * cover

    def darken(self, mask: Any, strength: float) -> None:
        """Take light away where the mask is; a negative strength adds it."""
        part = _box(f32(mask))
        self.pixels[part] *= 1 - strength * f32(mask)[part][..., None]

    def body(self, mask: Mask, colour: Colour, light: Any = 1.0) -> None:
        """Paint a shape that is lit: `light`, a number or an array, is 1 for the colour itself, more towards white."""
        part = _box(mask)
        lit = np.broadcast_to(f32(light), mask.shape)[part][..., None]
        base = f32(colour)
        paint = np.where(lit <= 1, base * lit, base + (255 - base) * (lit - 1))
        cover = mask[part][..., None]
        self.pixels[part] = self.pixels[part] * (1 - cover) + f32(paint) * cover

    def shadow(self, mask: Mask, dx: float, dy: float, blur: float, strength: float) -> Mask:
        """The soft shadow that a shape casts; returns where it falls."""
        move = np.array([[1, 0, dx * self.scale], [0, 1, dy * self.scale]], dtype=np.float32)
        fallen = self.soft(f32(cv2.warpAffine(mask, move, (self.width, self.height))), blur)
        self.darken(fallen, strength)
        return fallen

    def gleam(self, within: Mask, shape: Mask, blur: float, strength: float) -> None:
        """A soft reflection of `shape` on the surface `within`."""
        self.fill(self.soft(shape, blur) * within, (255, 255, 255), strength)

    def soft(self, mask: Mask, blur: float) -> Mask:
        """A mask with a blurred edge; `blur` in design units."""
        sigma = max(0.3, blur * self.scale)
        # A wide blur is the same image at a quarter of the size.
        if sigma < 8:
            return f32(cv2.GaussianBlur(mask, (0, 0), sigma))
        small = cv2.resize(mask, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), sigma / 4)
        return f32(cv2.resize(small, (self.width, self.height), interpolation=cv2.INTER_CUBIC))

    def round_light(self, left: float, right: float, bright: float = 0.33) -> Mask:
        """Light on an upright cylinder between two edges, brightest at `bright` of its width."""
        across = np.clip((self.x - left) / (right - left), 0, 1)
        return f32(0.62 + 0.5 * np.exp(-(((across - bright) / 0.32) ** 2)))

    def ball_light(self, x: float, y: float, r: float) -> Mask:
        """Light on a ball."""
        distance = ((self.x - x + 0.35 * r) ** 2 + (self.y - y + 0.4 * r) ** 2) / r**2
        return f32(np.clip(1.12 - 0.28 * distance, 0.5, 1.15))

    def grain(self, amount: float, seed: int) -> None:
        """The noise of a camera."""
        noise = np.random.default_rng(seed).standard_normal(self.pixels.shape[:2], np.float32)
        self.pixels = self.pixels + (noise * np.float32(amount))[..., None]

    def photo(self) -> NDArray[np.uint8]:
        """The image so far: uint8, RGB."""
        return np.asarray(np.clip(np.round(self.pixels), 0, 255), np.uint8)


def _box(mask: Mask) -> tuple[slice, slice]:
    """The part of the canvas that a mask is in."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return np.s_[0:0, 0:0]
    return np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def path(text: str) -> list[tuple[float, float]]:
    """Points written as `x,y x,y ...`."""
    pairs = (pair.split(",") for pair in text.split())
    return [(float(x), float(y)) for x, y in pairs]


def oval(x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360) -> list[tuple[float, float]]:
    """Points of an ellipse, or of an arc of it; angles in degrees, clockwise from the right."""
    angles = np.radians(np.linspace(start, end, 96))
    return [(x + rx * float(np.cos(a)), y + ry * float(np.sin(a))) for a in angles]


def smooth(points: Points, *, closed: bool) -> list[tuple[float, float]]:
    """A Catmull-Rom curve through the points."""
    path: Any = np.array(points, dtype=np.float64)
    ends = (path[-1], path[0], path[1]) if closed else (path[0], path[-1], path[-1])
    if closed:
        padded = np.vstack([ends[0], path, ends[1], ends[2]])
    else:
        padded = np.vstack([ends[0], path, ends[1]])
    t = np.linspace(0, 1, 24, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    curve = np.vstack(pieces)
    return [(float(x), float(y)) for x, y in curve]
