"""Which files a demo takes, under which names it puts its results, and when it is content."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from local.demo.photos import Photo, key_of, output_name, own_photos, sample_photos, verdict
from local.samples import SAMPLES


def test_the_samples_are_each_expected_in_one_state(tmp_path: Path) -> None:
    photos = sample_photos(tmp_path)
    assert [photo.key for photo in photos] == [sample.path for sample in SAMPLES]
    assert {photo.allowed for photo in photos} == {("delivered",), ("skipped",)}
    assert all(photo.path.is_file() for photo in photos)


def test_own_photos_are_all_files_but_hidden_ones(tmp_path: Path) -> None:
    """Own photos are all files but hidden ones and earlier results."""
    results = tmp_path / "out"
    for name in ("b.jpg", "a b/ü+%.png", ".DS_Store", ".git/x.jpg", "out/1/b.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    photos = own_photos(tmp_path, results)

    assert [photo.key for photo in photos] == ["a b/ü+%.png", "b.jpg", "notes.txt"]
    assert {photo.allowed for photo in photos} == {("delivered", "skipped", "failed")}


def test_one_file_will_do(tmp_path: Path) -> None:
    (tmp_path / "shoe.jpg").touch()
    assert [photo.key for photo in own_photos(tmp_path / "shoe.jpg", tmp_path / "out")] == ["shoe.jpg"]


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_place_without_files_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=name):
        own_photos(tmp_path / name, tmp_path / "out")


def test_a_name_that_is_not_utf_8_gives_a_key_that_is() -> None:
    assert key_of(Path(os.fsdecode(b"caf\xe9/a.jpg"))) == "caf?/a.jpg"


@pytest.mark.parametrize(
    ("key", "output_key", "name"),
    [
        ("a/shoe.jpg", "a/shoe.jpg.webp", "a/shoe.jpg.cleaned.webp"),
        ("a/shoe.png", "a/shoe.png.webp", "a/shoe.png.cleaned.webp"),
        ("shoe.webp", "shoe.webp", "shoe.cleaned.webp"),
        ("shoe.jpg", "shoe.jpg.2.webp", "shoe.jpg.cleaned.2.webp"),
        ("shoe", "shoe.webp", "shoe.cleaned.webp"),
        ("shoe", "shoe", "shoe.cleaned"),
        ("a/shoe.jpg", "a/other-1f2e.webp", "a/shoe.jpg.cleaned.webp"),
    ],
)
def test_an_output_goes_beside_its_photo_and_never_over_it(key: str, output_key: str, name: str) -> None:
    assert str(output_name(key, output_key)) == name


@pytest.mark.parametrize(
    ("allowed", "state", "fetched", "good"),
    [
        (("delivered",), "delivered", True, True),
        (("delivered",), "delivered", False, False),
        (("delivered",), "skipped", False, False),
        (("skipped",), "skipped", False, True),
        (("skipped",), "delivered", True, False),
        (("delivered", "skipped"), "skipped", False, True),
        (("delivered", "skipped"), "failed", False, False),
        (("delivered", "skipped"), "waiting", False, False),
        (("delivered", "skipped"), "not uploaded", False, False),
    ],
)
def test_the_verdict(allowed: tuple[str, ...], state: str, fetched: bool, good: bool) -> None:
    photo = Photo("a.jpg", Path("a.jpg"), allowed, state=state, outputs=[Path("x")] if fetched else [])
    assert verdict([photo]) == ([] if good else [photo])


@pytest.mark.parametrize(
    ("allowed", "reason", "good"),
    [
        (("delivered", "skipped", "failed"), "run_failed", True),
        (("delivered", "skipped", "failed"), "unusable_name", True),
        (("delivered", "skipped", "failed"), "undeliverable", False),
        (("delivered", "skipped", "failed"), "", False),
        (("delivered",), "run_failed", False),
    ],
)
def test_a_damaged_photo_of_ones_own_is_no_failure_of_the_demo(
    allowed: tuple[str, ...], reason: str, good: bool
) -> None:
    """A failure that is not the photo's own is one, and so is any failure of a sample."""
    assert Photo("a.jpg", Path("a.jpg"), allowed, state="failed", reason=reason).good is good


@pytest.mark.parametrize("key", ["x" * 251 + ".jpg", "a/" + "é" * 125 + ".jpg", "x" * 250 + ".webp"])
def test_a_long_name_is_cut_before_its_ending(tmp_path: Path, key: str) -> None:
    """A file name has at most 255 bytes, and while it is downloaded nine more."""
    output_key = key if key.endswith(".webp") else f"{key}.webp"
    name = output_name(key, output_key)
    assert name.name.endswith(".cleaned.webp")
    (tmp_path / (name.name + ".12345678")).touch()
    assert output_name("y" + key, "y" + output_key) != name
    assert output_name(key.replace(".", "2."), output_key.replace(".", "2.", 1)).name[-30:] != name.name[-30:]
