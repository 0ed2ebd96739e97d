"""One result under several names: any that is as it was delivered is enough, and one that is rejected is too many."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from detag.domain.job import Job, State
from detag.domain.naming import JOB_ID, SEQUENCER
from detag.domain.picture import MAX_KNOWN_OUTPUTS, MAX_NAMES, Picture
from detag.domain.reasons import Reason
from detag.ports.errors import Transient
from detag.ports.photos import Denied
from detag.ports.photos_fake import Stored
from detag.ports.runs_fake import Ending
from tests.simulation.directed import HOUR, SLOW, pass_time, rest, upload
from tests.simulation.simulation import Simulation

ROOT = Path(__file__).parents[2]
NAMES = ("a.jpg", "b.jpg", "c.jpg")
REJECTED, CHANGED = "the earlier result was rejected", "the earlier result was deleted or overwritten"
GONE = "the earlier result is gone or cannot be read"


def paid(simulation: Simulation) -> int:
    return sum(run.billed > 0 for run in simulation.runflow.runs.values())


def drop(simulation: Simulation, key: str, name: str = "same") -> Job:
    """Upload a photo, the same one unless another is named; its job an hour later."""
    job_id = upload(simulation, key, name)
    pass_time(simulation, HOUR)
    return simulation.jobs.jobs[job_id]


def named(simulation: Simulation, *names: str) -> Simulation:
    for name in names:
        drop(simulation, name)
    assert paid(simulation) == 1
    return simulation


def picture(simulation: Simulation) -> Picture:
    (found,) = simulation.jobs.pictures.values()
    return found


def keys(simulation: Simulation) -> list[str]:
    """The names under which the picture is remembered, the newest first."""
    return [one.source_key for one in picture(simulation).deliveries if one.source_key]


@pytest.mark.parametrize("changed", NAMES)
@pytest.mark.parametrize("again", [*NAMES, "d.jpg"])
@pytest.mark.parametrize("data", [None, b"retouched"])
def test_one_output_as_delivered_is_enough(
    simulation: Simulation, changed: str, again: str, data: bytes | None
) -> None:
    named(simulation, *NAMES).change_by_hand(changed, data)
    found = drop(simulation, again)
    assert (found.state, found.not_reused) == (State.DELIVERED, None)
    assert found.reused_from == next(one for one in (again, *reversed(NAMES)) if one in NAMES and one != changed)
    rest(simulation)
    assert paid(simulation) == 1


@pytest.mark.parametrize("data", [None, b"retouched"])
def test_none_as_delivered_is_cleaned_anew(simulation: Simulation, data: bytes | None) -> None:
    named(simulation, *NAMES)
    for name in NAMES:
        simulation.change_by_hand(name, data)
    assert drop(simulation, "a.jpg").not_reused == CHANGED
    rest(simulation)
    assert paid(simulation) == 2


@pytest.mark.parametrize("rejected", NAMES)
@pytest.mark.parametrize("again", [*NAMES, "d.jpg"])
def test_one_rejected_output_is_too_many(simulation: Simulation, rejected: str, again: str) -> None:
    named(simulation, *NAMES).reject(rejected)
    assert drop(simulation, again).not_reused == REJECTED
    assert keys(simulation) == [again], "nothing else is known any more"
    rest(simulation)
    assert paid(simulation) == 2


def test_what_was_rejected_and_then_deleted_counts(simulation: Simulation) -> None:
    named(simulation, *NAMES).reject("b.jpg")
    simulation.change_by_hand("b.jpg", None)
    assert drop(simulation, "d.jpg").not_reused == REJECTED


def test_what_took_the_place_of_a_rejected_result_is_used(simulation: Simulation) -> None:
    """Under the rejected name, too: the picture was cleaned anew, and is not paid for a third time."""
    named(simulation, "a.jpg").reject("a.jpg")
    assert drop(simulation, "c.jpg").not_reused == REJECTED
    assert drop(simulation, "a.jpg").reused_from == "c.jpg"
    rest(simulation)
    assert paid(simulation) == 2


def test_under_each_of_its_names_nothing_is_written(simulation: Simulation) -> None:
    named(simulation, *NAMES)
    puts, before = len(simulation.photos.puts), picture(simulation)
    for name in (*NAMES, *NAMES):
        assert drop(simulation, name).reused_from == name
    assert (len(simulation.photos.puts), picture(simulation)) == (puts, before)
    rest(simulation)


@pytest.mark.parametrize("names", [1, 3])
@pytest.mark.parametrize(("again", "requests"), [("a.jpg", 1), ("d.jpg", 2)])
def test_a_hit_asks_s3_as_often_as_the_page_says(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch, names: int, again: str, requests: int
) -> None:
    named(simulation, *NAMES[:names])
    asked: list[str] = []
    for name in ("existing", "tags", "copy_output"):
        real = getattr(simulation.photos, name)

        def counted(*given: object, name: str = name, real: Callable[..., object] = real) -> object:
            asked.append(name)
            return real(*given)

        monkeypatch.setattr(simulation.photos, name, counted)
    assert drop(simulation, again).reused_from is not None
    assert len(asked) == 2 * names + requests, asked
    page = (ROOT / "docs/pictures.md").read_text(encoding="utf-8")
    assert "2N + 2 requests of S3: 2N + 1 where nothing has to be written" in page
    assert f"{MAX_NAMES} names (and {MAX_KNOWN_OUTPUTS} outputs) in all" in page


def test_a_name_whose_output_is_deleted_is_dropped(simulation: Simulation) -> None:
    """Once it is seen; the others stay."""
    named(simulation, *NAMES).change_by_hand("c.jpg", None)
    assert drop(simulation, "d.jpg").reused_from == "b.jpg"
    assert keys(simulation) == ["d.jpg", "b.jpg", "a.jpg"]


def test_an_output_that_a_newer_one_replaced_is_a_source(simulation: Simulation) -> None:
    """Detag itself put another photo's output there, or took this one away for it: nobody's hand."""
    drop(simulation, "a.jpg", "A")
    simulation.runflow.endings = [Ending(queued=1.0, seconds=1.0, content_type="image/webp")]
    drop(simulation, "a.jpg", "B")
    assert "a.jpg" not in simulation.photos.outputs
    found = drop(simulation, "c.jpg", "A")
    assert (found.reused_from, found.not_reused) == ("a.jpg", None)
    rest(simulation)
    assert paid(simulation) == 2


def test_no_more_names_are_remembered_than_agreed(simulation: Simulation) -> None:
    """The original's and the newest copies'. A rejected output is seen all the same where it would be replaced."""
    for number in range(MAX_NAMES + 3):
        drop(simulation, f"{number}.jpg")
    newest = [f"{number}.jpg" for number in range(MAX_NAMES + 2, 3, -1)]
    assert keys(simulation) == [*newest, "0.jpg"]
    assert len(keys(simulation)) == MAX_NAMES
    simulation.reject("2.jpg")
    assert drop(simulation, "2.jpg").not_reused == REJECTED
    assert paid(simulation) == 2


def test_an_item_of_before_has_both_its_names(simulation: Simulation) -> None:
    """It has the last copy and the originals, and not whose these were."""
    named(simulation, "a.jpg", "b.jpg")
    (picture_id,) = simulation.jobs.pictures
    result = replace(picture(simulation).first, older=())
    simulation.jobs.pictures[picture_id] = replace(picture(simulation), results=(result,))
    simulation.change_by_hand("b.jpg", None)
    assert drop(simulation, "c.jpg").reused_from == "a.jpg"
    simulation.reject("a.jpg")
    assert drop(simulation, "d.jpg").not_reused == REJECTED


def test_what_lies_in_an_archive_is_left_for_another_name(simulation: Simulation) -> None:
    bucket = simulation.photos.output_bucket
    named(simulation, *NAMES).photos.archived.add((bucket, "c.jpg"))
    assert drop(simulation, "d.jpg").reused_from == "b.jpg"
    assert "c.jpg" in keys(simulation), "it may be brought back"
    simulation.photos.archived |= {(bucket, key) for key in (*NAMES, "d.jpg")}
    assert drop(simulation, "e.jpg").not_reused == GONE
    rest(simulation)


def test_where_tags_cannot_be_read_nothing_is_reused(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it was rejected cannot be told."""

    def denied(key: str, version_id: str | None) -> dict[str, str]:
        raise Denied("AccessDenied")

    named(simulation, *NAMES)
    monkeypatch.setattr(simulation.photos, "tags", denied)
    assert drop(simulation, "d.jpg").not_reused == GONE


