"""`reconcile`: what is due, what waits for intake, and the report."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from detag.domain.decisions import DOWN_AFTER
from detag.domain.job import Job, State, Trouble
from detag.domain.reasons import Reason
from detag.domain.runs import Run
from detag.domain.waits import LATE_RESULT, PROBE_LEASE, REDELIVER, RESUME
from detag.ports.errors import Transient
from detag.ports.runs import NotConfigured, RunPage, Unauthorized
from detag.ports.runs_fake import Ending, Fault
from detag.services.reconcile import LIST_FROM, MAX_ASKED
from tests.unit.services.harness import PRICE, Harness, submitted

ENDLESS = Ending(seconds=math.inf)


def uploads(harness: Harness, count: int, *, apart: float = 0.0) -> list[Job]:
    """So many photos, handled by `submit` one after the other; their jobs."""
    for number in range(count):
        harness.submit.handle(harness.upload(f"{number:03}.jpg"), harness.clock.monotonic() + 30.0)
        harness.clock.advance(apart)
    return list(harness.jobs.jobs.values())


def sent(harness: Harness) -> list[str]:
    """Job ids that were sent to `submit`."""
    ids = [message["job_id"] for message in harness.uploads.sent]
    harness.uploads.sent.clear()
    return ids


# What is due


def test_nothing_to_do_is_done_with_three_reads_and_one_metric() -> None:
    harness = Harness()
    assert set(harness.sweep().values()) == {0}
    assert harness.telemetry.counts["GateHeld"] == 0 and "GateHeld" in harness.telemetry.counts
    assert not [call for call in harness.calls if call.startswith(("queue", "runs"))]


def test_an_interrupted_submission_is_resumed() -> None:
    """An interrupted submission is resumed, and claimed before it is sent to the queue."""
    harness = Harness()
    harness.faults = [Fault(500)]
    job = harness.send(harness.upload())
    harness.wait(631.0)
    harness.calls.clear()
    assert harness.sweep()["resumed"] == 1
    assert sent(harness) == [job.job_id]
    assert harness.calls.index("jobs.save") < harness.calls.index("queue.uploads.send")
    assert harness.job.due_at == harness.clock.now() + RESUME.seconds
    assert harness.sweep()["resumed"] == 0, "the next minute does not send it again"
    harness.wait(RESUME.seconds)
    assert harness.sweep()["resumed"] == 1, "its message may have been lost"


def test_a_job_whose_message_could_not_be_sent_comes_due_again() -> None:
    harness = Harness()
    harness.faults = [Fault(500)]
    harness.send(harness.upload())
    harness.wait(631.0)
    harness.broken["queue.uploads.send"] = Transient("SQS throttled")
    with pytest.raises(Transient):
        harness.sweep()
    harness.broken.clear()
    harness.wait(RESUME.seconds)
    assert harness.sweep()["resumed"] == 1


def test_a_stale_index_moves_nothing() -> None:
    harness = submitted(ENDLESS)
    harness.wait(301.0)
    stale = harness.jobs.due(harness.clock.now(), 10)
    harness.sweep()
    before = harness.job
    harness.jobs.due = lambda now, limit: stale  # type: ignore[method-assign]
    assert harness.sweep()["still_running"] == 0
    assert harness.job == before


def test_a_write_conflict_leaves_the_job_to_the_other_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    harness.faults = [Fault(500)]
    harness.send(harness.upload())
    harness.wait(631.0)
    real = harness.jobs.get

    def get(job_id: str) -> Job | None:
        job = real(job_id)
        if job is not None:
            harness.jobs.jobs[job_id] = replace(job, version=job.version + 1)
        return job

    monkeypatch.setattr(harness.jobs, "get", get)
    assert harness.sweep()["resumed"] == 0
    assert sent(harness) == []


def test_an_overdue_run_that_has_ended_goes_to_deliver() -> None:
    """An overdue run that has ended goes to deliver, and one that still works is polled later."""
    harness = Harness()
    harness.endings = [Ending(), ENDLESS]
    done, running = uploads(harness, 2)
    harness.wait(301.0)
    assert harness.sweep() == {
        "released": 0,
        "resumed": 0,
        "sent_to_deliver": 1,
        "still_running": 1,
        "recovered": 0,
    }
    assert harness.results.sent == [{"job_id": done.job_id, "run_id": done.run_id}]
    assert harness.jobs.jobs[done.job_id].due_at == harness.clock.now() + REDELIVER.seconds
    assert harness.jobs.jobs[running.job_id].due_at == harness.clock.now() + 60.0


@pytest.mark.parametrize("unknown", [True, False])
def test_a_run_that_is_unknown_or_late_goes_to_deliver(unknown: bool) -> None:
    """A run that is unknown to Runflow, or late, goes to deliver, which closes its job."""
    harness = submitted(ENDLESS)
    harness.run.lost = unknown
    harness.wait(301.0 if unknown else 24 * 3600.0 + 1)
    assert harness.sweep()["sent_to_deliver"] == 1


def many_overdue() -> Harness:
    """So many endless runs are overdue that the run list is read, by pages of twenty."""
    harness = Harness()
    harness.endings = [ENDLESS] * LIST_FROM
    harness.runs.habits.page_limit = 20
    uploads(harness, LIST_FROM)
    harness.wait(301.0)
    harness.calls.clear()
    return harness


def test_many_overdue_runs_are_read_from_the_list_by_pages() -> None:
    harness = many_overdue()
    assert harness.sweep()["still_running"] == LIST_FROM
    assert (harness.calls.count("runs.page"), harness.calls.count("runs.get")) == (3, 0)


def test_what_the_list_does_not_show_is_asked_for_up_to_a_bound() -> None:
    harness = Harness()
    count = MAX_ASKED + 20
    harness.endings = [ENDLESS] * count
    uploads(harness, count)
    harness.runs.habits.visible_after = math.inf
    harness.wait(301.0)
    harness.calls.clear()
    assert harness.sweep()["still_running"] == MAX_ASKED
    assert harness.calls.count("runs.get") == MAX_ASKED
    assert harness.sweep()["still_running"] == 20


def unread(harness: Harness, monkeypatch: pytest.MonkeyPatch, run_ids: Collection[str | None]) -> list[str]:
    """Runflow cannot show these runs; every run that is asked for from now on."""
    real, asked = harness.runs.get, list[str]()

    def get(run_id: str, *, signed: bool = True, account: tuple[str, ...] | None = None) -> Run | None:
        asked.append(run_id)
        if run_id in run_ids:
            raise Transient("Runflow answered 500")
        return real(run_id, signed=signed, account=account)

    monkeypatch.setattr(harness.runs, "get", get)
    return asked


@pytest.mark.parametrize("error", [Transient("Runflow answered 503"), Unauthorized("403"), NotConfigured("no key")])
def test_a_run_that_cannot_be_read_is_asked_for_again(error: Exception) -> None:
    """It stays open, and its item says since when; once Runflow answers, it goes on."""
    harness = submitted()
    harness.wait(301.0)
    harness.broken["runs.get"] = error
    first = harness.clock.now()
    assert harness.sweep()["still_running"] == 1
    assert harness.job.due_at == first + 60.0
    harness.wait(61.0)
    assert harness.sweep()["still_running"] == 1
    assert harness.job.due_at == harness.clock.now() + 120.0
    assert dict(harness.job.troubles) == {Trouble.UNREADABLE: first}
    harness.broken.clear()
    harness.wait(121.0)
    assert harness.sweep()["sent_to_deliver"] == 1


def test_a_run_that_could_be_read_again_is_not_in_trouble() -> None:
    harness = submitted(ENDLESS)
    harness.wait(301.0)
    harness.broken["runs.get"] = Transient("Runflow answered 503")
    harness.sweep()
    harness.broken.clear()
    harness.wait(61.0)
    harness.sweep()
    assert harness.job.troubles == ()


def test_a_run_that_nobody_could_read_for_a_week_is_given_up() -> None:
    """Reconcile hands it over after seven days, not earlier, and `deliver` ends it as `undeliverable`."""
    harness = submitted()
    harness.wait(301.0)
    harness.broken["runs.get"] = Transient("Runflow answered 500")
    harness.sweep()
    harness.wait(LATE_RESULT.seconds - 10.0)
    assert harness.sweep()["still_running"] == 1
    harness.wait(3_600.0)
    assert harness.sweep()["sent_to_deliver"] == 1
    assert harness.job.state is State.SUBMITTED
    harness.give(harness.results.sent.pop())
    assert harness.job.reason is Reason.UNDELIVERABLE
    assert [detail["state"] for _, detail in harness.events.published] == ["failed"]


def test_one_run_that_cannot_be_read_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    jobs = uploads(harness, 5)
    harness.wait(301.0)
    asked = unread(harness, monkeypatch, [jobs[0].run_id, jobs[2].run_id])
    done = harness.sweep()
    assert (done["sent_to_deliver"], done["still_running"]) == (3, 2)
    assert len(asked) == 5


def test_several_in_a_row_end_the_minute_and_go_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage costs few calls a minute, and every run gets its turn."""
    harness = Harness()
    jobs = uploads(harness, 7, apart=1.0)
    harness.wait(301.0)
    asked = unread(harness, monkeypatch, [job.run_id for job in jobs])
    for _ in range(3):
        harness.sweep()
        harness.wait(1.0)
    assert asked == [job.run_id for job in jobs], "each once"
    harness.wait(61.0)
    harness.sweep()
    assert asked[7:] == [job.run_id for job in jobs[:DOWN_AFTER]]


