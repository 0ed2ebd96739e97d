"""Photos and outputs in folders: what is taken for a photo, where outputs go, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from detag.domain.job import State
from detag.domain.naming import Naming
from detag.domain.reasons import Reason
from detag.domain.uploads import read_upload
from detag.ports.runs_fake import Ending, Fault, tiny_image
from detag.settings import DeliverSettings, Misconfigured, SubmitSettings
from tests.environment import settings
from tests.unit.services.harness import Harness, submitted

FOLDERS = {"input_prefix": "incoming/", "output_prefix": "cleaned/"}
REPLACE = FOLDERS | {"output_name": "replace"}


def delivered(harness: Harness, key: str) -> tuple[str, ...]:
    """Where the outputs of a photo are, once it is delivered."""
    harness.submit.handle(harness.upload(key), harness.clock.monotonic() + 30.0)
    harness.wait(60.0)
    (job,) = (one for one in harness.jobs.jobs.values() if one.upload.key == key)
    harness.give({"job_id": job.job_id, "run_id": job.run_id})
    job = harness.jobs.jobs[job.job_id]
    assert job.state is State.DELIVERED
    return job.outputs


def test_an_output_keeps_its_folder_below_the_prefix() -> None:
    assert delivered(Harness(places=FOLDERS), "incoming/autumn/shoe.jpg") == ("cleaned/autumn/shoe.jpg.webp",)


@pytest.mark.parametrize("prefix", [".incoming/", "#recycle/", "@eaDir/new/"])
def test_ignored_names_are_those_below_the_prefix(prefix: str) -> None:
    """The folder was named on purpose; what lies in it is judged as ever."""
    harness = Harness(places={"input_prefix": prefix})
    assert harness.send(harness.upload(prefix + "shoe.jpg")).state is State.SUBMITTED
    for key in ("@eaDir/shoe.jpg", ".shoe.jpg", prefix + "shoe.jpg"):
        harness = Harness(places={"input_prefix": prefix})
        job = harness.send(harness.upload(prefix + key))
        assert (job.state, job.reason) == (State.SKIPPED, Reason.NOT_A_PHOTO)


def test_a_record_is_below_the_prefix_as_well() -> None:
    harness = Harness(places=FOLDERS)
    harness.send(harness.upload("incoming/notes.jpg", b"no photo"))
    assert [key for key in harness.photos.outputs if key.endswith(".txt")] == ["cleaned/_skipped/notes.jpg.txt"]


def test_outputs_from_before_the_prefix_was_set_stay() -> None:
    """They lie where the functions may not look by now: a photo's next version is delivered all the same, and an equal
    photo is cleaned anew, as nothing shows that its output is still there.
    """
    harness = Harness()
    assert delivered(harness, "shoe.jpg") == ("shoe.jpg.webp",)
    (first,) = harness.jobs.jobs.values()
    data = next(one for one in harness.runs.runs.values()).photo
    harness.deploy(places={"output_prefix": "cleaned/"})
    for key, again in (("shoe.jpg", None), ("boot.jpg", data)):
        harness.submit.handle(harness.upload(key, again), harness.clock.monotonic() + 30.0)
        harness.wait(60.0)
        job = list(harness.jobs.jobs.values())[-1]
        harness.give({"job_id": job.job_id, "run_id": job.run_id})
        after = harness.jobs.jobs[job.job_id]
        assert (after.state, after.outputs) == (State.DELIVERED, (f"cleaned/{key}.webp",))
    assert len(harness.runs.runs) == 3
    assert set(harness.photos.outputs) == {"shoe.jpg.webp", "cleaned/shoe.jpg.webp", "cleaned/boot.jpg.webp"}
    assert first.outputs == ("shoe.jpg.webp",)


def test_an_upload_outside_of_the_prefix_is_refused() -> None:
    """The rule sends none; one that comes all the same becomes a dead letter, and is not paid for."""
    harness = Harness(places=FOLDERS)
    with pytest.raises(ValueError, match="InputPrefix"):
        harness.send(harness.upload("elsewhere/shoe.jpg"))
    assert not harness.runs.runs


def test_a_key_outside_of_the_prefix_is_not_reopened() -> None:
    """Although a photo is there, and whoever asks would pay for it."""
    harness = Harness(places=FOLDERS)
    harness.upload("elsewhere/shoe.jpg")
    at = datetime.fromtimestamp(harness.clock.now(), UTC).isoformat()
    asked = {"id": "r-1", "how": "paid", "by": "anna", "at": at, "key": "elsewhere/shoe.jpg"}
    harness.submit.handle({"reopen": asked}, harness.clock.monotonic() + 30.0)
    (said,) = (line.fields["why"] for line in harness.telemetry.lines if line.message == "reopen refused")
    assert said == "the key is outside of InputPrefix"
    assert not harness.runs.runs and not harness.jobs.jobs


MOVED = {"input_prefix": "photos/", "output_prefix": "cleaned/"}


@pytest.mark.parametrize("changes", [{"places": MOVED}, {"places": FOLDERS, "input_bucket": "new"}])
def test_what_waited_in_the_former_folder_is_not_sent(changes: dict[str, Any]) -> None:
    """Whoever has that folder now may clean it. A record says so, and it is reopened once it is inside again."""
    harness = Harness(places=FOLDERS, paused=True)
    assert harness.send(harness.upload("incoming/shoe.jpg")).reason is Reason.PAUSED
    harness.deploy(**changes)
    harness.send_to(harness.job)
    assert (harness.job.state, harness.job.reason) == (State.SKIPPED, Reason.ELSEWHERE)
    (record,) = (one for name, one in harness.photos.outputs.items() if name.endswith("shoe.jpg.txt"))
    assert b"InputPrefix" in record.data
    assert refused(harness, "unpaid") == "its photo is outside of InputPrefix, or in another bucket"
    harness.deploy(places=FOLDERS)
    assert refused(harness, "unpaid") is None
    assert harness.job.state is State.SUBMITTED


def refused(harness: Harness, how: str) -> str | None:
    """Why the one job is not reopened now; None where it is."""
    harness.wait(60.0)
    at = datetime.fromtimestamp(harness.clock.now(), UTC).isoformat()
    asked = {"id": f"r-{harness.clock.now():.0f}", "how": how, "by": "anna", "at": at, "job_id": harness.job.job_id}
    before = len(harness.telemetry.lines)
    harness.submit.handle({"reopen": asked}, harness.clock.monotonic() + 30.0)
    said = [line.fields["why"] for line in harness.telemetry.lines[before:] if line.message == "reopen refused"]
    return str(said[0]) if said else None


def test_a_run_in_flight_is_delivered_from_the_former_folder() -> None:
    """It is paid for. Only its own result is asked for from then on: nobody pays for another there."""
    harness = submitted(places=FOLDERS, key="incoming/shoe.jpg")
    harness.deploy(places=MOVED)
    harness.wait(60.0)
    assert harness.arrive().state is State.DELIVERED
    assert refused(harness, "paid") is not None
    assert refused(harness, "ask") is None
    assert harness.job.state is not State.SKIPPED
    assert len(harness.runs.runs) == 1


def test_no_run_is_tried_again_in_the_former_folder() -> None:
    harness = submitted(Ending(status="failed", cost=Decimal(0)), places=FOLDERS, key="incoming/shoe.jpg")
    harness.deploy(places=MOVED)
    harness.wait(60.0)
    assert harness.arrive().state is State.WAITING
    harness.wait(1_000.0)
    harness.send_to(harness.job)
    assert (harness.job.reason, len(harness.runs.runs)) == (Reason.ELSEWHERE, 1)


@pytest.mark.parametrize("made", [True, False])
def test_an_unclear_answer_is_looked_for_and_no_more(made: bool) -> None:
    """A run that was made is paid for, and delivered; else the photo is not sent again."""
    harness = Harness(places=FOLDERS)
    harness.faults = [Fault(effect=made)]
    assert harness.send(harness.upload("incoming/shoe.jpg")).reason is Reason.UNCONFIRMED
    harness.deploy(places=MOVED)
    harness.wait(700.0)
    harness.send_to(harness.job)
    assert len(harness.runs.runs) == made
    assert (harness.job.state is State.SUBMITTED, harness.job.reason is Reason.ELSEWHERE) == (made, not made)


def test_what_was_reopened_before_the_change_ends_as_before() -> None:
    """It was delivered, and still is."""
    harness = submitted(places=FOLDERS, key="incoming/shoe.jpg")
    harness.wait(60.0)
    assert harness.arrive().state is State.DELIVERED
    harness.deploy(places=FOLDERS, paused=True)
    assert refused(harness, "paid") is None
    for _ in range(3):
        harness.send_to(harness.job)
        harness.wait(700.0)
    assert harness.job.reason is Reason.PAUSED
    harness.deploy(places=MOVED)
    harness.sweep()
    harness.send_to(harness.job)
    assert (harness.job.state, len(harness.runs.runs)) == (State.DELIVERED, 1)


def test_only_the_prefix_is_searched_for_missed_uploads() -> None:
    """What is elsewhere would be sent, and become a dead letter."""
    harness = Harness(places=FOLDERS)
    harness.sweep()
    for key in ("incoming/shoe.jpg", "elsewhere/shoe.jpg", "incoming.jpg"):
        harness.upload(key)
    harness.wait(2 * 3_600.0)
    assert harness.sweep()["recovered"] == 1
    (message,) = harness.uploads.sent
    assert read_upload(message).key == "incoming/shoe.jpg"


def test_a_name_belongs_to_the_first_photo_for_good() -> None:
    """Also once that photo's output is gone."""
    harness = Harness(places=REPLACE)
    assert delivered(harness, "incoming/shoe.jpg") == ("cleaned/shoe.webp",)
    assert delivered(harness, "incoming/shoe.png") == ("cleaned/shoe.png.webp",)
    harness.photos.outputs.pop("cleaned/shoe.webp")
    assert delivered(harness, "incoming/shoe.jpeg") == ("cleaned/shoe.jpeg.webp",)


