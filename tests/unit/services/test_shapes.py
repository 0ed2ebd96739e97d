"""The shapes of real photographs: each is paid for or skipped as is right, and read no more often than it must be."""

from __future__ import annotations

from typing import Any

import pytest

from detag.domain.job import State
from detag.domain.reasons import Reason
from tests.shapes import ANIMATIONS, SENT, SHAPES, UNSUPPORTED
from tests.unit.services.harness import Harness

ONE_FRAME = "save one frame of it as JPEG, PNG or WebP and upload that"
ADVICE = "save the photo as JPEG, PNG or WebP and upload it again"


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


def test_no_upload_is_asked_for_where_it_may_not_help() -> None:
    detail = sent(SHAPES["JPEG with more zeros behind its end than are read"].data).job.detail
    assert detail == "its end was not found: open it, save it anew and upload that"


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
