"""A film beside the photo that it was taken with is litter; any other is told of."""

from __future__ import annotations

import pytest

from detag.domain.job import State
from detag.domain.reasons import Reason
from detag.ports.photos import Denied
from tests.shapes import box, film
from tests.unit.services.harness import Harness

QUICKTIME = box(b"ftyp", b"qt  \0\0\0\0qt  ") + bytes(400)


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