def test_the_same_bytes_of_a_person_are_not_the_output(simulation: Simulation) -> None:
    """Another version of them, without what detag writes beside: whoever put it there may have meant something."""
    named(simulation, "a.jpg")
    there = simulation.photos.outputs["a.jpg"]
    simulation.photos.outputs["a.jpg"] = Stored(there.data, there.etag, version_id="theirs")
    simulation.checker.changed_by_hand("a.jpg")
    assert drop(simulation, "b.jpg").not_reused == CHANGED


def test_without_versions_what_was_overwritten_is_gone(simulation: Simulation) -> None:
    simulation.photos.keeps_versions = False
    named(simulation, "a.jpg").change_by_hand("a.jpg", b"retouched")
    assert drop(simulation, "b.jpg").not_reused == GONE
    rest(simulation)


def test_a_copy_never_takes_the_place_of_somebody_elses(simulation: Simulation) -> None:
    named(simulation, "a.jpg")
    theirs = Stored(b"the shop's own", "etag", version_id="v1")
    simulation.photos.outputs["b.jpg"] = theirs
    found = drop(simulation, "b.jpg")
    assert simulation.photos.outputs["b.jpg"] is theirs
    assert found.outputs and found.outputs[0] != "b.jpg"


def test_a_copy_never_takes_the_place_of_a_newer_output(simulation: Simulation) -> None:
    """Even where the item of the newest upload was deleted, and does not tell."""
    named(simulation, "a.jpg")
    drop(simulation, "b.jpg", "other")
    there = simulation.photos.outputs["b.jpg"]
    newer = replace(there, metadata={**there.metadata, SEQUENCER: "F" * 18})
    simulation.photos.outputs["b.jpg"] = newer
    found = drop(simulation, "b.jpg")
    assert (found.state, found.reason) == (State.SUPERSEDED, Reason.NEWER_DELIVERED)
    assert simulation.photos.outputs["b.jpg"] is newer


