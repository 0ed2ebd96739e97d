"""Equal photos, step by step: who pays, who waits, who gets a copy, and who is cleaned anew."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from detag.domain.intake import Override
from detag.domain.job import Job, State
from detag.domain.naming import JOB_ID, REUSED_FROM, SOURCE_ETAG
from detag.domain.picture import Picture, picture_id
from detag.domain.reasons import Reason
from detag.ports.errors import Transient
from detag.ports.runs_fake import Ending, Fault
from tests import environment
from tests.simulation.directed import HOUR, SLOW, pass_time, rest, states, upload
from tests.simulation.mutant import Change
from tests.simulation.photos import name_in, photo
from tests.simulation.simulation import Simulation


def played(**changes: object) -> Simulation:
    simulation = Simulation(1, faults=False)
    for name, value in changes.items():
        setattr(simulation, name, value)
    return simulation


def paid(simulation: Simulation) -> int:
    return sum(run.billed > 0 for run in simulation.runflow.runs.values())


def job(simulation: Simulation, job_id: str) -> Job:
    return simulation.jobs.jobs[job_id]


def shown(simulation: Simulation, key: str) -> str:
    """The name in the pixels of an output."""
    return name_in(simulation.photos.outputs[key].data)


def test_an_equal_photo_under_another_name_is_a_copy() -> None:
    simulation = played()
    upload(simulation, "a.jpg", "same")
    pass_time(simulation, HOUR)
    second = upload(simulation, "b.jpg", "same")
    pass_time(simulation, 5.0)
    assert job(simulation, second).state is State.DELIVERED, "at once: nothing is waited for"
    copy = simulation.photos.outputs["b.jpg"]
    assert (copy.metadata[REUSED_FROM], copy.metadata[JOB_ID]) == ("a.jpg", second)
    assert copy.metadata[SOURCE_ETAG] == job(simulation, second).upload.etag
    assert (job(simulation, second).cost, job(simulation, second).reused_from) == ("0", "a.jpg")
    assert simulation.telemetry.counts["Reused"] == 1
    assert simulation.telemetry.counts["NotSpentUsd"] == pytest.approx(0.14)
    rest(simulation)
    assert paid(simulation) == 1


def test_a_photo_uploaded_again_under_its_name_writes_nothing() -> None:
    simulation = played()
    upload(simulation, "a.jpg", "same")
    pass_time(simulation, HOUR)
    puts = len(simulation.photos.puts)
    second = upload(simulation, "a.jpg", "same")
    rest(simulation)
    assert (paid(simulation), len(simulation.photos.puts)) == (1, puts)
    assert job(simulation, second).state is State.DELIVERED
    newest = simulation.jobs.delivered["in", "a.jpg"]
    assert newest.sequencer == job(simulation, second).upload.sequencer


@pytest.mark.parametrize("quickly", [False, True])
def test_a_photo_is_back_after_another(quickly: bool) -> None:
    """A, B and A again under one name: two payments, and A's pixels."""
    simulation = played()
    for name in ("A", "B", "A"):
        upload(simulation, "shoe.jpg", name)
        pass_time(simulation, 2.0 if quickly else HOUR)
    rest(simulation)
    assert shown(simulation, "shoe.jpg") == "A"
    assert paid(simulation) <= 2 if quickly else paid(simulation) == 2, (
        "quickly: one may be overtaken before it is sent"
    )


def test_two_equal_photos_at_once_are_one_run() -> None:
    """The second waits, and is woken when the first one ends: long before its own due time."""
    simulation = played()
    simulation.runflow.endings = [SLOW]
    first, second = upload(simulation, "a.jpg", "same"), upload(simulation, "b.jpg", "same")
    pass_time(simulation, 10.0)
    waits = {job(simulation, one).reason for one in (first, second)}
    assert waits == {None, Reason.SAME_PICTURE}
    pass_time(simulation, 110.0)
    assert {job(simulation, one).state for one in (first, second)} == {State.DELIVERED}
    rest(simulation)
    assert paid(simulation) == 1


def test_twenty_racing_copies_of_a_new_photo_are_one_run() -> None:
    simulation = played()
    jobs = [upload(simulation, f"{number}.jpg", "same") for number in range(20)]
    rest(simulation)
    assert paid(simulation) == 1
    assert {job(simulation, one).state for one in jobs} == {State.DELIVERED}