@pytest.mark.parametrize("error", [Transient("unreadable"), Unauthorized("403")])
def test_without_the_run_list_each_run_is_asked_for(error: Exception) -> None:
    harness = many_overdue()
    harness.broken["runs.page"] = error
    assert harness.sweep()["still_running"] == LIST_FROM
    assert harness.calls.count("runs.get") == LIST_FROM


def test_what_the_run_list_showed_before_it_failed_counts() -> None:
    harness = many_overdue()
    real = harness.runs.page

    def page(cursor: str | None = None, account: tuple[str, ...] | None = None) -> RunPage:
        if cursor is not None:
            raise Transient("Runflow answered 500")
        return real(cursor, account)

    harness.runs.page = page  # type: ignore[method-assign]
    assert harness.sweep()["still_running"] == LIST_FROM
    assert harness.calls.count("runs.get") == LIST_FROM - 20


def test_messages_are_sent_although_the_job_table_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    first, _ = uploads(harness, 2)
    harness.wait(301.0)
    real = harness.jobs.save

    def save(before: Job, after: Job, **conditions: Any) -> tuple[str, ...]:
        if before.job_id != first.job_id:
            raise Transient("DynamoDB throttled")
        return real(before, after, **conditions)

    monkeypatch.setattr(harness.jobs, "save", save)
    assert harness.sweep()["sent_to_deliver"] == 1
    assert harness.results.sent == [{"job_id": first.job_id, "run_id": first.run_id}]


