"""Finds price tags, stickers and labels in a photo and paints them out, with a few lines of OpenCV.

Runflow's model, which it replaces, is far better. A tag is taken to be a piece of flat colour that is convex, that
stands out from everything around it, and that has something printed on it. What was behind it is guessed from its rim.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

Rgb = NDArray[np.uint8]
Region = NDArray[np.bool_]

WORK_SIDE: Final = 900
"""Tags are looked for, and what was behind them guessed, in a copy whose longest side has at most so many pixels."""
MAX_PIXELS: Final = 250_000_000

_FORMATS: Final = {"JPEG": ("jpg", "image/jpeg"), "PNG": ("png", "image/png"), "WEBP": ("webp", "image/webp")}

Image.MAX_IMAGE_PIXELS = None  # Pillow's own bound is lower than MAX_PIXELS
cv2.setNumThreads(1)  # runs are processed in parallel, one thread each
logging.getLogger("PIL").setLevel(logging.WARNING)


class Unreadable(Exception):
    """The input is not an image that can be processed; the message says why, and may be shown."""


@dataclass(frozen=True)
class Made:
    """An encoded output."""

    body: bytes
    extension: str
    content_type: str


def process(
    body: bytes,
    *,
    mode: Literal["remove", "reencode", "copy"] = "remove",
    output_type: Literal["webp", "same"] = "webp",
    aspect_ratio: str | None = None,
    max_side: int | None = None,
) -> Made:
    """Process a JPEG, PNG or WebP that is no animation; of several images in a JPEG, the first. Raises Unreadable.

    `copy` returns the input's own bytes once its header was read; `reencode` leaves the pixels alone. `aspect_ratio`
    (such as 4:3) is reached by continuing the image's edges. Transparency is kept, and a colour profile for RGB; other
    colours become sRGB. EXIF is not kept: the image is turned upright instead.
    """
    try:
        image = Image.open(BytesIO(body))
    except (OSError, Image.DecompressionBombError):
        raise Unreadable("the input is not an image") from None
    kind = {"MPO": "JPEG"}.get(image.format or "", image.format or "")
    if kind not in _FORMATS:
        raise Unreadable(f"images of type {kind} are not supported")
    if kind != "JPEG" and getattr(image, "is_animated", False):
        raise Unreadable("animations are not supported")
    if max_side is not None and max(image.size) > max_side:
        raise Unreadable(f"image dimensions exceed {max_side}x{max_side}")
    if image.width * image.height > MAX_PIXELS:
        raise Unreadable(f"the image has more than {MAX_PIXELS} pixels")
    if mode == "copy":
        return Made(body, *_FORMATS[kind])
    try:
        upright = ImageOps.exif_transpose(image)
        alpha = upright.convert("RGBA").getchannel("A") if upright.has_transparency_data else None
        rgb, profile = _rgb(upright)
        pixels = np.array(rgb)
    except (OSError, SyntaxError, ValueError) as error:
        raise Unreadable(f"the image is damaged ({error})") from None
    if mode == "remove":
        pixels = remove_tags(pixels)
    result = Image.fromarray(pixels)
    if alpha is not None:
        result.putalpha(alpha)
    if aspect_ratio is not None:
        result = _widen(result, aspect_ratio)
    return _encode(result, "WEBP" if output_type == "webp" else kind, profile)


def _rgb(image: Image.Image) -> tuple[Image.Image, bytes | None]:
    """An image in RGB, and the profile that its colours are meant in; None for sRGB."""
    profile: bytes = image.info.get("icc_profile") or b""
    if image.mode.startswith("I"):  # of 16 bits a pixel, which Pillow would cut off at 255
        image = Image.fromarray((np.array(image) >> 8).astype(np.uint8))
    space = profile[16:20]
    if space == b"RGB " and image.mode not in ("L", "LA", "CMYK"):
        return image.convert("RGB"), profile
    if {b"GRAY": "L", b"CMYK": "CMYK"}.get(space) == image.mode:
        try:
            seen = ImageCms.profileToProfile(image, BytesIO(profile), _SRGB, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            seen = None
        if seen is not None:
            return seen, _SRGB.tobytes()
    return image.convert("RGB"), None


_SRGB: Final = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _encode(image: Image.Image, kind: str, icc_profile: bytes | None) -> Made:
    options: dict[str, Any] = {
        "JPEG": {"quality": 92, "subsampling": 0},
        "PNG": {"compress_level": 3},
        "WEBP": {"quality": 90, "method": 2},
    }[kind]
    file = BytesIO()
    image.save(file, kind, icc_profile=icc_profile, **options)
    return Made(file.getvalue(), *_FORMATS[kind])


def _widen(image: Image.Image, aspect_ratio: str) -> Image.Image:
    """Continue the image's edges until it has the ratio."""
    across, down = (int(part) for part in aspect_ratio.split(":"))
    width = max(image.width, round(image.height * across / down))
    height = max(image.height, round(image.width * down / across))
    left, top = (width - image.width) // 2, (height - image.height) // 2
    pixels = np.pad(
        np.array(image),
        ((top, height - image.height - top), (left, width - image.width - left), (0, 0)),
        mode="edge",
    )
    return Image.fromarray(pixels)