def test_only_replacing_names_costs_a_call() -> None:
    for places, calls in ((FOLDERS, 0), (REPLACE, 1)):
        harness = Harness(places=places)
        delivered(harness, "incoming/shoe.jpg")
        assert harness.calls.count("jobs.claim_name") == calls


@pytest.mark.parametrize(
    ("input_prefix", "output_prefix"),
    [("", ""), ("a/", ""), ("", "a/"), ("a/", "a/"), ("a/", "a/b/"), ("a/b/", "a/")],
)
def test_outputs_among_the_photos_are_refused(input_prefix: str, output_prefix: str) -> None:
    """In a sentence that names the parameters and what would be right."""
    places = {"input_prefix": input_prefix, "output_prefix": output_prefix}
    with pytest.raises(Misconfigured, match=r"OutputPrefix .* InputPrefix .* incoming/ and cleaned/"):
        settings(SubmitSettings, input_bucket="shop", output_bucket="shop", **places)
    assert settings(SubmitSettings, input_bucket="shop", output_bucket="other", **places).output_bucket == "other"


@pytest.mark.parametrize("prefix", ["/", "/a/", "a", "a//", "./", "a/../b/", "it's/", "a*/"])
def test_a_prefix_that_is_no_folder_is_refused(prefix: str) -> None:
    for name in ("input_prefix", "output_prefix"):
        with pytest.raises(Misconfigured, match=name.upper()):
            settings(DeliverSettings, **{name: prefix})


@pytest.mark.parametrize("name", ["", "Replace", "replace "])
def test_an_unknown_way_to_name_is_refused(name: str) -> None:
    with pytest.raises(Misconfigured, match="OUTPUT_NAME"):
        settings(SubmitSettings, output_name=name)
    with pytest.raises(Misconfigured, match="OUTPUT_NAME"):
        settings(DeliverSettings, output_name=name)


def test_a_photo_from_before_the_prefix_keeps_its_name() -> None:
    """One that the stack took up while it had another prefix, or none."""
    assert Naming("incoming/", "cleaned/").output_keys("old/a.jpg", "image/jpeg")[0] == ("cleaned/old/a.jpg")


def test_the_type_of_a_photo_does_not_change_its_outputs_name() -> None:
    """The photo is a JPEG first, and then a PNG under the same name: the newer output takes the place of the older."""
    harness = Harness()
    harness.photos.keeps_versions = False
    harness.endings = [Ending(content_type="image/jpeg")] * 2
    for kind in ("image/jpeg", "image/png"):
        assert harness.clean("shoe.jpg", tiny_image(kind, kind.encode())).outputs == ("shoe.jpg",)
    assert list(harness.photos.outputs) == ["shoe.jpg"]
