"""Carrying out a step: always in one order, so that a worker which dies in between leaves nothing to be paid again."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from detag.domain.job import State
from detag.domain.reasons import Reason
from detag.ports.errors import Conflict, Transient
from detag.ports.runs_fake import Ending, Fault
from tests.unit.services.harness import Harness, submitted


def written(harness: Harness) -> list[str]:
    """The writes to the job table since the POST, in their order."""
    calls = harness.calls[harness.calls.index("runs.create") :]
    return [name for name in calls if name in ("jobs.save", "jobs.save_intake")]


def test_intake_is_paused_before_the_job_is_saved() -> None:
    harness = Harness()
    harness.faults = [Fault(402)]
    harness.send(harness.upload())
    assert written(harness) == ["jobs.save_intake", "jobs.save"]


def test_intake_goes_on_after_the_job_is_saved() -> None:
    harness = Harness()
    harness.faults = [Fault(402)]
    harness.send(harness.upload())
    harness.wait(61.0)
    harness.sweep()
    harness.calls.clear()
    harness.send_to(harness.job)
    assert written(harness) == ["jobs.save", "jobs.save_intake"]
    assert harness.jobs.intake().state == "draining"


def test_intake_goes_on_after_an_end_is_published() -> None:
    """A probe that Runflow refuses shows nothing of the cause: another may follow, once this one has ended."""
    harness = Harness()
    harness.faults = [Fault(402), Fault(422, code="VALIDATION", message="no")]
    harness.send(harness.upload())
    harness.wait(61.0)
    harness.sweep()
    harness.calls.clear()
    harness.send_to(harness.job)
    assert (harness.job.state, harness.job.pending) == (State.FAILED, ())
    calls = harness.calls[harness.calls.index("runs.create") :]
    assert "events.publish" in calls and calls[-1] == "jobs.save_intake"
    assert harness.jobs.intake().probe_job is None


def test_the_decision_is_on_the_item_and_in_the_log() -> None:
    harness = submitted(Ending(status="failed", cost=Decimal("0.14")))
    harness.wait(60.0)
    job = harness.arrive()
    assert (job.state, job.decision) == (State.FAILED, "not tried again: charged")
    lines = [line for line in harness.telemetry.lines if line.message == "not tried again"]
    assert [line.fields["why"] for line in lines] == ["charged"]
    (closed,) = [line for line in harness.telemetry.lines if line.message == "job closed"]
    assert closed.fields["decision"] == "not tried again: charged"
    ((_, event),) = [one for one in harness.events.published if one[0] == "Photo Failed"]
    assert event["decision"] == "not tried again: charged"


def test_the_report_shows_what_failed_and_why() -> None:
    harness = submitted(Ending(status="failed", cost=Decimal("0.14")))
    harness.wait(60.0)
    job = harness.arrive()
    assert harness.reconcile.report()["failed_today"] == [
        {
            "key": "shoe.jpg",
            "job_id": job.job_id,
            "state": "failed",
            "reason": "run_failed",
            "detail": job.detail,
            "decision": "not tried again: charged",
            "means": Reason.RUN_FAILED.means,
            "what_to_do": Reason.RUN_FAILED.do,
        }
    ]


@pytest.mark.parametrize(
    ("ending", "decision"),
    [
        (Ending(), "delivered"),
        (
            Ending(status="failed", cost=Decimal(0), code="INPUT_VALIDATION_FAILED"),
            "not tried again: the same photo would fail again",
        ),
        (
            Ending(status="failed", cost=Decimal(0), code="MODEL_ERROR"),
            "tried again: attempt 1 of 3 failed free of charge",
        ),
        (Ending(status="canceled"), "not tried again: cancelled at Runflow"),
    ],
)
def test_every_end_of_a_run_is_explained(ending: Ending, decision: str) -> None:
    harness = submitted(ending)
    assert (harness.job.decision or "").startswith("run created: ")
    harness.wait(60.0)
    assert harness.arrive().decision == decision


def test_what_is_not_sent_is_explained() -> None:
    harness = Harness()
    assert harness.send(harness.upload(data=b"%PDF-1.7")).decision == "not sent: not_an_image"


def test_a_photo_that_waits_for_intake_is_explained() -> None:
    harness = Harness(limit=Decimal(0))
    job = harness.send(harness.upload())
    assert (job.reason, job.decision) == (Reason.SPEND_LIMIT, "waits for intake: spend_limit")


def test_a_lost_write_is_nobodys_decision() -> None:
    """Where the item cannot be saved, no decision of it is left behind: the next try decides anew."""
    harness = Harness()
    harness.faults = [Fault(429)]
    upload = harness.upload()
    harness.broken["jobs.save"] = Transient("DynamoDB throttled")
    with pytest.raises(Transient):
        harness.submit.handle(upload, harness.clock.monotonic() + 30.0)
    assert not harness.jobs.jobs


def test_a_run_opens_the_intake_though_its_save_conflicts(monkeypatch: Any) -> None:
    harness = Harness()
    harness.faults = [Fault(402)]
    harness.send(harness.upload())
    harness.wait(61.0)
    harness.sweep()
    save = harness.jobs.save
    failed: list[Any] = []

    def once(before: Any, after: Any, **named: Any) -> tuple[str, ...]:
        if after.state is State.SUBMITTED and not failed:
            failed.append(after)
            raise Conflict("another worker saved the job")
        return save(before, after, **named)

    monkeypatch.setattr(harness.jobs, "save", once)
    harness.send_to(harness.job)
    assert failed
    assert harness.job.run_id == harness.run.run_id
    assert harness.jobs.intake().state == "draining"
