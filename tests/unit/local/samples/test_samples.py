"""The sample photos: names and kinds the demo promises, and the same bytes every time."""

from __future__ import annotations

import unicodedata
from collections import Counter
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from local.samples import SAMPLES, Sample, write_samples
from tests.unit.local.gallery import PHOTOS, content, drawn

NAMES = "".join(sample.path for sample in SAMPLES)


def test_there_are_enough_of_every_kind() -> None:
    kinds = Counter(Image.open(BytesIO(content(sample))).format for sample in PHOTOS)
    assert sum(kinds.values()) >= 9
    assert min(kinds[kind] for kind in ("JPEG", "PNG", "WEBP")) >= 2
    assert {tag.shape for sample in PHOTOS for tag in sample.tags} == {"price", "round", "label"}


def test_the_names_are_as_odd_as_promised() -> None:
    assert all(odd in NAMES for odd in " +%'")
    assert any(unicodedata.decomposition(letter) for letter in NAMES)
    assert any(unicodedata.category(letter) == "So" for letter in NAMES)
    depths = {len(PurePosixPath(sample.path).parts) for sample in SAMPLES}
    assert depths == {1, 2, 3}
    assert len({sample.path for sample in SAMPLES}) == len(SAMPLES)


def test_a_jpeg_and_a_png_of_one_name_are_different_photos() -> None:
    jpeg, png = (sample for sample in PHOTOS if PurePosixPath(sample.path).stem == "a")
    assert {PurePosixPath(each.path).suffix for each in (jpeg, png)} == {".jpg", ".png"}
    assert PurePosixPath(jpeg.path).parent == PurePosixPath(png.path).parent
    assert np.abs(drawn(jpeg).clean.astype(float) - drawn(png).clean).mean() > 20


def test_what_should_be_skipped_is_no_image() -> None:
    skipped = [sample for sample in SAMPLES if sample.ends == "skipped"]
    assert {PurePosixPath(sample.path).suffix for sample in skipped} == {".txt", ".jpg"}
    for sample in skipped:
        with pytest.raises(UnidentifiedImageError):
            Image.open(BytesIO(sample.content()))
        with pytest.raises(ValueError, match="not a photo"):
            sample.draw()


@pytest.mark.parametrize("sample", PHOTOS, ids=lambda sample: sample.path)
def test_a_sample_shows_its_tags_where_it_says_and_nowhere_else(sample: Sample) -> None:
    known = drawn(sample)
    different = np.abs(known.tagged.astype(int) - known.clean).max(axis=2) > 12
    assert 0.005 < known.tags.mean() < 0.12
    assert (different & known.tags).sum() > 0.5 * known.tags.sum()
    assert not (different & ~known.tags).any()


def test_samples_are_the_same_every_time(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    paths = write_samples(folder)
    assert [path.relative_to(folder).as_posix() for path in paths] == [sample.path for sample in SAMPLES]
    for sample in SAMPLES:
        assert (folder / sample.path).read_bytes() == content(sample)