def test_what_a_closed_job_has_pending_is_sent_to_deliver() -> None:
    harness = submitted()
    harness.wait(60.0)
    harness.broken["events.publish"] = Transient("EventBridge throttled")
    job = harness.arrive()
    harness.broken.clear()
    harness.wait(301.0)
    assert harness.sweep()["sent_to_deliver"] == 1
    assert harness.results.sent == [{"job_id": job.job_id, "run_id": job.run_id}]
    harness.give(harness.results.sent.pop())
    assert (harness.job.pending, harness.job.due_at) == ((), None)


def test_with_no_time_left_it_stops_between_two_jobs() -> None:
    harness = Harness()
    harness.faults = [Fault(500)] * 2
    uploads(harness, 2)
    harness.wait(631.0)
    assert harness.reconcile.sweep(harness.clock.monotonic() + 5.0)["resumed"] == 0


# The intake


def waiting(harness: Harness, count: int) -> list[Job]:
    """So many photos that wait for intake, oldest first."""
    jobs = uploads(harness, count, apart=1.0)
    assert all(job.waits_for_intake for job in jobs)
    return jobs


def test_a_raised_limit_releases_the_oldest() -> None:
    """A raised limit releases the oldest photos, as many as there are images left."""
    harness = Harness(limit=Decimal(0))
    jobs = waiting(harness, 5)
    harness.jobs.operator = replace(harness.jobs.operator, limit_usd=str(PRICE * 3))
    assert harness.sweep()["released"] == 3
    assert sent(harness) == [job.job_id for job in jobs[:3]]
    assert harness.jobs.intake().draining, "waiting photos go first, new ones join the end"
    harness.submit.handle(harness.upload("new.jpg"), harness.clock.monotonic() + 30.0)
    assert [job.state for job in harness.jobs.jobs.values()][-1] is State.WAITING