def remove_tags(image: Rgb) -> Rgb:
    """The image (RGB, uint8) without the tags that were found; the same array where there are none."""
    height, width = image.shape[:2]
    factor = min(1.0, WORK_SIDE / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    tags = find_tags(small)
    if not tags.any():
        return image
    guess = small.astype(np.float32)
    cleaned = image.copy()
    for rows, columns in _windows(tags):
        hole = tags[rows, columns].astype(np.float32)
        guess[rows, columns] = _membrane(guess[rows, columns], hole)
        # The same window in the image itself, which may be many times larger: the rest of it is not touched.
        top, bottom = round(rows.start / factor), min(height, round(rows.stop / factor))
        left, right = round(columns.start / factor), min(width, round(columns.stop / factor))
        cleaned[top:bottom, left:right] = _blend(cleaned[top:bottom, left:right], guess[rows, columns], hole, factor)
    return cleaned


def _blend(part: Rgb, guess: NDArray[np.float32], hole: NDArray[np.float32], factor: float) -> Rgb:
    """A part of the image with the guess laid over its hole; both come from a copy that is `factor` as large."""
    size = (part.shape[1], part.shape[0])
    guess = np.asarray(cv2.resize(guess, size, interpolation=cv2.INTER_CUBIC), np.float32)
    hard = cv2.resize(hole, size, interpolation=cv2.INTER_LINEAR)
    cover = np.asarray(cv2.GaussianBlur(hard, (0, 0), max(0.8, 1.2 / factor)), np.float32)
    blended = part * (1 - cover[..., None]) + (guess + _grain(part, cover)) * cover[..., None]
    return np.asarray(blended.round().clip(0, 255), np.uint8)


def find_tags(image: Rgb) -> Region:
    """Where tags and their shadows are in a small image (RGB, uint8)."""
    lab = np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
    smooth = cv2.GaussianBlur(lab, (0, 0), 1.0)
    steps = [cv2.Sobel(smooth, cv2.CV_32F, *direction, ksize=3, scale=1 / 8) for direction in ((1, 0), (0, 1))]
    flat = (np.sqrt(sum(np.square(step).sum(axis=2) for step in steps)) < _EDGE).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(flat, connectivity=4)
    found = np.zeros(flat.shape, np.uint8)
    area = flat.size
    height, width = flat.shape
    for label in range(1, count):
        left, top, wide, high, _ = (int(value) for value in stats[label])
        inside = left > 0 and top > 0 and left + wide < width and top + high < height
        if not inside or not _SMALLEST * area < wide * high < _LARGEST * area:
            continue
        # Work on the tag's surroundings only.
        rim = 12 + max(wide, high) // 4
        window = np.s_[max(0, top - rim) : top + high + rim, max(0, left - rim) : left + wide + rim]
        outline = _outline((labels[window] == label).astype(np.uint8), lab[window])
        if outline is not None:
            found[window] |= outline
    reach = 2 * round(_REACH * max(flat.shape)) + 1
    return cv2.dilate(found, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))) > 0


_EDGE: Final = 3.0  # a step of colour (CIE Lab) from one pixel to the next that ends a surface
_SMALLEST, _LARGEST = 0.001, 0.12  # box of a tag, as a share of the image
_REACH: Final = 0.011  # how far a tag's edge and shadow reach, as a share of the image's longer side


