"""What people find in the output bucket about a photo without an output: one simulation each, step by step."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from decimal import Decimal

import pytest

from detag.domain.batches import Batch
from detag.domain.job import State
from detag.domain.naming import RECORD_OF
from detag.domain.reasons import Reason
from detag.ports.errors import Transient
from detag.ports.photos_fake import Stored
from detag.ports.runs_fake import PRICE, Ending, Fault
from tests.simulation.directed import HOUR, pass_time, rest, upload
from tests.simulation.mutant import Change
from tests.simulation.simulation import DAY, Crash, Simulation

FAILS = Ending(seconds=5.0, status="failed", cost=Decimal(0), code="INPUT_VALIDATION_FAILED")
WORKS = Ending(seconds=5.0)
IS_OPEN = "self._jobs.is_any_open(besides=intake.probe_job, waiting_for=waiting_for_a_person(intake))"
RECORDS = "detag.services.records:Records."


def records(simulation: Simulation) -> dict[str, str]:
    """The id of the job that each record tells of, by its key."""
    found = {key: one.data.decode() for key, one in simulation.photos.outputs.items() if RECORD_OF in one.metadata}
    return {key: text.split()[-1] for key, text in found.items()}


def no_photo(simulation: Simulation, key: str = "shoe.jpg") -> str:
    return simulation.upload(key, b"a list of prices", sent=False).job_id


def gave_up(simulation: Simulation) -> set[str]:
    simulation.run_out(simulation.time + 12 * DAY)
    simulation.checker.at_rest()
    return {name for name, _ in simulation.checker.broken}


def fails(simulation: Simulation) -> str:
    simulation.runflow.endings = [FAILS]
    job = upload(simulation)
    pass_time(simulation, HOUR)
    assert simulation.jobs.jobs[job].state is State.FAILED
    return job


# One for each name


def test_a_record_begins_with_what_a_shop_owner_understands(simulation: Simulation) -> None:
    job = no_photo(simulation)
    rest(simulation)
    assert records(simulation) == {"_skipped/shoe.jpg.txt": job}
    lines = simulation.photos.outputs["_skipped/shoe.jpg.txt"].data.decode().splitlines()
    assert lines[0] == "The file is not an image."
    assert lines[2].startswith("What to do: ")
    assert "Photo:          shoe.jpg" in lines


@pytest.mark.parametrize(("reason", "folder"), [("failed", "_failed"), ("skipped", "_skipped")])
def test_a_delivery_removes_the_record(simulation: Simulation, reason: str, folder: str) -> None:
    job = fails(simulation) if reason == "failed" else no_photo(simulation)
    pass_time(simulation, 60.0)
    assert records(simulation) == {f"{folder}/shoe.jpg.txt": job}
    upload(simulation)
    rest(simulation)
    assert records(simulation) == {}


@pytest.mark.parametrize("ending", [WORKS, FAILS], ids=["delivered", "failed"])
def test_a_record_of_what_was_taken_back_gives_way(simulation: Simulation, ending: Ending) -> None:
    """A photo is overwritten by what is none, which is skipped, and deleted again: the photo is there once more."""
    simulation.jobs.operator = replace(simulation.jobs.operator, paused=True)
    photo = upload(simulation)
    pass_time(simulation, 60.0)
    overwritten = no_photo(simulation)
    pass_time(simulation, 60.0)
    assert records(simulation) == {"_skipped/shoe.jpg.txt": overwritten}
    simulation.delete("shoe.jpg", simulation.jobs.jobs[overwritten].upload.version_id)
    pass_time(simulation, 2 * HOUR)
    simulation.runflow.endings = [ending]
    simulation.jobs.operator = replace(simulation.jobs.operator, paused=None)
    rest(simulation)
    assert simulation.jobs.jobs[photo].submission_no == 1
    assert records(simulation) == ({} if ending is WORKS else {"_failed/shoe.jpg.txt": photo})


def published_late(simulation: Simulation, monkeypatch: pytest.MonkeyPatch, ending: Ending) -> str:
    """The same, and the record of what was deleted can only be written once the photo has ended."""
    real, failing = simulation.photos.put_record, True

    def put_record(*arguments: object) -> None:
        if failing:
            raise Transient("S3 throttled")
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(simulation.photos, "put_record", put_record)
    simulation.jobs.operator = replace(simulation.jobs.operator, paused=True)
    photo = upload(simulation)
    pass_time(simulation, 60.0)
    overwritten = no_photo(simulation)
    pass_time(simulation, 60.0)
    simulation.delete("shoe.jpg", simulation.jobs.jobs[overwritten].upload.version_id)
    pass_time(simulation, HOUR)
    simulation.runflow.endings = [ending]
    simulation.jobs.operator = replace(simulation.jobs.operator, paused=None)
    while not simulation.jobs.jobs[photo].state.terminal:
        pass_time(simulation, 60.0)
    failing = False
    return photo


@pytest.mark.parametrize("ending", [WORKS, FAILS], ids=["delivered", "failed"])
def test_a_record_that_is_late_gives_way(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch, ending: Ending
) -> None:
    photo = published_late(simulation, monkeypatch, ending)
    rest(simulation)
    assert records(simulation) == ({} if ending is WORKS else {"_failed/shoe.jpg.txt": photo})


def test_a_late_record_of_what_was_taken_back_would_be_noticed(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Change("detag.domain.records:was_taken_back", "at_key.closed_at > job.closed_at", "False").made():
        published_late(simulation, monkeypatch, WORKS)
        assert "records" in gave_up(simulation)


@pytest.mark.parametrize("ending", [WORKS, FAILS], ids=["delivered", "failed"])
def test_a_record_of_what_is_there_stays(simulation: Simulation, ending: Ending) -> None:
    """A photo is overwritten by what is none while its run goes on: that is what a person finds under its name."""
    simulation.runflow.endings = [replace(ending, seconds=2 * HOUR)]
    upload(simulation)
    pass_time(simulation, 60.0)
    overwritten = no_photo(simulation)
    rest(simulation)
    assert records(simulation) == {"_skipped/shoe.jpg.txt": overwritten}


def test_a_newer_record_replaces_one_of_the_other_kind(simulation: Simulation) -> None:
    fails(simulation)
    newer = no_photo(simulation)
    rest(simulation)
    assert records(simulation) == {"_skipped/shoe.jpg.txt": newer}


def test_a_newer_failure_replaces_the_record_of_an_older(simulation: Simulation) -> None:
    first = fails(simulation)
    second = fails(simulation)
    rest(simulation)
    assert records(simulation) == {"_failed/shoe.jpg.txt": second} != {"_failed/shoe.jpg.txt": first}


def test_a_photo_deleted_before_it_was_sent_leaves_no_record(simulation: Simulation) -> None:
    """The record of an older version is of no use any more."""
    fails(simulation)
    upload(simulation)
    simulation.delete("shoe.jpg")
    rest(simulation)
    assert records(simulation) == {}


def test_a_cleaned_photo_in_place_of_a_failed_one_has_none(simulation: Simulation) -> None:
    """Its name is that of something delivered now."""
    upload(simulation, "other.jpg")
    pass_time(simulation, HOUR)
    (cleaned,) = simulation.photos.outputs.values()
    fails(simulation)
    assert list(records(simulation)) == ["_failed/shoe.jpg.txt"]
    newest = simulation.upload("shoe.jpg", cleaned.data, sent=False).job_id
    rest(simulation)
    assert simulation.jobs.jobs[newest].reason is Reason.ALREADY_CLEANED
    assert records(simulation) == {}


@pytest.mark.parametrize("key", ["shop/._shoe.jpg", "autumn/"])
def test_nothing_tells_of_what_is_no_photo(simulation: Simulation, key: str) -> None:
    job = simulation.upload(key, b"", sent=False).job_id
    rest(simulation)
    assert simulation.jobs.jobs[job].reason is Reason.NOT_A_PHOTO
    assert simulation.telemetry.counts["NotAPhoto"] == 1
    assert (records(simulation), simulation.events.published) == ({}, [])


@pytest.mark.parametrize("tail", ["a", "é", "日"])
def test_the_longest_key_has_a_record(simulation: Simulation, tail: str) -> None:
    no_photo(simulation, "x" * (1_024 - len(tail.encode())) + tail)
    rest(simulation)
    (key,) = records(simulation)
    assert len(key.encode()) <= 1_024 and key.startswith("_skipped/xxx") and key.endswith(".txt")


def test_a_record_leaves_another_photos_output_alone(simulation: Simulation) -> None:
    """An output may have the name of a record: the record gets the start of a hash in its name."""
    theirs = Stored(b"an output", "etag", {"detag-source-key": "in/_skipped/shoe.jpg.txt"})
    simulation.photos.outputs["_skipped/shoe.jpg.txt"] = theirs
    no_photo(simulation)
    rest(simulation)
    assert simulation.photos.outputs["_skipped/shoe.jpg.txt"] is theirs
    (key,) = records(simulation)
    assert key.startswith("_skipped/shoe.jpg.") and len(key) == len("_skipped/shoe.jpg.12345678.txt")
    simulation.photos.outputs.pop("_skipped/shoe.jpg.txt")
    upload(simulation)
    rest(simulation)
    assert records(simulation) == {}, "found again where it was written"


# Of two versions the newer decides


def older_fails_last(simulation: Simulation) -> None:
    simulation.runflow.endings = [replace(FAILS, seconds=300.0), WORKS]
    upload(simulation)
    pass_time(simulation, 30.0)
    upload(simulation)


def test_an_older_failure_writes_no_record_after_a_delivery(simulation: Simulation) -> None:
    older_fails_last(simulation)
    rest(simulation)
    assert records(simulation) == {}
    assert {kind for kind, _ in simulation.events.published} == {"Photo Failed", "Photo Delivered"}


def test_an_older_record_after_a_delivery_is_noticed(simulation: Simulation) -> None:
    unguarded = Change(
        "detag.domain.records:is_overtaken",
        "delivered != '' and sequencer_rank(delivered) >= job.upload.rank",
        "False",
    )
    with unguarded.made():
        older_fails_last(simulation)
        assert "records" in gave_up(simulation)


def newer_fails_first(simulation: Simulation) -> str:
    simulation.runflow.endings = [Ending(seconds=600.0)]
    upload(simulation)
    pass_time(simulation, 30.0)
    return no_photo(simulation)


def test_an_older_delivery_leaves_the_newer_record(simulation: Simulation) -> None:
    newer = newer_fails_first(simulation)
    rest(simulation)
    assert records(simulation) == {"_skipped/shoe.jpg.txt": newer}
    assert [key for key in simulation.photos.outputs if key.startswith("shoe")] != []


def test_a_newer_record_removed_by_an_older_delivery_is_noticed(simulation: Simulation) -> None:
    guard = "is_newer(job, self._recorded(job, before, lambda: self._version_at_key(job), delivered=True))"
    with Change(RECORDS + "withdraw", guard, "False").made():
        newer_fails_first(simulation)
        assert "records" in gave_up(simulation)


def older_ends_last(simulation: Simulation) -> str:
    simulation.runflow.endings = [replace(FAILS, seconds=300.0)]
    upload(simulation)
    pass_time(simulation, 30.0)
    return no_photo(simulation)


def test_an_older_failure_leaves_the_newer_record(simulation: Simulation) -> None:
    newer = older_ends_last(simulation)
    rest(simulation)
    assert records(simulation) == {"_skipped/shoe.jpg.txt": newer}


def test_an_older_record_that_won_is_noticed(simulation: Simulation) -> None:
    with Change("detag.domain.records:is_overtaken", "sequencer_rank(recorded) > job.upload.rank", "False").made():
        older_ends_last(simulation)
        assert "records" in gave_up(simulation)


# Workers that die half-way


def left_behind(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker dies between a record in S3 and the word of it in the table. Before the failure is published again, a
    newer photo is delivered, by a worker that knows of no record.
    """
    real = simulation.photos.put_record
    died: list[float] = []

    def dying(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        if not died:
            died.append(simulation.time)
            raise Crash("crashed")

    monkeypatch.setattr(simulation.photos, "put_record", dying)
    older = no_photo(simulation)
    pass_time(simulation, 160.0)
    upload(simulation)
    pass_time(simulation, 30.0)
    assert records(simulation) == {"_skipped/shoe.jpg.txt": older}


def test_a_record_that_nobody_knows_of_is_removed(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    left_behind(simulation, monkeypatch)
    rest(simulation)
    assert records(simulation) == {}


def test_a_record_left_for_ever_is_noticed(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    unguarded = Change(RECORDS + "_published", "self._remove(job, folder, unless=before.record)", "pass")
    with unguarded.made():
        left_behind(simulation, monkeypatch)
        assert "records" in gave_up(simulation)


def test_a_record_waits_while_an_output_is_stored(simulation: Simulation) -> None:
    """Another worker stores outputs of the photo: the record is written once it has done so."""
    simulation.jobs.begin_delivery("in", "shoe.jpg", "another", simulation.time + 100.0)
    job = no_photo(simulation)
    pass_time(simulation, 30.0)
    assert simulation.jobs.jobs[job].pending == ("record",)
    rest(simulation)
    assert records(simulation) == {"_skipped/shoe.jpg.txt": job}


# Events


def test_every_end_has_an_event(simulation: Simulation) -> None:
    fails(simulation)
    no_photo(simulation, "notes.txt")
    upload(simulation, "deleted.jpg")
    simulation.delete("deleted.jpg")
    simulation.runflow.endings = [WORKS]
    upload(simulation, "a.jpg")
    rest(simulation)
    kinds = [kind for kind, _ in simulation.events.published]
    assert sorted(kinds) == ["Photo Delivered", "Photo Failed", "Photo Skipped", "Photo Superseded"]
    assert all(detail["schema"] == 1 for _, detail in simulation.events.published)
    assert "://" not in json.dumps(simulation.events.published)


def test_an_event_that_never_was_is_noticed(simulation: Simulation) -> None:
    with Change("detag.services.outbox:pending_for", "(EVENT,)", "(EVENT,) * (job.reason is None)").made():
        no_photo(simulation)
        assert "events" in gave_up(simulation)


def test_a_timed_out_photo_has_a_record(simulation: Simulation) -> None:
    simulation.runflow.endings = [Ending(seconds=math.inf)]
    job = upload(simulation)
    rest(simulation)
    text = simulation.photos.outputs["_failed/shoe.jpg.txt"].data.decode()
    assert text.startswith("The run did not end in time.\nIt may be charged.\n\nWhat to do: ")
    assert str(simulation.jobs.jobs[job].run_id) in text, "its run, to show to Runflow"


def test_a_failure_whose_older_output_was_removed_has_a_record(simulation: Simulation) -> None:
    """It was delivered, a person deleted the output and asked for another, and that run failed."""
    job = upload(simulation)
    pass_time(simulation, HOUR)
    (output,) = simulation.photos.outputs
    simulation.change_by_hand(output, None)
    simulation.runflow.endings = [FAILS]
    simulation.reopen("paid", {"job_id": job})
    pass_time(simulation, HOUR)
    assert records(simulation) == {"_failed/shoe.jpg.txt": job}
    simulation.reopen("paid", {"job_id": job})
    rest(simulation)
    assert [*simulation.photos.outputs] == [output], "the record is gone"


# Batches


def batches(simulation: Simulation) -> list[dict[str, object]]:
    return [detail for kind, detail in simulation.events.published if kind == "Batch Finished"]


def drop(simulation: Simulation, photos: int, name: str = "a") -> None:
    for number in range(photos):
        upload(simulation, f"{name}{number}.jpg")


def test_twelve_photos_are_one_batch(simulation: Simulation) -> None:
    simulation.runflow.endings = [FAILS]
    upload(simulation)
    pass_time(simulation, 10.0)
    drop(simulation, 10)
    no_photo(simulation, "notes.txt")
    no_photo(simulation, "@eaDir/notes.txt")
    rest(simulation)
    (told,) = batches(simulation)
    assert (told["photos"], told["usd"]) == (12, "1.40")
    assert told["states"] == {"delivered": 10, "failed": 1, "skipped": 1}
    assert told["reasons"] == {"run_failed": 1, "not_an_image": 1}


@pytest.mark.parametrize("end", ["failed", "delivered"])
def test_a_batch_counts_only_what_was_spent_since(simulation: Simulation, end: str) -> None:
    """Photos that are asked for and closed as before, or delivered once more, end twice and are paid for once."""
    simulation.runflow.endings = [Ending(seconds=5.0, status="failed", code="POSTPROCESS_FAILED")] * 12
    if end == "delivered":
        simulation.runflow.endings = [WORKS] * 12
    drop(simulation, 12)
    pass_time(simulation, HOUR)
    for how, photos, usd in (("ask", 12, "1.68"), ("paid", 12, "0"), ("ask", 12, "1.68"), ("ask", 12, "0")):
        told = batches(simulation)[-1]
        assert (told["photos"], Decimal(str(told["usd"]))) == (photos, Decimal(usd))
        for job_id in list(simulation.jobs.jobs):
            simulation.reopen(how, {"job_id": job_id})
        pass_time(simulation, HOUR)
    rest(simulation)


def test_a_batch_counts_what_is_reserved_where_costs_are_unknown(simulation: Simulation) -> None:
    """Also where its photos were asked for again meanwhile: each run is counted once."""
    simulation.runflow.endings = [replace(WORKS, tells_cost=False)] * 12
    drop(simulation, 12)
    pass_time(simulation, HOUR)
    for job_id in list(simulation.jobs.jobs):
        simulation.reopen("ask", {"job_id": job_id})
    rest(simulation)
    assert [(one["photos"], Decimal(str(one["usd"]))) for one in batches(simulation)] == [(12, 12 * PRICE), (12, 0)]


def test_a_late_result_of_a_failure_is_spent_once(simulation: Simulation) -> None:
    """Its run failed free of charge, is tried again by Runflow itself, and is charged then."""
    simulation.unmatched_runs = 10
    simulation.runflow.endings = [FAILS] * 10
    drop(simulation, 10)
    pass_time(simulation, HOUR)
    for run in list(simulation.runflow.runs.values()):
        simulation.runflow.try_again(run)
    rest(simulation)
    assert [one["states"] for one in batches(simulation)] == [{"failed": 10}, {"delivered": 10}]
    spent = sum((Decimal(str(one["usd"])) for one in batches(simulation)), Decimal(0))
    assert spent == sum((run.billed for run in simulation.runflow.runs.values()), Decimal(0)) > 0
    rest(simulation)


@pytest.mark.parametrize("photos", [0, 1, 9])
def test_fewer_than_ten_photos_are_no_batch(simulation: Simulation, photos: int) -> None:
    drop(simulation, photos)
    pass_time(simulation, HOUR)
    drop(simulation, photos, "b")
    rest(simulation)
    assert batches(simulation) == []


def test_two_batches_with_a_pause_between_are_two(simulation: Simulation) -> None:
    drop(simulation, 10)
    pass_time(simulation, HOUR)
    assert [one["photos"] for one in batches(simulation)] == [10]
    drop(simulation, 11, "b")
    rest(simulation)
    assert [one["photos"] for one in batches(simulation)] == [10, 11]


def test_a_batch_lasts_while_one_run_goes_on(simulation: Simulation) -> None:
    simulation.runflow.endings = [Ending(seconds=HOUR)]
    drop(simulation, 12)
    pass_time(simulation, 0.9 * HOUR)
    assert batches(simulation) == []
    rest(simulation)
    assert [one["photos"] for one in batches(simulation)] == [12]


def test_a_limit_of_a_few_a_day_is_told_of_too(simulation: Simulation) -> None:
    """Four a day: each day says how many others wait, until all of them together are too few."""
    simulation.set_limit(PRICE * 4)
    drop(simulation, 15)
    rest(simulation)
    told = [(one["states"], one["waiting"]) for one in batches(simulation)]
    assert told == [({"delivered": 4}, {"spend_limit": 11}), ({"delivered": 4}, {"spend_limit": 7})]


def test_photos_behind_the_limit_do_not_keep_a_batch_open(simulation: Simulation) -> None:
    """What waits for the limit counts as idle."""
    simulation.set_limit(PRICE * 10)
    drop(simulation, 13)
    pass_time(simulation, 0.5 * HOUR)
    assert [one["photos"] for one in batches(simulation)] == [10]
    rest(simulation)
    assert [one["photos"] for one in batches(simulation)] == [10], "the three of the next day are no batch"


@pytest.mark.parametrize(
    ("why", "told"),
    [("out_of_credit", True), ("unauthorized", True), ("other_account", True), ("runflow_down", False)],
)
def test_what_waits_for_a_person_keeps_no_batch_open(simulation: Simulation, why: str, told: bool) -> None:
    """Whatever probes come meanwhile; what waits for Runflow to be back goes on by itself."""
    habits = simulation.runflow.habits
    drop(simulation, 12)
    pass_time(simulation, 60.0)
    match why:
        case "out_of_credit":
            habits.credit = Decimal(0)
        case "unauthorized":
            simulation.runflow.faults = [Fault(401)] * 5_000
        case "other_account":
            habits.accounts = {"key 1": "ours", "key 2": "theirs"}
            simulation.runflow.faults = [Fault()]
        case "runflow_down":
            simulation.runflow.down = True
    job_id = upload(simulation, "later.jpg")
    pass_time(simulation, 60.0)
    habits.key = "key 2" if why == "other_account" else habits.key
    pass_time(simulation, 8 * HOUR)
    job = simulation.jobs.jobs[job_id]
    assert job.state is State.WAITING and (job.reason == why or not told)
    assert [one["photos"] for one in batches(simulation)] == [12] * told
    habits.credit, simulation.runflow.faults, simulation.runflow.down, habits.key = None, [], False, "key 1"
    rest(simulation)
    assert [one["photos"] for one in batches(simulation)] == [12 if told else 13]


@pytest.mark.parametrize("why", ["unauthorized", "not_configured"])
def test_what_cannot_be_searched_for_keeps_no_batch_open(simulation: Simulation, why: str) -> None:
    """A photo without a clear answer is not searched for without a key that works: it waits for a person, too."""
    drop(simulation, 12)
    pass_time(simulation, 300.0)
    simulation.runflow.faults = [Fault(effect=True), *[Fault(401)] * 5_000 * (why == "unauthorized")]
    job_id = upload(simulation, "unclear.jpg")
    simulation.runflow.deaf = True
    pass_time(simulation, 60.0)
    simulation.runflow.habits.configured = why == "unauthorized"
    upload(simulation, "later.jpg")
    pass_time(simulation, 8 * HOUR)
    job = simulation.jobs.jobs[job_id]
    assert (job.state, job.reason, simulation.intake.reason) == (State.WAITING, Reason.UNCONFIRMED, why)
    assert [one["photos"] for one in batches(simulation)] == [12]
    simulation.runflow.habits.configured, simulation.runflow.faults, simulation.runflow.deaf = True, [], False
    rest(simulation)
    assert simulation.jobs.jobs[job_id].state is State.DELIVERED


def test_a_batch_is_told_of_whatever_fails(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least once: the process dies right after the event, before it is written down."""
    real = simulation.jobs.save_batch
    died: list[Batch] = []

    def dying(before: Batch | None, after: Batch) -> None:
        if before is not None and before.ends and not after.ends and not died:
            died.append(before)
            raise Crash("crashed")
        real(before, after)

    monkeypatch.setattr(simulation.jobs, "save_batch", dying)
    drop(simulation, 10)
    rest(simulation)
    assert [one["photos"] for one in batches(simulation)] == [10, 10]


def test_a_batch_larger_than_one_minute_counts_is_counted(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detag.services.batches.MOST_COUNTED", 4)
    drop(simulation, 30)
    rest(simulation)
    assert [one["photos"] for one in batches(simulation)] == [30]


@pytest.mark.parametrize(
    ("place", "old"),
    [
        ("detag.domain.batches:is_idle", "batch.counted_to - batch.active_at >= waits.BATCH.seconds"),
        ("detag.services.batches:Batches._tend", "is_told(after, waiting)"),
    ],
    ids=["too soon", "too few"],
)
def test_a_batch_told_of_wrongly_is_noticed(simulation: Simulation, place: str, old: str) -> None:
    """Too soon, while one run goes on; or of too few photos."""
    simulation.runflow.endings = [Ending(seconds=HOUR)]
    drop(simulation, 12 if "idle" in place else 9)
    with Change(place, old, "True").made():
        assert "batches" in gave_up(simulation)


def test_a_batch_told_of_while_a_run_goes_on_is_noticed(simulation: Simulation) -> None:
    simulation.runflow.endings = [Ending(seconds=HOUR)]
    drop(simulation, 12)
    with Change("detag.services.batches:Batches._goes_on", IS_OPEN, "False").made():
        assert "batches" in gave_up(simulation)