def test_a_draining_intake_opens_once_nobody_waits() -> None:
    harness = Harness(limit=Decimal(0))
    (job,) = waiting(harness, 1)
    harness.jobs.operator = replace(harness.jobs.operator, limit_usd="none")
    harness.sweep()
    harness.send({"job_id": job.job_id})
    harness.sweep()
    assert harness.jobs.intake().reason is None


def test_midnight_releases_photos_that_wait_for_the_limit() -> None:
    harness = Harness(limit=PRICE)
    first, second = uploads(harness, 2)
    assert (first.state, second.reason) == (State.SUBMITTED, Reason.SPEND_LIMIT)
    assert harness.sweep()["released"] == 0
    harness.wait(86_400.0 - harness.clock.now() % 86_400)
    assert harness.sweep()["released"] == 1


@pytest.mark.parametrize("reason", ["credit", "key_good"])
def test_an_automatic_pause_is_probed_by_one_photo_at_a_time(reason: str) -> None:
    """An automatic pause is probed by the oldest photo, then by another, and by one at a time."""
    harness = Harness()
    setattr(harness.runs.habits, reason, Decimal(0) if reason == "credit" else False)
    jobs = waiting(harness, 3)
    assert harness.sweep()["released"] == 0, "not at once"
    harness.wait(60.0)
    assert harness.sweep()["released"] == 1
    assert sent(harness) == [jobs[0].job_id]
    harness.wait(60.0)
    assert harness.sweep()["released"] == 0, "the first has not answered yet"
    harness.send_to(jobs[0])
    assert harness.jobs.intake().probe_job is None
    assert harness.jobs.intake().probe_at > harness.clock.now() + 100.0, "later each time"
    setattr(harness.runs.habits, reason, None if reason == "credit" else True)
    harness.wait(900.0)
    harness.sweep()
    assert harness.jobs.intake().probe_job == jobs[1].job_id, "another each time"
    harness.send_to(jobs[1])
    assert harness.jobs.intake().draining
    assert harness.sweep()["released"] == 2


def test_a_probe_that_never_answers_gives_way_to_another() -> None:
    harness = Harness()
    harness.runs.habits.key_good = False
    waiting(harness, 2)
    harness.wait(60.0)
    harness.sweep()
    first = harness.jobs.intake().probe_job
    harness.wait(PROBE_LEASE.seconds)
    harness.sweep()
    assert harness.jobs.intake().probe_job not in (None, first)