def test_the_next_takes_the_place_of_one_that_fails() -> None:
    simulation = played(max_attempts=1)
    simulation.runflow.endings = [replace(SLOW, status="failed", cost=Decimal(0)), SLOW]
    first, second = upload(simulation, "a.jpg", "same"), upload(simulation, "b.jpg", "same")
    pass_time(simulation, HOUR)
    assert {job(simulation, one).state for one in (first, second)} == {State.FAILED, State.DELIVERED}
    rest(simulation)
    assert paid(simulation) == 1


def test_an_unfinished_run_blocks_no_longer_than_a_run_may_take() -> None:
    simulation = played(run_timeout_hours=2)
    simulation.runflow.endings = [replace(SLOW, seconds=10 * HOUR), SLOW]
    first, second = upload(simulation, "a.jpg", "same"), upload(simulation, "b.jpg", "same")
    pass_time(simulation, 1.9 * HOUR)
    assert Reason.SAME_PICTURE in (job(simulation, first).reason, job(simulation, second).reason)
    pass_time(simulation, 0.4 * HOUR)
    assert State.DELIVERED in (job(simulation, first).state, job(simulation, second).state)


def test_a_wake_that_is_lost_costs_a_wait_only() -> None:
    simulation = played()
    simulation.runflow.endings = [SLOW]
    upload(simulation, "a.jpg", "same")
    pass_time(simulation, 10.0)
    second = upload(simulation, "b.jpg", "same")
    pass_time(simulation, 10.0)
    (picture,) = simulation.jobs.pictures.values()
    assert picture.waiting == (second,)
    simulation.jobs.pictures[picture.picture_id] = replace(picture, waiting=())
    pass_time(simulation, 120.0)
    assert job(simulation, second).reason is Reason.SAME_PICTURE
    pass_time(simulation, 400.0)
    assert job(simulation, second).state is State.DELIVERED
    rest(simulation)


@pytest.mark.parametrize(("data", "keeps"), [(None, False), (b"retouched", False), (b"retouched", True)])
def test_what_a_person_deleted_or_overwrote_is_paid_anew(data: bytes | None, keeps: bool) -> None:
    """Also where the tool that retouched it `keeps` the metadata."""
    simulation = played()
    upload(simulation, "a.jpg", "same")
    pass_time(simulation, HOUR)
    delivered = simulation.photos.outputs["a.jpg"]
    simulation.change_by_hand("a.jpg", data)
    if keeps:
        retouched = simulation.photos.outputs["a.jpg"]
        simulation.photos.outputs["a.jpg"] = replace(retouched, metadata=delivered.metadata)
    second = upload(simulation, "b.jpg", "same")
    pass_time(simulation, HOUR)
    third = upload(simulation, "c.jpg", "same")
    rest(simulation)
    assert paid(simulation) == 2
    assert job(simulation, second).not_reused == "the earlier result was deleted or overwritten"
    assert job(simulation, third).reused_from == "b.jpg"


UNTOUCHED = Change("detag.domain.decisions:is_as_delivered", "one.there and one.untouched", "one.there")
"""Without its guard, what a person deleted or overwrote is reused."""


def broken(simulation: Simulation) -> set[str]:
    """The invariants that the reuse of what a person touched breaks: a.jpg's output, for b.jpg."""
    with UNTOUCHED.made():
        second = upload(simulation, "b.jpg", "same")
        pass_time(simulation, HOUR)
    assert job(simulation, second).reused_from == "a.jpg"
    return {name for name, _ in simulation.checker.broken}


@pytest.mark.parametrize("data", [None, b"retouched"])
@pytest.mark.parametrize("names", [("same",), ("older", "same"), ("same", "newer")])
def test_the_checker_knows_what_a_hand_touched(names: tuple[str, ...], data: bytes | None) -> None:
    """Where no newer output of the photo was delivered since: one from before the person is no excuse."""
    simulation = played()
    for name in names:
        upload(simulation, "a.jpg", name)
        pass_time(simulation, HOUR)
    simulation.change_by_hand("a.jpg", data)
    pass_time(simulation, HOUR)
    assert broken(simulation) == {"reused as it should be"}


@pytest.mark.parametrize(("data", "known"), [(None, set()), (b"retouched", {"reused as it should be"})])
def test_a_newer_output_hides_a_deletion_alone(data: bytes | None, known: set[str]) -> None:
    """It has another name, so that what a person put at the first one is still there to be seen."""
    simulation = played()
    simulation.runflow.endings = [Ending(content_type="image/jpeg"), Ending(content_type="image/png")]
    upload(simulation, "a.jpg", "same")
    pass_time(simulation, HOUR)
    simulation.change_by_hand("a.jpg", data)
    pass_time(simulation, HOUR)
    newer = upload(simulation, "a.jpg", "newer")
    pass_time(simulation, HOUR)
    assert job(simulation, newer).outputs == ("a.jpg.png",)
    assert broken(simulation) == known


