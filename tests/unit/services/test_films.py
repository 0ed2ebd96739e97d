"""A film beside the photo that it was taken with is litter; any other is told of."""

from __future__ import annotations

import pytest

from detag.domain.job import State
from detag.domain.reasons import Reason
from detag.ports.photos import Denied
from detag.ports.runs_fake import tiny_image
from tests.shapes import box, film
from tests.unit.services.harness import Harness

QUICKTIME = box(b"ftyp", b"qt  \0\0\0\0qt  ") + bytes(400)
LARGE = QUICKTIME + bytes(1024 * 1024)


@pytest.mark.parametrize(
    ("photo", "key"),
    [
        ("IMG_0001.HEIC", "IMG_0001.MOV"),
        ("autumn/IMG_0001.JPG", "autumn/IMG_0001.MOV"),
        ("img_0001.jpeg", "img_0001.mov"),
        ("IMG_0001.HEIC", "IMG_0001.MP4"),
        ("a.b/IMG.1.jpg", "a.b/IMG.1.mov"),
        ("IMG_0001.PNG", "IMG_0001.mov"),
        ("IMG_0001.HEIC", "IMG_0001_HEVC.MOV"),
        ("autumn/img_0001.jpg", "autumn/img_0001_hevc.mov"),
    ],
)
def test_a_film_beside_its_photo_is_not_a_photo(photo: str, key: str) -> None:
    harness = Harness()
    harness.upload(photo)
    job = harness.send(harness.upload(key, QUICKTIME))
    assert (job.state, job.reason) == (State.SKIPPED, Reason.NOT_A_PHOTO)
    assert job.detail == f"a film beside its photo, {photo}"
    assert harness.photos.outputs == {}
    assert harness.events.published == []


@pytest.mark.parametrize(
    ("data", "content_type"), [(QUICKTIME, "video/quicktime"), (film(400), "video/mp4")], ids=["mov", "mp4"]
)
@pytest.mark.parametrize("key", ["IMG_0001.MOV", "autumn/IMG_0001", "IMG_0001.jpg"])
def test_a_film_on_its_own_is_told_of(key: str, data: bytes, content_type: str) -> None:
    harness = Harness()
    for other in ("IMG_0002.HEIC", "IMG_0001.txt", "winter/IMG_0001.HEIC"):
        harness.upload(other)
    job = harness.send(harness.upload(key, data))
    assert (job.state, job.reason) == (State.SKIPPED, Reason.UNSUPPORTED_TYPE)
    assert job.detail
    assert job.detail.startswith(f"{content_type} is a film, and only photos are cleaned: save one frame of it as JPEG")
    assert list(harness.photos.outputs) == [f"_skipped/{key}.txt"]
    assert [kind for kind, _ in harness.events.published] == ["Photo Skipped"]


def test_a_photo_that_may_not_be_read_is_no_reason_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    message, read = harness.upload("IMG_0001.MOV", QUICKTIME), harness.photos.read_head

    def refuses(bucket: str, key: str, *more: object) -> object:
        if key != "IMG_0001.MOV":
            raise Denied("not yours")
        return read(bucket, key, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(harness.photos, "read_head", refuses)
    job = harness.send(message)
    assert (job.state, job.reason) == (State.SKIPPED, Reason.UNSUPPORTED_TYPE)


def test_what_is_no_film_is_looked_beside_for_nothing() -> None:
    harness = Harness()
    harness.send(harness.upload("notes.mov", b"prices"))
    assert harness.calls.count("photos.read_head") == 1


@pytest.mark.parametrize("key", ["IMG_0001.MOV", "IMG_0001.mp4", "IMG_0001_HEVC.MOV"])
def test_a_film_beside_its_photo_may_have_any_size(key: str) -> None:
    """A photo of that size is too large; nobody meant the film as one."""
    harness = Harness(max_image_megabytes=1)
    harness.upload("IMG_0001.JPG")
    job = harness.send(harness.upload(key, LARGE))
    assert (job.state, job.reason) == (State.SKIPPED, Reason.NOT_A_PHOTO)
    assert (harness.photos.outputs, harness.events.published) == ({}, [])


def test_a_large_film_on_its_own_is_told_of_as_a_film() -> None:
    """A smaller film would not be cleaned either."""
    harness = Harness(max_image_megabytes=1)
    job = harness.send(harness.upload("IMG_0001.MOV", LARGE))
    assert (job.state, job.reason) == (State.SKIPPED, Reason.UNSUPPORTED_TYPE)
    assert list(harness.photos.outputs) == ["_skipped/IMG_0001.MOV.txt"]


@pytest.mark.parametrize("kind", ["image/jpeg", "image/gif", None])
def test_only_a_films_content_makes_a_film(kind: str | None) -> None:
    """Anything else that is called so is judged by its size alone, and is never sent."""
    harness = Harness(max_image_megabytes=1)
    harness.upload("IMG_0001.JPG")
    data = (tiny_image(kind, b"x") if kind else b"prices") + bytes(1024 * 1024)
    job = harness.send(harness.upload("IMG_0001.MOV", data))
    assert (job.state, job.reason) == (State.SKIPPED, Reason.TOO_LARGE)
    assert harness.calls.count("photos.read_head") == 1


@pytest.mark.parametrize("key", ["IMG_0001.PNG", "IMG_0001", "mov/IMG_0001.tif", "IMG_0001mov"])
def test_what_is_too_large_is_not_read_for_its_content(key: str) -> None:
    """Only what has a film's name is."""
    harness = Harness(max_image_megabytes=1)
    harness.upload("IMG_0001.JPG")
    job = harness.send(harness.upload(key, LARGE))
    assert (job.state, job.reason) == (State.SKIPPED, Reason.TOO_LARGE)
    assert harness.calls.count("photos.read_head") == 0