def test_with_nobody_waiting_the_next_photo_is_the_probe() -> None:
    """If nobody waits for intake it opens, and the next photo is the probe; but a stale index does not open it."""
    harness = Harness()
    harness.runs.habits.key_good = False
    waiting(harness, 1)
    harness.wait(60.0)
    waiting_for_intake = harness.jobs.waiting_for_intake
    harness.jobs.waiting_for_intake = lambda now, limit: ["0" * 32]  # type: ignore[method-assign]
    harness.sweep()
    assert harness.jobs.intake().reason is Reason.UNAUTHORIZED
    harness.jobs.waiting_for_intake = lambda now, limit: []  # type: ignore[method-assign]
    harness.sweep()
    assert harness.jobs.intake().reason is None
    harness.jobs.waiting_for_intake = waiting_for_intake  # type: ignore[method-assign]


def pause(harness: Harness, paused: bool | None) -> None:
    harness.jobs.operator = replace(harness.jobs.operator, paused=paused)


def test_an_operators_pause_pauses_intake_until_it_is_lifted() -> None:
    harness = Harness()
    pause(harness, True)
    harness.sweep()
    assert harness.jobs.intake().reason is Reason.PAUSED
    waiting(harness, 2)
    assert harness.sweep()["released"] == 0
    assert harness.telemetry.counts["GateHeld"] == 2
    pause(harness, None)
    assert harness.sweep()["released"] == 2


def configure(harness: Harness) -> None:
    harness.runs.habits.configured = True


@pytest.mark.parametrize("lift", [configure])
def test_a_key_stored_at_last_reopens_intake_without_a_probe(lift: Callable[[Harness], None]) -> None:
    harness = Harness()
    harness.runs.habits.configured = False
    waiting(harness, 2)
    assert harness.sweep()["released"] == 0
    lift(harness)
    assert harness.sweep()["released"] == 2


def test_two_rounds_at_the_same_time_release_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness(limit=Decimal(0))
    waiting(harness, 3)
    harness.jobs.operator = replace(harness.jobs.operator, limit_usd="none")
    real = harness.jobs.waiting_for_intake

    def interrupted(now: float, limit: int) -> list[str]:
        waiting_for_intake = real(now, limit)
        monkeypatch.setattr(harness.jobs, "waiting_for_intake", real)
        harness.sweep()
        return waiting_for_intake

    monkeypatch.setattr(harness.jobs, "waiting_for_intake", interrupted)
    harness.sweep()
    assert len(sent(harness)) == 3


# The report


def test_the_report_says_how_things_stand_and_what_to_do() -> None:
    harness = Harness(limit=PRICE * 2)
    uploads(harness, 3)
    harness.wait(60.0)
    done = next(iter(harness.jobs.jobs.values()))
    harness.give({"job_id": done.job_id, "run_id": done.run_id})
    report = harness.reconcile.report()
    assert report["open"] == {"submitted": 1, "waiting/spend_limit": 1}
    assert report["closed_today"] == {"delivered": 1}
    assert report["intake"]["why"] == "spend_limit" and report["intake"]["state"] == "paused"
    assert report["intake"]["waiting"] == {"spend_limit": 1}
    assert report["intake"]["what_to_do"]
    assert report["spend_today"] == {
        "day": "2026-11-23",
        "usd": "0.28",
        "limit_usd": "0.28",
        "reused": 0,
        "not_spent_usd": "0.00",
    }


def test_the_report_of_a_quiet_day_names_no_limit() -> None:
    report = Harness().reconcile.report()
    assert report["intake"]["state"] == "open"
    assert report["spend_today"]["limit_usd"] == "none"


def test_an_answer_in_between_is_no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only failures in a row end the minute."""
    harness = Harness()
    jobs = uploads(harness, 5, apart=1.0)
    harness.wait(301.0)
    asked = unread(harness, monkeypatch, [jobs[number].run_id for number in (0, 1, 3, 4)])
    harness.sweep()
    assert len(asked) == 5