def test_what_is_gone_for_good_is_paid_anew() -> None:
    """The version that was delivered has expired."""
    simulation = played()
    upload(simulation, "a.jpg", "same")
    pass_time(simulation, HOUR)
    version = simulation.photos.outputs["a.jpg"].version_id
    assert version is not None
    simulation.change_by_hand("a.jpg", None)
    del simulation.photos.older["a.jpg", version]
    second = upload(simulation, "b.jpg", "same")
    rest(simulation)
    assert (paid(simulation), job(simulation, second).not_reused) == (2, "the earlier result is gone or cannot be read")


@pytest.mark.parametrize("which", ["a.jpg", "b.jpg"])
def test_what_was_rejected_is_never_reused(which: str) -> None:
    """Neither the output of the run nor any copy of it; and the event says so."""
    simulation = played()
    for key in ("a.jpg", "b.jpg"):
        upload(simulation, key, "same")
        pass_time(simulation, HOUR)
    simulation.reject(which)
    again = upload(simulation, which, "same")
    pass_time(simulation, HOUR)
    other = upload(simulation, "c.jpg", "same")
    rest(simulation)
    assert paid(simulation) == 2
    assert job(simulation, other).reused_from == which
    (event,) = [detail for _, detail in simulation.events.published if detail["job_id"] == again]
    assert event["not_reused"] == "the earlier result was rejected"


def test_an_output_that_is_fed_back_is_skipped_for_nothing() -> None:
    simulation = played()
    upload(simulation, "a.jpg", "same")
    pass_time(simulation, HOUR)
    data = simulation.photos.outputs["a.jpg"].data
    again = [simulation.upload(key, data).job_id for key in ("a.jpg", "back/a.jpg")]
    for one in again:
        simulation.checker.fed_back(next(upload for upload in simulation.uploaded if upload.job_id == one))
    rest(simulation)
    assert [job(simulation, one).reason for one in again] == [Reason.ALREADY_CLEANED] * 2
    assert paid(simulation) == 1


@pytest.mark.parametrize("word", ["", "softer"])
def test_a_photo_that_comes_back_as_it_was_arrives(word: str) -> None:
    """Runflow gives a photo back as it was, asked for with a word or not: it is a photo all the same, which arrives in
    another shape too.
    """
    simulation = played()
    data = photo("same", "image/jpeg")
    simulation.runflow.endings = [Ending(queued=1.0, seconds=1.0, content_type="image/jpeg", instead=data)]
    simulation.upload("a.jpg", data, {"detag-again": word} if word else None)
    pass_time(simulation, HOUR)
    wide = simulation.upload("b.jpg", data, {"aspect-ratio": "4:3"}).job_id
    pass_time(simulation, HOUR)
    assert job(simulation, wide).state is State.DELIVERED


