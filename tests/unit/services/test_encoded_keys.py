"""An event whose key is URL-encoded, which AWS does not document: the photo is found, and paid for once."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_plus

import pytest

from detag.domain.job import State
from detag.domain.reasons import Reason
from detag.ports.runs_fake import PRICE
from tests.unit.services.harness import Harness

KEY = "Größe/crème + 50% off.jpg"


def encoded(event: dict[str, Any]) -> dict[str, Any]:
    """The event, with its key as S3's own notifications write it."""
    thing = event["detail"]["object"]
    return event | {"detail": event["detail"] | {"object": thing | {"key": quote_plus(thing["key"], safe="/")}}}


def test_its_photo_is_sent_and_delivered_by_its_own_name() -> None:
    harness = Harness()
    job = harness.send(encoded(harness.upload(KEY)))
    assert (job.state, job.upload.key, job.upload.event_key) == (State.SUBMITTED, KEY, quote_plus(KEY, safe="/"))
    harness.clock.advance(60)
    done = harness.arrive()
    assert done.state is State.DELIVERED
    assert [key.startswith(KEY.removesuffix(".jpg")) for key in done.outputs] == [True]


def test_the_job_stays_what_the_event_calls_it() -> None:
    """A repeated event, and what reconcile sends, find the same job: nothing is paid for twice."""
    harness = Harness()
    event = encoded(harness.upload(KEY))
    first = harness.send(event)
    harness.clock.advance(60)
    harness.arrive()
    assert harness.send(event).job_id == first.job_id
    assert (len(harness.runs.runs), harness.runs.billed) == (1, PRICE)


def test_what_was_really_deleted_is_superseded() -> None:
    harness = Harness()
    event = encoded(harness.upload(KEY))
    thing = event["detail"]["object"]
    harness.photos.delete("in", KEY, thing["version-id"])
    job = harness.send(event)
    assert (job.state, job.reason, job.upload.event_key) == (State.SUPERSEDED, Reason.DELETED, None)


@pytest.mark.parametrize("key", ["50%25.jpg", "a+b.jpg"])
def test_a_raw_key_that_looks_encoded_is_taken_as_it_is(key: str) -> None:
    harness = Harness()
    job = harness.send(harness.upload(key))
    assert (job.state, job.upload.key, job.upload.event_key) == (State.SUBMITTED, key, None)


def test_its_other_key_is_judged_as_well() -> None:
    """A thumbnail of a NAS box is no photo, however its event writes the @ of its folder."""
    harness = Harness()
    job = harness.send(encoded(harness.upload("@eaDir/shoe.jpg")))
    assert (job.state, job.reason, harness.runs.runs) == (State.SKIPPED, Reason.NOT_A_PHOTO, {})
