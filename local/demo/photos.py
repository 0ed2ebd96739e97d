"""The photos of a demo and how each ended."""

from __future__ import annotations

import hashlib
import mimetypes
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from local.samples import SAMPLES, write_samples

OF_THE_PHOTO: Final = ("run_failed", "unusable_name", "invalid_aspect_ratio")
"""Why a photo fails though detag and the mock Runflow do as they should: it is damaged, or its name cannot be used."""

LONGEST_NAME: Final = 246
"""Bytes that the name of a download may have: a file name has at most 255, and while it is fetched nine more."""


@dataclass
class Photo:
    """One file. `allowed` are the states in which it may end; times in seconds since the epoch."""

    key: str
    path: Path
    allowed: tuple[str, ...]
    state: str = "not uploaded"
    detail: str = ""
    reason: str = ""
    uploaded_at: float | None = None
    closed_at: float | None = None
    cost: str | None = None
    output_keys: tuple[str, ...] = ()
    outputs: list[Path] = field(default_factory=list)

    @property
    def closed(self) -> bool:
        """Whether nothing more will happen to it: its job has ended, or there is none."""
        return self.closed_at is not None or self.uploaded_at is None

    @property
    def seconds(self) -> float | None:
        """From the upload to the end of its job."""
        if self.uploaded_at is None or self.closed_at is None:
            return None
        return max(0.0, self.closed_at - self.uploaded_at)

    @property
    def good(self) -> bool:
        """Whether it ended as expected: in an allowed state; if delivered, with its outputs fetched; if failed, because
        of the photo itself.
        """
        match self.state:
            case "delivered":
                return "delivered" in self.allowed and bool(self.outputs)
            case "failed":
                return "failed" in self.allowed and self.reason in OF_THE_PHOTO
            case state:
                return state in self.allowed

    @property
    def content_type(self) -> str:
        """By its name, as the `aws` command guesses it."""
        return mimetypes.guess_type(self.path.name)[0] or "application/octet-stream"


def sample_photos(folder: Path) -> list[Photo]:
    """The sample photos, drawn into `folder`; each is expected in exactly one state."""
    paths = write_samples(folder)
    return [Photo(sample.path, path, (sample.ends,)) for sample, path in zip(SAMPLES, paths, strict=True)]


def own_photos(place: Path, results: Path) -> list[Photo]:
    """The files at `place`, a folder or one file, except hidden ones and earlier `results`.

    Any of them may turn out to be damaged, or no photo at all: that is told, and no failure of the demo. Raises
    ValueError where there are no files.
    """
    if place.is_file():
        found = [place]
        place = place.parent
    elif place.is_dir():
        inside = (path for path in place.rglob("*") if not _hidden(path.relative_to(place)))
        found = sorted(path for path in inside if path.is_file() and not _within(path, results))
    else:
        raise ValueError(f"there is no {place}")
    if not found:
        raise ValueError(f"{place} holds no files")
    return [Photo(key_of(path.relative_to(place)), path, ("delivered", "skipped", "failed")) for path in found]


def key_of(path: Path) -> str:
    """The object key of a file: its path with slashes, in UTF-8; bytes that are not UTF-8 become `?`."""
    return os.fsencode(path.as_posix()).decode("utf-8", errors="replace").replace("\ufffd", "?")


def _within(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def output_name(key: str, output_key: str) -> PurePosixPath:
    """Where an output goes next to its photo: `a/shoe.jpg` with the output `a/shoe.jpg.webp` gives
    `a/shoe.jpg.cleaned.webp`. An output with the same name as the photo must not overwrite it, hence the `cleaned`. A
    name that is too long for a file ends in a hash of it instead.
    """
    original, output = PurePosixPath(key), PurePosixPath(output_key)
    same = output.name == original.name
    appended = not same and output.name.startswith(original.name)
    ending = output.name.removeprefix(original.name) if appended else output.suffix
    return original.with_name(_fitting(original.stem if same else original.name, f".cleaned{ending}"))


def _fitting(name: str, ending: str) -> str:
    most = LONGEST_NAME - len(os.fsencode(ending))
    encoded = os.fsencode(name)
    if len(encoded) <= most:
        return name + ending
    digest = f"~{hashlib.sha256(encoded).hexdigest()[:8]}"
    return encoded[: most - len(digest)].decode(errors="ignore") + digest + ending


def verdict(photos: Sequence[Photo]) -> list[Photo]:
    """The photos that did not end as expected."""
    return [photo for photo in photos if not photo.good]