def test_an_output_equal_to_another_photo_skips_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Runflow made of one photo is byte for byte another one, that was dropped before: that one is cleaned, though
    each upload is paid for.
    """
    monkeypatch.setitem(environment.ENVIRON, "REUSE_RESULTS", "false")
    simulation = played()
    other = photo("other", "image/jpeg")
    simulation.upload("other.jpg", other)
    pass_time(simulation, HOUR)
    simulation.runflow.endings = [Ending(queued=1.0, seconds=1.0, content_type="image/jpeg", instead=other)]
    upload(simulation, "a.jpg", "same")
    pass_time(simulation, HOUR)
    again = simulation.upload("again.jpg", other).job_id
    pass_time(simulation, HOUR)
    assert job(simulation, again).state is State.DELIVERED


def test_an_output_that_was_cleaned_with_a_word_stays_one() -> None:
    """A word asks for one new run, and takes nothing from what detag delivered."""
    simulation = played()
    upload(simulation, "a.jpg", "same")
    pass_time(simulation, HOUR)
    data = simulation.photos.outputs["a.jpg"].data
    asked = simulation.upload("b.jpg", data, {"detag-again": "more"}).job_id
    pass_time(simulation, HOUR)
    plain = simulation.upload("c.jpg", data).job_id
    pass_time(simulation, HOUR)
    assert job(simulation, asked).submission_no, "it was sent"
    assert job(simulation, plain).reason is Reason.ALREADY_CLEANED


def test_a_word_asks_for_a_new_run_once() -> None:
    """The word is part of what makes photos equal: a copy carries it along, and is not paid for either."""
    simulation = played()
    upload(simulation, "a.jpg", "same")
    pass_time(simulation, HOUR)
    for key in ("a.jpg", "b.jpg"):
        simulation.upload(key, photo("same", "image/jpeg"), {"detag-again": "softer"})
        pass_time(simulation, HOUR)
    rest(simulation)
    assert paid(simulation) == 2


def test_another_shape_is_another_picture() -> None:
    simulation = played()
    upload(simulation, "a.jpg", "same")
    pass_time(simulation, HOUR)
    wide = simulation.upload("b.jpg", photo("same", "image/jpeg"), {"aspect-ratio": "4:3"}).job_id
    pass_time(simulation, HOUR)
    assert paid(simulation) == 2
    assert job(simulation, wide).picture != picture_id(
        job(simulation, wide).upload.etag, job(simulation, wide).upload.size, ratio=None, again=None
    )


@pytest.mark.parametrize("ratio", ["", "4:3"])
def test_an_earlier_run_of_another_shape_is_not_known(monkeypatch: pytest.MonkeyPatch, ratio: str) -> None:
    """The first request's answer is lost, and its run appears once another was made, which may ask for a new shape: an
    equal photo that asks for that shape gets no copy of the first.
    """
    simulation = played()
    simulation.runflow.faults = [Fault(effect=True, late=1500.0)]
    simulation.runflow.endings = [Ending(queued=1.0, seconds=2_000.0), Ending(queued=1.0, seconds=5.0)]
    first = upload(simulation, "a.jpg", "same")
    pass_time(simulation, 60.0)
    simulation.jobs.operator = Override(paused=True)
    pass_time(simulation, 960.0)
    simulation.jobs.operator = Override()
    monkeypatch.setitem(environment.ENVIRON, "ASPECT_RATIO", ratio)
    for idle in simulation.idle.values():
        idle.clear()
    pass_time(simulation, 3 * HOUR)
    runs = simulation.runflow.runs
    made = runs[job(simulation, first).run_id or ""].request
    assert (made["client_ref"], job(simulation, first).submission_no) == (f"{first}.1", 2), "another is claimed by then"
    second = upload(simulation, "b.jpg", "same")
    pass_time(simulation, HOUR)
    assert (job(simulation, second).reused_from is None) is bool(ratio)


@pytest.mark.parametrize("minutes", [62, 80, 100])
def test_what_another_paid_for_is_not_sent_again(monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    """The run list could not be read for longer than a run may take: an equal photo has taken the picture."""
    simulation = played(run_timeout_hours=1, url_lifetime_minutes=240)
    pass_time(simulation, 4 * HOUR)
    simulation.runflow.faults = [Fault(effect=False)]
    first = upload(simulation, "a.jpg", "same")
    pass_time(simulation, 5.0)
    second = upload(simulation, "b.jpg", "same")
    read, readable = simulation.runflow.page, simulation.time + 60 * minutes

    def page(cursor: str | None = None, account: tuple[str, ...] | None = None) -> object:
        if simulation.time < readable:
            raise Transient("503")
        return read(cursor, account)

    monkeypatch.setattr(simulation.runflow, "page", page)
    pass_time(simulation, 6 * HOUR)
    assert {job(simulation, one).state for one in (first, second)} == {State.DELIVERED}
    rest(simulation)
    assert paid(simulation) == 1


def test_an_item_that_names_a_job_that_is_not_there_is_none() -> None:
    simulation = played()
    key = picture_id(
        simulation.upload("a.txt", photo("same", "image/jpeg"), sent=True).etag, 51, ratio=None, again=None
    )
    assert key is not None
    taken = Picture(picture_id=key, version=3, taken_by="nobody", taken_until=simulation.time + 24 * HOUR)
    simulation.jobs.pictures[key] = taken
    rest(simulation)
    assert paid(simulation) == 1


def test_without_versions_only_what_is_still_there_is_known() -> None:
    """Runflow may have read the photo that took the name meanwhile."""
    simulation = played(versioned=False)
    simulation.photos.unversioned.add("in")
    simulation.runflow.endings = [replace(SLOW, content_type="image/jpeg") for _ in range(3)]
    upload(simulation, "a.jpg", "A")
    pass_time(simulation, 10.0)
    upload(simulation, "a.jpg", "B")
    pass_time(simulation, HOUR)
    upload(simulation, "c.jpg", "A")
    pass_time(simulation, HOUR)
    assert len(simulation.runflow.runs) == 3
    upload(simulation, "d.jpg", "A")
    rest(simulation)
    assert len(simulation.runflow.runs) == 3
    assert shown(simulation, "d.jpg") == shown(simulation, "c.jpg") == "A"


def without_versions(queued: float = 10.0) -> Simulation:
    simulation = played(versioned=False)
    simulation.photos.unversioned.add("in")
    slow = replace(SLOW, queued=queued, content_type="image/jpeg")
    simulation.runflow.endings = [slow, slow, slow]
    return simulation


def test_without_versions_an_equal_upload_forgets_nothing() -> None:
    """The same file is dropped once more while its first upload is being cleaned."""
    simulation = without_versions()
    first = upload(simulation, "a.jpg", "A")
    pass_time(simulation, 10.0)
    second = upload(simulation, "a.jpg", "A")
    pass_time(simulation, HOUR)
    assert {job(simulation, one).state for one in (first, second)} == {State.DELIVERED}
    rest(simulation)
    assert paid(simulation) == 1


@pytest.mark.parametrize("between", ["B", "no image"])
def test_without_versions_another_upload_between_is_seen(between: str) -> None:
    """Runflow read what was there for a while: its result is not taken for that of the photo which is back."""
    simulation = without_versions(queued=20.0)
    upload(simulation, "a.jpg", "A")
    pass_time(simulation, 10.0)
    if between == "B":
        upload(simulation, "a.jpg", "B")
    else:
        simulation.upload("a.jpg", b"no image", sent=False)
    pass_time(simulation, 5.0)
    upload(simulation, "a.jpg", "A")
    pass_time(simulation, HOUR)
    upload(simulation, "c.jpg", "A")
    rest(simulation)
    assert shown(simulation, "a.jpg") == shown(simulation, "c.jpg") == "A"
    assert len(simulation.runflow.runs) > 1


@pytest.mark.parametrize("gone", [False, True])
def test_without_versions_what_is_there_is_looked_at(gone: bool) -> None:
    """No event tells of the photo that took the name, or that it was deleted."""
    simulation = without_versions()
    upload(simulation, "a.jpg", "A")
    pass_time(simulation, 10.0)
    simulation.photos.upload("in", "a.jpg", photo("B", "image/jpeg"))
    if gone:
        simulation.photos.delete("in", "a.jpg")
    pass_time(simulation, HOUR)
    assert not any(picture.is_known for picture in simulation.jobs.pictures.values())


def test_without_versions_what_has_no_etag_is_not_known() -> None:
    simulation = without_versions()
    first = upload(simulation, "a.jpg", "A")
    pass_time(simulation, 10.0)
    there = job(simulation, first)
    simulation.jobs.jobs[first] = replace(there, upload=replace(there.upload, etag=""))
    pass_time(simulation, HOUR)
    assert job(simulation, first).state is State.DELIVERED
    assert not any(picture.is_known for picture in simulation.jobs.pictures.values())


def test_a_job_of_before_this_feature_goes_on() -> None:
    """It has no picture: it is delivered, and not remembered."""
    simulation = played()
    simulation.runflow.endings = [SLOW]
    first = upload(simulation, "a.jpg", "same")
    pass_time(simulation, 10.0)
    simulation.jobs.jobs[first] = replace(job(simulation, first), picture=None, picture_version=0)
    simulation.jobs.pictures.clear()
    pass_time(simulation, HOUR)
    assert states(simulation, first)[-1] == "delivered"
    assert simulation.jobs.pictures == {}


def test_several_outputs_are_all_copied() -> None:
    simulation = played()
    simulation.runflow.endings = [Ending(queued=1.0, seconds=1.0, images=3)]
    upload(simulation, "a.jpg", "same")
    pass_time(simulation, HOUR)
    second = upload(simulation, "b.jpg", "same")
    rest(simulation)
    assert len(job(simulation, second).outputs) == 3
    assert paid(simulation) == 1


def test_reuse_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then each upload is paid for; what detag delivered is not cleaned again all the same."""
    monkeypatch.setitem(environment.ENVIRON, "REUSE_RESULTS", "false")
    simulation = played()
    for key in ("a.jpg", "b.jpg"):
        simulation.upload(key, photo("same", "image/jpeg"))
        pass_time(simulation, HOUR)
    fed_back = simulation.upload("c.jpg", simulation.photos.outputs["a.jpg"].data).job_id
    pass_time(simulation, HOUR)
    assert paid(simulation) == 2
    assert job(simulation, fed_back).reason is Reason.ALREADY_CLEANED