def _outline(paper: NDArray[np.uint8], lab: NDArray[np.float32]) -> NDArray[np.uint8] | None:
    """The filled outline of a surface that is a tag, else None. `lab` is the image around it."""
    contours, _ = cv2.findContours(paper, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = max(contours, key=cv2.contourArea)
    hull = cv2.convexHull(contour)
    hull_area = cv2.contourArea(hull)
    (_, (a, b), _) = cv2.minAreaRect(contour)
    if min(a, b) < 14 or max(a, b) > 5 * min(a, b) or cv2.contourArea(contour) < 0.9 * hull_area:
        return None
    if hull_area < 0.72 * a * b:  # an ellipse fills 0.785 of its box
        return None
    outline = np.zeros(paper.shape, np.uint8)
    cv2.drawContours(outline, [hull], -1, 1, cv2.FILLED)
    colours = lab[paper > 0]
    colour = np.median(colours, axis=0)
    if np.abs(colours - colour).mean(axis=0).max() > 4:  # a lit body, not a flat piece of paper
        return None
    away = np.sqrt(np.square(lab - colour).sum(axis=2))
    core = cv2.erode(outline, np.ones((5, 5), np.uint8))
    # Letters that blur into each other come apart half-way between the colours of paper and ink.
    ink = max(16.0, 0.55 * float(np.percentile(away[core > 0], 98))) if core.any() else 16.0
    marks = ((away > ink) & (core > 0)).astype(np.uint8)
    if not 0.03 < marks.sum() / max(1, core.sum()) < 0.6 or not _is_print(marks):
        return None
    return _grown(outline, away < 8, round(min(a, b) * 0.2))


def _grown(outline: NDArray[np.uint8], paper: Region, reach: int) -> NDArray[np.uint8] | None:
    """An outline that stands out from its surroundings, widened where the paper goes on behind a printed frame."""
    grown = None
    kernel = np.ones((3, 3), np.uint8)
    inner = np.asarray(cv2.dilate(outline, kernel, iterations=3), np.uint8)
    for _ in range(0, reach + 1, 2):
        outer = np.asarray(cv2.dilate(inner, kernel, iterations=2), np.uint8)
        share = paper[outer > inner].mean()
        if share > 0.5:
            grown = None
        elif share < 0.3 and grown is None:
            grown = inner
        inner = outer
    return grown


def _is_print(marks: NDArray[np.uint8]) -> bool:
    """Whether marks look like letters: several, none of them most of the whole; a frame around them does not count."""
    ys, xs = np.nonzero(marks)
    box = (np.ptp(xs) + 1) * (np.ptp(ys) + 1)
    count, _, stats, _ = cv2.connectedComponentsWithStats(marks, connectivity=8)
    letters = [int(stats[label][4]) for label in range(1, count) if stats[label][2] * stats[label][3] < 0.7 * box]
    letters = [size for size in letters if size >= 6]
    return len(letters) >= 3 and max(letters) < 0.75 * sum(letters)


def _windows(region: Region, rim: int = 8) -> list[tuple[slice, slice]]:
    """A window of rows and columns around each piece of a region."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8))
    boxes = [[int(value) for value in stats[label][:4]] for label in range(1, count)]
    height, width = region.shape
    return [
        (slice(max(0, y - rim), min(height, y + high + rim)), slice(max(0, x - rim), min(width, x + wide + rim)))
        for x, y, wide, high in boxes
    ]


def _membrane(image: NDArray[np.float32], hole: NDArray[np.float32]) -> NDArray[np.float32]:
    """The smoothest image in the hole that meets its rim (Laplace's equation), solved from coarse to fine.

    On lit surfaces it leaves none of the creases of `cv2.inpaint`; it can't continue an edge, but neither can that.
    """
    height, width = hole.shape
    if min(height, width) > 8:
        size = ((width + 1) // 2, (height + 1) // 2)
        known = 1 - hole
        weight = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
        sums = cv2.resize(image * known[..., None], size, interpolation=cv2.INTER_AREA)
        means = np.asarray(sums / np.maximum(weight, 1e-3)[..., None], np.float32)
        coarse = _membrane(means, (weight < 0.5).astype(np.float32))
        start = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        image = np.where(hole[..., None] > 0, start, image)
    kernel = np.array([[0, 0.25, 0], [0.25, 0, 0.25], [0, 0.25, 0]], np.float32)
    for _ in range(30):
        image = np.where(hole[..., None] > 0, np.asarray(cv2.filter2D(image, -1, kernel), np.float32), image)
    return image


def _grain(image: Rgb, cover: NDArray[np.float32]) -> NDArray[np.float32]:
    """Noise as strong as the image's own beside the covered places, so that they do not look polished."""
    away = cv2.dilate(cover, np.ones((15, 15), np.uint8)) - cover > 0.5
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 1.5)
    strength = 1.4826 * float(np.median(np.abs(fine[away]))) if away.any() else 0.0
    return np.random.default_rng(0).normal(0, strength, (*grey.shape, 1)).astype(np.float32)