@pytest.mark.parametrize("content_type", ["image/tiff", ""])
@pytest.mark.parametrize("key", ["a.jpg", "nowhere.jpg"])
def test_an_output_of_an_unknown_type_is_none(simulation: Simulation, content_type: str, key: str) -> None:
    """Nobody knows what a copy of it would be named: its item says nothing."""
    named(simulation, "a.jpg")
    (picture_id,) = simulation.jobs.pictures
    outputs = (replace(picture(simulation).first.outputs[0], key=key, content_type=content_type),)
    result = replace(picture(simulation).first, outputs=outputs, originals=outputs)
    simulation.jobs.pictures[picture_id] = replace(picture(simulation), results=(result,))
    found = drop(simulation, "b.jpg")
    assert (found.state, found.not_reused) == (State.DELIVERED, None)
    assert paid(simulation) == 2


def test_a_job_that_cannot_be_read_may_be_paying(simulation: Simulation) -> None:
    simulation.runflow.endings = [SLOW]
    first = upload(simulation, "a.jpg", "same")
    pass_time(simulation, 10.0)
    simulation.jobs.unreadable.add(first)
    second = upload(simulation, "b.jpg", "same")
    pass_time(simulation, 10.0)
    assert simulation.jobs.jobs[second].reason is Reason.SAME_PICTURE
    assert len(simulation.runflow.runs) == 1


@pytest.mark.parametrize("partial", [False, True])
def test_a_copy_of_a_part_says_so(simulation: Simulation, partial: bool) -> None:
    """The run made less than it was asked for: so has each copy."""
    status = "partial_succeeded" if partial else "succeeded"
    simulation.runflow.endings = [Ending(queued=1.0, seconds=1.0, status=status, images=2)]
    drop(simulation, "a.jpg")
    found = [drop(simulation, "b.jpg"), drop(simulation, "c.jpg")]
    assert [one.partial for one in found] == [partial, partial]
    told = {one["job_id"]: one["partial"] for _, one in simulation.events.published}
    assert [told[one.job_id] for one in found] == [partial, partial]


