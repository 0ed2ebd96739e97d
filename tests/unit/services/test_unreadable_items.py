"""Items that this code cannot read: they are set aside, counted and told, and all others go on."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from detag.adapters.dynamodb import DynamoJobStore
from detag.adapters.job_items import job_item, place_of
from detag.batch import process
from detag.domain import intake as intakes
from detag.domain.intake import Intake, Override
from detag.domain.job import State, Upload, new
from detag.domain.reasons import Reason
from detag.domain.waits import PROBE, SET_ASIDE
from detag.ports.clock_fake import FakeClock
from detag.ports.errors import Unreadable
from detag.ports.runs_fake import Fault
from tests.unit.services.harness import Harness

UPLOAD = Upload("in", "secret/shoe.jpg", "v1", "00aa", "etag", 10, 1.0)


def interrupted(count: int) -> tuple[Harness, list[str]]:
    """So many photos that are due, the first of them unreadable."""
    harness = Harness()
    harness.faults = [Fault(500) for _ in range(count)]
    for number in range(count):
        harness.submit.handle(harness.upload(f"{number:03}.jpg"), harness.clock.monotonic() + 30.0)
        harness.clock.advance(1.0)
    ids = list(harness.jobs.jobs)
    harness.jobs.unreadable.add(ids[0])
    harness.wait(700.0)
    return harness, ids


def test_one_unreadable_item_stops_nobody() -> None:
    harness, ids = interrupted(3)
    assert harness.sweep()["resumed"] == 2
    assert {message["job_id"] for message in harness.uploads.sent} == set(ids), "its message tells of it, in the end"
    assert harness.telemetry.counts["UnreadableItem"] == 1


def test_an_unreadable_item_is_told_once_a_day() -> None:
    harness, ids = interrupted(1)
    for _ in range(3):
        harness.sweep()
        harness.wait(60.0)
    assert harness.uploads.sent == [{"job_id": ids[0]}]
    harness.wait(SET_ASIDE.seconds)
    harness.sweep()
    assert harness.uploads.sent == [{"job_id": ids[0]}] * 2


@pytest.mark.parametrize("others", [0, 2])
def test_what_waits_for_the_intake_is_told_once_a_day(others: int) -> None:
    harness, ids = paused(1 + others)
    for _ in range(3):
        harness.sweep()
        harness.wait(60.0)
    told = {"job_id": ids[0]}
    assert harness.uploads.sent.count(told) == harness.telemetry.counts["UnreadableItem"] == 1
    assert {message["job_id"] for message in harness.uploads.sent} == set(ids), "the others were released"
    assert harness.jobs.intake().reason is None
    harness.wait(SET_ASIDE.seconds)
    harness.sweep()
    assert harness.uploads.sent.count(told) == 2


def paused(count: int) -> tuple[Harness, list[str]]:
    """So many photos that wait for an intake that an operator paused and no longer pauses, the first unreadable."""
    harness = Harness()
    harness.jobs.operator = Override(paused=True)
    for number in range(count):
        harness.submit.handle(harness.upload(f"{number:03}.jpg"), harness.clock.monotonic() + 30.0)
        harness.clock.advance(1.0)
    harness.sweep()
    harness.jobs.operator = Override()
    ids = list(harness.jobs.jobs)
    harness.jobs.unreadable.add(ids[0])
    return harness, ids


def test_an_unreadable_photo_is_no_probe() -> None:
    """A paused intake is tested by the first photo that can be read, a minute later."""
    harness, ids = paused(6)
    harness.jobs.unreadable.update(ids[:5])
    harness.jobs._intake = intakes.pause(harness.jobs.intake(), Reason.OUT_OF_CREDIT, harness.clock.now())
    for _ in range(3):
        harness.wait(PROBE.seconds(0, max))
        harness.sweep()
    assert harness.jobs.intake().probe_job == ids[5]


def test_an_unreadable_intake_is_paused_and_told() -> None:
    """Photos wait, the rest of the sweep goes on, and the status says what to do."""
    harness, _ = interrupted(2)
    harness.jobs.unreadable.clear()
    harness.jobs.intake_unreadable = True
    harness.submit.handle(harness.upload("new.jpg"), harness.clock.monotonic() + 30.0)
    waiting = list(harness.jobs.jobs.values())[-1]
    assert (waiting.state, waiting.reason) == (State.WAITING, Reason.UNREADABLE_INTAKE)
    done = harness.sweep()
    assert (done["released"], done["resumed"]) == (0, 2)
    assert harness.telemetry.counts["GateHeld"] == 1
    assert harness.reconcile.report()["intake"]["why"] == "unreadable_intake"
    harness.jobs.operator = Override(paused=True)
    harness.sweep()
    harness.jobs.operator = Override()
    harness.jobs.intake_unreadable, harness.jobs._intake = False, Intake()  # an operator deleted the item
    assert harness.sweep()["released"] == 1


def test_an_unreadable_scan_starts_over() -> None:
    harness = Harness()
    harness.upload()
    harness.wait(7_200.0)
    harness.jobs.scan_unreadable = True
    assert harness.reconcile.report()["scan_for_missed_uploads"] == {"state": "unreadable, starts over"}
    assert harness.sweep()["recovered"] == 1
    assert harness.telemetry.counts["UnreadableItem"] == 1
    assert harness.jobs.scan() is not None


def test_an_unreadable_scan_of_a_folder_pays_nothing() -> None:
    """It may be of another folder, and what is in this one have been there before."""
    harness = Harness(places={"input_prefix": "b/"})
    harness.upload("b/shoe.jpg")
    harness.wait(7_200.0)
    harness.jobs.scan_unreadable = True
    assert harness.sweep()["recovered"] == 0
    assert harness.jobs.scan() is not None


def test_the_scan_takes_what_cannot_be_read_for_known() -> None:
    harness, _ = paused(1)
    harness.wait(7_200.0)
    assert harness.sweep()["recovered"] == 0
    assert [message for message in harness.uploads.sent if "job_id" not in message] == []


def test_an_unreadable_budget_is_told() -> None:
    """Nothing is paid for, the intake is paused for it, and the sweep goes on."""
    harness = Harness(limit=Decimal(10))
    harness.send(harness.upload("first.jpg"))
    harness.jobs.open_days.clear()  # as the store reads it
    harness.submit.handle(harness.upload("second.jpg"), harness.clock.monotonic() + 30.0)
    harness.sweep()
    assert harness.jobs.intake().reason is Reason.BUDGET_LOST
    assert len(harness.runs.runs) == harness.telemetry.counts["GateHeld"] == 1


def test_an_unreadable_item_goes_on_once_it_can_be_read() -> None:
    harness, ids = interrupted(1)
    harness.sweep()
    harness.jobs.unreadable.clear()
    harness.submit.handle(harness.uploads.sent[0], harness.clock.monotonic() + 30.0)
    assert harness.jobs.jobs[ids[0]].state in (State.WAITING, State.SUBMITTED)


def test_a_message_of_an_unreadable_item_is_kept() -> None:
    """It is returned, and so ends in the dead-letter queue; the other messages of its batch are done with."""
    harness, ids = interrupted(2)
    records = [{"messageId": job_id, "body": json.dumps({"job_id": job_id})} for job_id in ids]
    answer = process(
        {"Records": records},
        lambda message: harness.submit.handle(message, harness.clock.monotonic() + 30.0),
        harness.telemetry,
    )
    assert answer == {"batchItemFailures": [{"itemIdentifier": ids[0]}]}
    assert harness.telemetry.counts["UnreadableItem"] == 1
    assert "MessageFailed" not in harness.telemetry.counts


class Table:
    """A client of a table with one item."""

    def __init__(self, item: dict[str, Any]) -> None:
        self.item = item

    def get_item(self, **_: Any) -> dict[str, Any]:
        return {"Item": self.item}


@pytest.mark.parametrize(
    "change",
    [
        {"state": {"S": "paused_by_moon"}},
        {"reason": {"S": "of newer code"}},
        {"created_at": {"S": "secret"}},
        {"created_at": {"N": "secret"}},
        {"created_at": None},
        {"size": None},
        {"earlier_runs": {"L": [{"N": "1"}]}},
        {"earlier_runs": {"L": 5}},
        {"due_at": "secret"},
    ],
)
def test_what_cannot_be_read_is_told_by_its_kind(change: dict[str, Any]) -> None:
    item = {name: value for name, value in (job_item(new(UPLOAD, 1.0)) | change).items() if value is not None}
    store = DynamoJobStore(Table(item), "jobs", FakeClock())  # type: ignore[arg-type]
    with pytest.raises(Unreadable) as raised:
        store.get(UPLOAD.job_id)
    assert "secret" not in str(raised.value)


def test_an_unknown_attribute_of_newer_code_is_no_matter() -> None:
    item = job_item(new(UPLOAD, 1.0)) | {"of_newer_code": {"S": "x"}}
    assert DynamoJobStore(Table(item), "jobs", FakeClock()).get(UPLOAD.job_id) is not None  # type: ignore[arg-type]


def test_the_report_counts_what_it_cannot_read() -> None:
    assert place_of({"state": {"S": "paused_by_moon"}}) == "unreadable"
    assert place_of({}) == "unreadable"
