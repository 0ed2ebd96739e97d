"""The shapes of real photographs: each is paid for or skipped as is right, and read no more often than it must be."""

from __future__ import annotations

from typing import Any

import pytest

from detag.domain.job import State
from detag.domain.reasons import Reason
from detag.ports.runs_fake import tiny_image
from tests.shapes import ANIMATIONS, RAWS, SENT, SHAPES, TOO_LARGE, UNSEEN_END, UNSUPPORTED
from tests.unit.services.harness import Harness

ONE_FRAME = "save one frame of it as JPEG, PNG or WebP and upload that"
ADVICE = "save the photo as JPEG, PNG or WebP and upload that"


def sent(data: bytes) -> Harness:
    """After `submit` has handled a photo."""
    harness = Harness(max_image_megabytes=50)
    harness.send(harness.upload("shoe", data))
    return harness


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_has_its_verdict(name: str) -> None:
    shape = SHAPES[name]
    job = sent(shape.data).job
    expected = (State.SKIPPED, shape.reason) if shape.reason else (State.SUBMITTED, None)
    assert (job.state, job.reason) == expected, job.detail


@pytest.mark.parametrize("name", SHAPES)
def test_only_what_is_sent_is_paid(name: str) -> None:
    assert len(sent(SHAPES[name].data).runs.runs) == (SHAPES[name].reason is None)


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_read_as_often_as_it_must_be(name: str) -> None:
    calls = sent(SHAPES[name].data).calls
    counted = calls.count("photos.read_head"), calls.count("photos.read_tail")
    assert counted == (SHAPES[name].heads, SHAPES[name].tails)


@pytest.mark.parametrize("name", [name for name in SENT if name.startswith(("small", "large")) and "with" not in name])
def test_an_ordinary_photo_is_read_once_or_twice(name: str) -> None:
    shape = SENT[name]
    assert (shape.heads, shape.tails) == (1, int(len(shape.data) > 65_536))


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_an_image_of_another_type_is_told_by_its_name(name: str) -> None:
    data, content_type = UNSUPPORTED[name]
    detail = sent(data).job.detail or ""
    if content_type in ("image/heic", "image/heif"):
        assert detail.startswith("HEIC is not supported: on the iPhone choose ")
    else:
        assert detail.startswith(f"{content_type} is not supported: {ADVICE}")


@pytest.mark.parametrize("name", ANIMATIONS)
def test_every_animation_gets_the_same_sentence(name: str) -> None:
    detail = sent(ANIMATIONS[name].data).job.detail
    assert detail and detail.endswith(f"file is an animation: {ONE_FRAME}")


@pytest.mark.parametrize("name", UNSEEN_END)
def test_no_upload_is_asked_for_where_it_may_not_help(name: str) -> None:
    job = sent(SHAPES[name].data).job
    assert job.reason is not None
    assert job.detail == "its end was not found: open it, save it anew and upload that"
    assert job.reason.do.startswith("Open it: if all of it is shown, save it as a new file")


@pytest.mark.parametrize("name", RAWS)
def test_no_raw_file_passes_as_a_tiff(name: str) -> None:
    """Where TIFFs are let through, too: Runflow would be paid for the preview that the file begins with."""
    harness = Harness(photo_types="JPEG,TIFF")
    harness.send(harness.upload("shoe", RAWS[name][0]))
    assert (harness.job.state, harness.job.reason) == (State.SKIPPED, Reason.UNSUPPORTED_TYPE)
    assert harness.runs.runs == {}


def test_no_type_is_advised_that_is_skipped_too() -> None:
    harness = Harness(photo_types="JPEG")
    harness.send(harness.upload("shoe", tiny_image("image/png", b"1")))
    assert harness.job.reason is Reason.UNSUPPORTED_TYPE
    assert "save the photo as JPEG and upload that" in (harness.job.detail or "")
    assert "PNG or" not in harness.job.reason.do


def test_only_what_can_be_let_through_names_the_parameter() -> None:
    """A burst and a TIFF of the large kind are of a type that can, and are not sent all the same."""
    for name, (data, content_type) in UNSUPPORTED.items():
        through = content_type in ("image/heic", "image/heif", "image/avif", "image/tiff")
        job = sent(data).job
        assert job.reason is Reason.UNSUPPORTED_TYPE, name
        assert ("PhotoTypes" in (job.detail or "")) is (through and not name.startswith(("AVIF burst", "BigTIFF"))), (
            name
        )
        assert "PhotoTypes" not in Reason.UNSUPPORTED_TYPE.do


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("JPEG of 4 billion pixels behind long headers", "it has 4,290.3 megapixels (65,500 x 65,500)"),
        ("JPEG of 600 million pixels", "it has 600 megapixels (30,000 x 20,000)"),
        ("JPEG of a few pixels more than are allowed", "it has 500.1 megapixels (50,000 x 10,001)"),
    ],
)
def test_how_large_an_image_is_stands_beside_the_limit(name: str, said: str) -> None:
    assert sent(TOO_LARGE[name].data).job.detail == f"{said}, and the limit is 500: make it smaller"


@pytest.mark.parametrize(("megapixels", "state"), [(101, State.SKIPPED), (102, State.SUBMITTED)])
def test_the_limit_of_pixels_is_a_setting(megapixels: int, state: State) -> None:
    harness = Harness(max_image_megapixels=megapixels)
    assert harness.send(harness.upload(data=SENT["JPEG of 102 million pixels"].data)).state is state


@pytest.mark.parametrize("size", [0, 65_536, 70_000])
def test_a_photo_replaced_between_two_reads_is_superseded(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first bytes were its own; its last ones are asked for by the ETag of these."""
    harness = Harness()
    harness.photos.unversioned.add("in")
    event = harness.upload(data=SENT["large JPEG"].data)
    read_tail = harness.photos.read_tail

    def replaced(*which: Any) -> bytes:
        harness.upload(data=bytes(size))
        return read_tail(*which)

    monkeypatch.setattr(harness.photos, "read_tail", replaced)
    assert (harness.send(event).state, harness.job.reason) == (State.SUPERSEDED, Reason.REPLACED)
