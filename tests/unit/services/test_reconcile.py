"""`reconcile`: what is due, what is held, and the report."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from detag.domain.intake import PROBE_LEASE_SECONDS
from detag.domain.job import Job, Reason, State
from detag.ports.errors import Transient
from detag.ports.runs_fake import Ending, Fault
from detag.services.reconcile import LIST_FROM, MAX_ASKED, REDELIVER_SECONDS, REDUE_SECONDS
from tests.unit.services.shop import PRICE, Shop, submitted

ENDLESS = Ending(seconds=math.inf)


def uploads(shop: Shop, count: int, *, apart: float = 0.0) -> list[Job]:
    """So many photos, handled by `submit` one after the other; their rows."""
    for number in range(count):
        shop.submit.handle(shop.upload(f"{number:03}.jpg"), shop.clock.monotonic() + 30.0)
        shop.clock.advance(apart)
    return list(shop.jobs.jobs.values())


def sent(shop: Shop) -> list[str]:
    """Job ids that were sent to `submit`."""
    ids = [message["job_id"] for message in shop.uploads.sent]
    shop.uploads.sent.clear()
    return ids


# What is due


def test_nothing_to_do_is_done_with_three_reads_and_one_metric() -> None:
    shop = Shop()
    assert set(shop.sweep().values()) == {0}
    assert shop.telemetry.counts["GateHeld"] == 0 and "GateHeld" in shop.telemetry.counts
    assert not [call for call in shop.calls if call.startswith(("queue", "runs"))]


def test_an_interrupted_submission_is_resumed_and_claimed_before_it_is_sent() -> None:
    shop = Shop()
    shop.faults = [Fault(500)]
    job = shop.send(shop.upload())
    shop.wait(631.0)
    shop.calls.clear()
    assert shop.sweep()["resumed"] == 1
    assert sent(shop) == [job.job_id]
    assert shop.calls.index("jobs.save") < shop.calls.index("queue.uploads.send")
    assert shop.job.due_at == shop.clock.now() + REDUE_SECONDS
    assert shop.sweep()["resumed"] == 0, "the next minute does not send it again"
    shop.wait(REDUE_SECONDS)
    assert shop.sweep()["resumed"] == 1, "its message may have been lost"


def test_a_job_whose_message_could_not_be_sent_comes_due_again() -> None:
    shop = Shop()
    shop.faults = [Fault(500)]
    shop.send(shop.upload())
    shop.wait(631.0)
    shop.broken["queue.uploads.send"] = Transient("SQS throttled")
    with pytest.raises(Transient):
        shop.sweep()
    shop.broken.clear()
    shop.wait(REDUE_SECONDS)
    assert shop.sweep()["resumed"] == 1


def test_a_stale_index_moves_nothing() -> None:
    shop = submitted(ENDLESS)
    shop.wait(301.0)
    stale = shop.jobs.due(shop.clock.now(), 10)
    shop.sweep()
    before = shop.job
    shop.jobs.due = lambda now, limit: stale  # type: ignore[method-assign]
    assert shop.sweep()["still_running"] == 0
    assert shop.job == before


def test_a_row_that_moves_meanwhile_is_left_to_whoever_moved_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop()
    shop.faults = [Fault(500)]
    shop.send(shop.upload())
    shop.wait(631.0)
    real = shop.jobs.get

    def get(job_id: str) -> Job | None:
        job = real(job_id)
        if job is not None:
            shop.jobs.jobs[job_id] = replace(job, version=job.version + 1)
        return job

    monkeypatch.setattr(shop.jobs, "get", get)
    assert shop.sweep()["resumed"] == 0
    assert sent(shop) == []


def test_an_overdue_run_that_has_ended_goes_to_deliver_and_one_that_still_works_is_looked_at_later() -> None:
    shop = Shop()
    shop.endings = [Ending(), ENDLESS]
    done, running = uploads(shop, 2)
    shop.wait(301.0)
    assert shop.sweep() == {"released": 0, "resumed": 0, "sent_to_deliver": 1, "still_running": 1}
    assert shop.results.sent == [{"job_id": done.job_id, "run_id": done.run_id}]
    assert shop.jobs.jobs[done.job_id].due_at == shop.clock.now() + REDELIVER_SECONDS
    assert shop.jobs.jobs[running.job_id].due_at == shop.clock.now() + 60.0


@pytest.mark.parametrize("unknown", [True, False])
def test_a_run_that_is_unknown_or_late_goes_to_deliver_which_closes_it(unknown: bool) -> None:
    shop = submitted(ENDLESS)
    shop.run.lost = unknown
    shop.wait(301.0 if unknown else 24 * 3600.0 + 1)
    assert shop.sweep()["sent_to_deliver"] == 1


def test_many_overdue_runs_are_read_off_the_list_page_by_page() -> None:
    shop = Shop()
    shop.endings = [ENDLESS] * LIST_FROM
    shop.runs.habits.page_limit = 20
    uploads(shop, LIST_FROM)
    shop.wait(301.0)
    shop.calls.clear()
    assert shop.sweep()["still_running"] == LIST_FROM
    assert (shop.calls.count("runs.page"), shop.calls.count("runs.get")) == (3, 0)


def test_what_the_list_does_not_show_is_asked_for_up_to_a_bound() -> None:
    shop = Shop()
    count = MAX_ASKED + 20
    shop.endings = [ENDLESS] * count
    uploads(shop, count)
    shop.runs.habits.visible_after = math.inf
    shop.wait(301.0)
    shop.calls.clear()
    assert shop.sweep()["still_running"] == MAX_ASKED
    assert shop.calls.count("runs.get") == MAX_ASKED
    assert shop.sweep()["still_running"] == 20


def test_while_runflow_cannot_be_asked_overdue_runs_stay_due() -> None:
    shop = submitted()
    shop.wait(301.0)
    shop.broken["runs.get"] = Transient("Runflow answered 503")
    assert shop.sweep()["sent_to_deliver"] == 0
    shop.broken.clear()
    assert shop.sweep()["sent_to_deliver"] == 1


def test_what_a_closed_job_owes_is_sent_for() -> None:
    shop = submitted()
    shop.wait(60.0)
    shop.broken["events.publish"] = Transient("EventBridge throttled")
    job = shop.arrive()
    shop.broken.clear()
    shop.wait(301.0)
    assert shop.sweep()["sent_to_deliver"] == 1
    assert shop.results.sent == [{"job_id": job.job_id, "run_id": job.run_id}]
    shop.deliver.handle(shop.results.sent.pop())
    assert (shop.job.pending, shop.job.due_at) == ((), None)


def test_with_no_time_left_it_stops_between_two_jobs() -> None:
    shop = Shop()
    shop.faults = [Fault(500)] * 2
    uploads(shop, 2)
    shop.wait(631.0)
    assert shop.reconcile.sweep(shop.clock.monotonic() + 5.0)["resumed"] == 0


# The intake


def held(shop: Shop, count: int) -> list[Job]:
    """So many photos in line, oldest first."""
    jobs = uploads(shop, count, apart=1.0)
    assert all(job.waits_for_intake for job in jobs)
    return jobs


def test_a_raised_limit_releases_the_oldest_as_many_as_there_is_room_for() -> None:
    shop = Shop(limit=Decimal(0))
    jobs = held(shop, 5)
    shop.jobs.operator = replace(shop.jobs.operator, limit_usd=str(PRICE * 3))
    assert shop.sweep()["released"] == 3
    assert sent(shop) == [job.job_id for job in jobs[:3]]
    assert shop.jobs.intake().draining, "the line goes first, newcomers join its end"
    shop.submit.handle(shop.upload("new.jpg"), shop.clock.monotonic() + 30.0)
    assert [job.state for job in shop.jobs.jobs.values()][-1] is State.WAITING


def test_an_empty_line_opens_a_draining_gate() -> None:
    shop = Shop(limit=Decimal(0))
    (job,) = held(shop, 1)
    shop.jobs.operator = replace(shop.jobs.operator, limit_usd="none")
    shop.sweep()
    shop.send({"job_id": job.job_id})
    shop.sweep()
    assert shop.jobs.intake().reason is None


def test_midnight_is_a_new_day_for_the_line() -> None:
    shop = Shop(limit=PRICE)
    first, second = uploads(shop, 2)
    assert (first.state, second.reason) == (State.SUBMITTED, Reason.SPEND_LIMIT)
    assert shop.sweep()["released"] == 0
    shop.wait(86_400.0 - shop.clock.now() % 86_400)
    assert shop.sweep()["released"] == 1


@pytest.mark.parametrize("reason", ["credit", "key_good"])
def test_an_automatic_gate_is_tested_by_the_oldest_photo_and_by_one_at_a_time(reason: str) -> None:
    shop = Shop()
    setattr(shop.runs.habits, reason, Decimal(0) if reason == "credit" else False)
    jobs = held(shop, 3)
    assert shop.sweep()["released"] == 0, "not at once"
    shop.wait(60.0)
    assert shop.sweep()["released"] == 1
    assert sent(shop) == [jobs[0].job_id]
    shop.wait(60.0)
    assert shop.sweep()["released"] == 0, "the first has not answered yet"
    shop.send_to(jobs[0])
    assert shop.jobs.intake().probe_job is None
    assert shop.jobs.intake().probe_at > shop.clock.now() + 100.0, "later each time"
    setattr(shop.runs.habits, reason, None if reason == "credit" else True)
    shop.wait(900.0)
    shop.sweep()
    shop.send_to(jobs[0])
    assert shop.jobs.intake().draining
    assert shop.sweep()["released"] == 2


def test_a_probe_that_never_answers_gives_way_to_another() -> None:
    shop = Shop()
    shop.runs.habits.key_good = False
    held(shop, 2)
    shop.wait(60.0)
    shop.sweep()
    first = shop.jobs.intake().probe_job
    shop.wait(PROBE_LEASE_SECONDS)
    shop.sweep()
    assert shop.jobs.intake().probe_job not in (None, first)


def test_nobody_in_line_makes_the_next_photo_the_probe_but_a_stale_index_does_not() -> None:
    shop = Shop()
    shop.runs.habits.key_good = False
    held(shop, 1)
    shop.wait(60.0)
    line = shop.jobs.waiting_for_intake
    shop.jobs.waiting_for_intake = lambda limit: ["0" * 32]  # type: ignore[method-assign]
    shop.sweep()
    assert shop.jobs.intake().reason is Reason.UNAUTHORIZED
    shop.jobs.waiting_for_intake = lambda limit: []  # type: ignore[method-assign]
    shop.sweep()
    assert shop.jobs.intake().reason is None
    shop.jobs.waiting_for_intake = line  # type: ignore[method-assign]


def pause(shop: Shop, paused: bool | None) -> None:
    shop.jobs.operator = replace(shop.jobs.operator, paused=paused)


def test_a_pause_closes_the_gate_and_its_end_opens_it() -> None:
    shop = Shop()
    pause(shop, True)
    shop.sweep()
    assert shop.jobs.intake().reason is Reason.PAUSED
    held(shop, 2)
    assert shop.sweep()["released"] == 0
    assert shop.telemetry.counts["GateHeld"] == 2
    pause(shop, None)
    assert shop.sweep()["released"] == 2


def configure(shop: Shop) -> None:
    shop.runs.habits.configured = True


@pytest.mark.parametrize("lift", [configure])
def test_a_key_that_is_stored_at_last_lifts_the_gate_without_a_probe(lift: Callable[[Shop], None]) -> None:
    shop = Shop()
    shop.runs.habits.configured = False
    held(shop, 2)
    assert shop.sweep()["released"] == 0
    lift(shop)
    assert shop.sweep()["released"] == 2


def test_two_rounds_at_the_same_time_release_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(limit=Decimal(0))
    held(shop, 3)
    shop.jobs.operator = replace(shop.jobs.operator, limit_usd="none")
    real = shop.jobs.waiting_for_intake

    def interrupted(limit: int) -> list[str]:
        line = real(limit)
        monkeypatch.setattr(shop.jobs, "waiting_for_intake", real)
        shop.sweep()
        return line

    monkeypatch.setattr(shop.jobs, "waiting_for_intake", interrupted)
    shop.sweep()
    assert len(sent(shop)) == 3


# The report


def test_the_report_tells_how_things_stand_and_what_to_do() -> None:
    shop = Shop(limit=PRICE * 2)
    uploads(shop, 3)
    shop.wait(60.0)
    done = next(iter(shop.jobs.jobs.values()))
    shop.deliver.handle({"job_id": done.job_id, "run_id": done.run_id})
    report = shop.reconcile.report()
    assert report["open"] == {"submitted": 1, "waiting/spend_limit": 1}
    assert report["closed_today"] == {"delivered": 1}
    assert report["intake"]["why"] == "spend_limit" and report["intake"]["held"]
    assert report["intake"]["waiting"] == {"spend_limit": 1}
    assert report["intake"]["what_to_do"]
    assert report["spend_today"] == {"day": "2026-11-23", "images": 2, "usd": "0.28", "limit_usd": "0.28"}


def test_the_report_of_a_quiet_day_names_no_limit() -> None:
    report = Shop().reconcile.report()
    assert report["intake"]["held"] is False
    assert report["spend_today"]["limit_usd"] == "none"