class Crash:
    """A copy of the picture's output is stored under b.jpg, and its job cannot be saved until `over`."""

    def __init__(self, simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
        self.simulation = simulation
        named(simulation, "a.jpg")
        save: Callable[..., tuple[str, ...]] = simulation.jobs.save
        self._going = True

        def fails(before: Job, after: Job, **how: object) -> tuple[str, ...]:
            if self._going and after.upload.key == "b.jpg" and after.reused_from:
                raise Transient("DynamoDB")
            return save(before, after, **how)

        monkeypatch.setattr(simulation.jobs, "save", fails)
        self.job_id = upload(simulation, "b.jpg", "same")
        pass_time(simulation, 10.0)
        assert "b.jpg" in simulation.photos.outputs
        assert simulation.jobs.jobs[self.job_id].state is State.WAITING

    def over(self) -> Job:
        self._going = False
        pass_time(self.simulation, HOUR)
        return self.simulation.jobs.jobs[self.job_id]


@pytest.fixture
def crash(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> Crash:
    return Crash(simulation, monkeypatch)


def test_a_copy_from_before_a_crash_is_delivered(crash: Crash) -> None:
    """Even if somebody deleted what it was made of meanwhile: the photo's name shows it."""
    puts = len(crash.simulation.photos.puts)
    crash.simulation.change_by_hand("a.jpg", None)
    found = crash.over()
    assert (found.state, found.reused_from, found.not_reused) == (State.DELIVERED, "a.jpg", None)
    assert len(crash.simulation.photos.puts) == puts
    rest(crash.simulation)
    assert paid(crash.simulation) == 1


def test_after_a_crash_a_copy_without_tags_is_not_used(crash: Crash, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it was rejected cannot be told: that is found out once, and the photo is cleaned anew."""
    tags = crash.simulation.photos.tags

    def denied(key: str, version_id: str | None) -> Mapping[str, str]:
        if key == "b.jpg":
            raise Denied("AccessDenied")
        return tags(key, version_id)

    monkeypatch.setattr(crash.simulation.photos, "tags", denied)
    crash.simulation.change_by_hand("a.jpg", None)
    assert crash.over().not_reused == GONE
    assert paid(crash.simulation) == 2


@pytest.mark.parametrize("rejected", ["a.jpg", "b.jpg"])
@pytest.mark.parametrize("deleted", [False, True])
def test_after_a_crash_what_is_rejected_is_not_delivered(crash: Crash, rejected: str, deleted: bool) -> None:
    """Neither the copy, nor what it was made of, even deleted."""
    crash.simulation.reject(rejected)
    if deleted:
        crash.simulation.change_by_hand("a.jpg", None)
    assert crash.over().not_reused == REJECTED
    assert paid(crash.simulation) == 2


def test_after_a_crash_a_replaced_result_is_not_back(crash: Crash) -> None:
    """Somebody rejected it, and the picture was paid for again: the copy is made of that."""
    simulation = crash.simulation
    simulation.reject("a.jpg")
    assert drop(simulation, "c.jpg").not_reused == REJECTED
    found = crash.over()
    assert (found.state, found.reused_from) == (State.DELIVERED, "c.jpg")
    assert simulation.photos.outputs["b.jpg"].data == simulation.photos.outputs["c.jpg"].data
    assert keys(simulation) == ["b.jpg", "c.jpg"]
    rest(simulation)
    assert paid(simulation) == 2


def test_after_a_crash_another_upload_gets_its_own_copy(crash: Crash) -> None:
    """With its own sequencer and metadata: the copy that is there was made for an upload that it replaces."""
    second = upload(crash.simulation, "b.jpg", "same")
    assert crash.over().state is State.SUPERSEDED
    assert crash.simulation.photos.outputs["b.jpg"].metadata[JOB_ID] == second
    rest(crash.simulation)


def test_after_a_crash_the_true_source_is_named(crash: Crash) -> None:
    """The copy of a.jpg is not taken for one of c.jpg, which is the newest by now."""
    drop(crash.simulation, "c.jpg")
    found = crash.over()
    stored = crash.simulation.photos.outputs["b.jpg"]
    assert found.reused_from == stored.metadata["detag-reused-from"]
    rest(crash.simulation)
