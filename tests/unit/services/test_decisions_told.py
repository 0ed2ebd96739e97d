"""Whatever moves a job leaves its decision on the item, and one line with the job's id, once it is saved."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from detag.domain.decisions import Step, after_run
from detag.domain.job import Illegal, Job, State
from detag.domain.metrics import Metric
from detag.domain.reasons import Reason
from detag.domain.runs import Run, RunStatus
from detag.ports.errors import Conflict, Transient
from detag.ports.runs import Unauthorized
from detag.ports.runs_fake import Ending, Fault
from tests.unit.services.harness import Harness, submitted
from tests.unit.services.test_late_results import PERMANENT, live_on


def lines(harness: Harness, message: str) -> list[Any]:
    """What the lines with a message say, each of them of the one job."""
    found = [line for line in harness.telemetry.lines if line.message == message]
    assert {line.fields["job_id"] for line in found} <= {harness.job.job_id}
    return [line.fields.get("why") for line in found]


def out_of_credit() -> Harness:
    """A harness with one photo that waits for intake, which learnt its reason from it."""
    harness = Harness()
    harness.faults = [Fault(402)]
    job = harness.send(harness.upload())
    assert job.decision == "waits for intake: out_of_credit, Runflow answered 402"
    return harness


def test_a_release_is_told() -> None:
    harness = out_of_credit()
    harness.wait(61.0)
    harness.sweep()
    assert (harness.job.reason, harness.job.decision) == (
        Reason.READY,
        "released: it tests a paused intake: out_of_credit",
    )
    assert lines(harness, "released") == ["it tests a paused intake: out_of_credit"]


def test_a_claim_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = out_of_credit()
    harness.wait(61.0)
    harness.sweep()
    seen: list[Job] = []
    create = harness.runs.create

    def watched(*given: Any) -> Any:
        seen.append(harness.job)
        return create(*given)

    monkeypatch.setattr(harness.runs, "create", watched)
    harness.send_to(harness.job)
    assert [(job.state, job.decision) for job in seen] == [(State.SUBMITTING, "sending: submission 2")]
    assert lines(harness, "sending") == ["submission 1", "submission 2"]


def test_a_job_that_comes_due_is_told() -> None:
    harness = Harness()
    harness.faults = [Fault(429)]
    harness.send(harness.upload())
    harness.wait(901.0)
    assert harness.sweep()["resumed"] == 1
    assert harness.job.decision == "sent to submit: due, rate_limited"
    assert lines(harness, "sent to submit") == ["due, rate_limited"]


def test_what_is_published_late_is_told() -> None:
    """The item keeps why its photo was given up."""
    harness = submitted(Ending(status="canceled"))
    harness.wait(60.0)
    harness.broken["photos.put_record"] = Transient("S3 throttled")
    assert harness.arrive().decision == "not tried again: cancelled at Runflow"
    assert lines(harness, "published later") == ["failed: record"]
    harness.wait(301.0)
    harness.sweep()
    assert lines(harness, "sent to deliver") == ["still to be published: record"]
    harness.broken.clear()
    harness.arrive()
    assert lines(harness, "published") == [""]
    assert (harness.job.pending, harness.job.decision) == ((), "not tried again: cancelled at Runflow")


def test_a_run_that_cannot_be_read_yet_is_told() -> None:
    """An unconfirmed job, and a callback for it while Runflow does not answer."""
    harness = Harness()
    harness.faults = [Fault(500)]
    job = harness.send(harness.upload())
    assert job.reason is Reason.UNCONFIRMED
    harness.broken["runs.get"] = Unauthorized("401")
    before = len(harness.telemetry.lines)
    harness.give({"job_id": job.job_id, "run_id": "run-of-nobody", "status": "succeeded"})
    (line,) = harness.telemetry.lines[before:]
    assert (line.message, line.fields["job_id"]) == ("run noted", job.job_id)
    assert (harness.job.unknown_runs, harness.job.due_at) == (("run-of-nobody",), job.due_at)


def test_a_write_conflict_leaves_no_decision_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is told or counted that did not happen; intake is paused all the same, as Runflow's answer was real."""
    harness = Harness()
    harness.faults = [Fault(402)]
    save = harness.jobs.save

    def conflicting(before: Job, after: Job, **named: Any) -> tuple[str, ...]:
        if after.reason is Reason.OUT_OF_CREDIT:
            raise Conflict("another worker saved the job")
        return save(before, after, **named)

    monkeypatch.setattr(harness.jobs, "save", conflicting)
    harness.send(harness.upload())
    assert lines(harness, "sending") == ["submission 1"]
    assert lines(harness, "waits for intake") == []
    assert harness.jobs.intake().reason is Reason.OUT_OF_CREDIT


def test_a_count_follows_its_save(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = submitted(Ending())
    harness.wait(60.0)

    def conflicting(*_: Any, **__: Any) -> None:
        raise Conflict("another worker saved the job")

    monkeypatch.setattr(harness.jobs, "save", conflicting)
    with pytest.raises(Transient, match="contended"):
        harness.arrive()
    assert Metric.DELIVERED not in harness.telemetry.counts
    assert lines(harness, "delivered") == lines(harness, "job closed") == []


def test_reconcile_closes_no_job() -> None:
    """It may not publish: a step that closes would be a bug, and raises before anything is saved."""
    harness = submitted()
    job = harness.job
    run = Run(job.run_id or "", RunStatus.CANCELLED)
    step = after_run(job, run, now=harness.clock.time, max_attempts=3, run_timeout_hours=24, uniform=max)
    assert isinstance(step, Step)
    with pytest.raises(Illegal, match="publishes nothing"):
        harness.reconcile._steps.take(job, step)
    assert harness.job == job


@pytest.mark.parametrize(
    ("ending", "why"),
    [
        (Ending(status="failed", cost=Decimal("0.14"), code="X"), "not tried again: charged"),
        (PERMANENT, "not tried again: the same photo would fail again"),
    ],
)
def test_asking_later_keeps_why_a_photo_failed(ending: Ending, why: str) -> None:
    """Its run is asked for once more, for a week: what a person asks of the photo is why it was given up."""
    harness = submitted(ending)
    harness.wait(60.0)
    assert harness.arrive().decision == why
    for hours in (2, 20, 150):
        live_on(harness, hours)
        assert harness.job.decision == why
        assert {one["decision"] for one in harness.reconcile.report()["failed_today"]} <= {why}
    assert len(lines(harness, "asked again later")) > 2
    assert len(lines(harness, "not asked again")) == 1
