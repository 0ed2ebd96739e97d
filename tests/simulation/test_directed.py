"""What the simulation draws too seldom, or what lies beyond its assumptions: one world each, told step by step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from detag.domain.job import Job, Reason, State
from detag.domain.money import day_of, used_images
from detag.ports.errors import Transient
from detag.ports.runs_fake import PRICE, Ending, Fault
from detag.services.callback import signature_of
from tests.simulation.mutants import Change
from tests.simulation.pictures import name_in, photo
from tests.simulation.world import DAY, World

HOUR = 3600.0
SLOW = Ending(queued=10.0, seconds=30.0)


@pytest.fixture
def world() -> World:
    return World(1, calm=True)


def upload(world: World, key: str = "shoe.jpg", name: str = "") -> str:
    """Upload a photo; returns the id of its job."""
    return world.upload(key, photo(name or f"p{next(world.numbers)}", "image/jpeg")).job_id


def pass_time(world: World, seconds: float) -> None:
    world.run_until(world.time + seconds)


def rest(world: World) -> None:
    """Until nothing happens any more: then every invariant holds."""
    world.run_out(world.time + 12 * DAY)
    world.audit.at_rest()
    assert not world.audit.broken


def states(world: World, job_id: str) -> list[str]:
    """The states that a job's row was in, without repetitions."""
    found: list[str] = []
    for write in world.jobs.writes:
        if write.after.job_id == job_id and (not found or found[-1] != write.after.state):
            found.append(write.after.state)
    return found


def by_state(world: World) -> dict[str, int]:
    found: dict[str, int] = {}
    for job in world.jobs.jobs.values():
        found[job.state.value] = found.get(job.state.value, 0) + 1
    return found


# The usual day


def test_a_photo_is_paid_for_once_and_its_clean_picture_stored(world: World) -> None:
    job = upload(world, name="shoe")
    rest(world)
    assert states(world, job) == ["submitting", "submitted", "delivered"]
    assert world.runflow.billed == PRICE
    (key,) = world.jobs.jobs[job].outputs
    assert name_in(world.photos.outputs[key].data) == "shoe"
    assert world.jobs.jobs[job].cost == "0.14"


# Beyond the await_confirmation time


def beyond_the_settle_time(world: World) -> tuple[str, str, str]:
    """A run that nobody can see until the photo was sent again: the job, its run, and the run that came too late."""
    world.unmatched_runs = 1
    world.runflow.habits.idempotency = "ignored"
    world.runflow.habits.visible_after = HOUR
    world.runflow.faults = [Fault(effect=True), None]
    world.runflow.endings = [Ending(queued=1500.0, seconds=30.0), SLOW]
    job = upload(world)
    world.run_out(world.time + DAY)
    late, first = list(world.runflow.runs)
    return job, first, late


def test_a_second_paid_run_beyond_the_settle_time_is_detected_charged_to_the_cap_and_alarmed(world: World) -> None:
    job, first, late = beyond_the_settle_time(world)
    assert world.jobs.jobs[job].run_id == first
    assert world.jobs.jobs[job].state is State.DELIVERED
    assert world.runflow.billed == 2 * PRICE
    assert list(world.jobs.charges) == [late]
    assert world.telemetry.counts["UnmatchedPaidRun"] == 1
    assert used_images(world.jobs.day_budgets[world.day()]) == 2
    rest(world)


def test_its_callback_may_come_again_and_again_without_another_charge(world: World) -> None:
    beyond_the_settle_time(world)
    for body, signature in world.runflow.callbacks * 3:
        world.receive(body, signature)
    rest(world)
    assert world.telemetry.counts["UnmatchedPaidRun"] == 1
    assert used_images(world.jobs.day_budgets[world.day()]) == 2


def test_charging_it_twice_would_be_noticed(world: World) -> None:
    with Change("detag.ports.jobs_fake:FakeJobStore.charge", "if run_id in self.charges:", "if False:").made():
        beyond_the_settle_time(world)
        for body, signature in world.runflow.callbacks:
            world.receive(body, signature)
        world.run_out(world.time + DAY)
    world.audit.at_rest()
    assert {"unmatched_runs charged once", "ledger"} <= {name for name, _ in world.audit.broken}


def test_not_charging_it_would_be_noticed(world: World) -> None:
    with Change("detag.services.deliver:Deliver._go_on", "if run.charged:", "if False:").made():
        beyond_the_settle_time(world)
    world.audit.at_rest()
    assert "unmatched_runs charged once" in {name for name, _ in world.audit.broken}


def test_of_two_runs_that_a_look_up_finds_one_is_adopted_and_the_other_charged(world: World) -> None:
    world.unmatched_runs = 1
    world.runflow.habits.idempotency = "ignored"
    world.runflow.deaf = True
    world.runflow.faults = [Fault(effect=True, late=900.0), Fault(effect=True)]
    job = upload(world)
    rest(world)
    assert len(world.runflow.runs) == 2
    assert world.jobs.jobs[job].state is State.DELIVERED
    assert len(world.jobs.charges) == 1
    assert world.telemetry.counts["UnmatchedPaidRun"] == 1


def busy(world: World) -> str:
    """A maybe_submitted POST in an organisation whose run list takes minutes to read; the job."""
    habits = world.runflow.habits
    habits.page_limit, world.runflow.page_seconds = 10, 1.0
    world.runflow.deaf = True
    world.runflow.faults = [Fault(effect=True)]
    job = upload(world)
    for minute in range(40):
        world.after(60.0 * minute, partial(world.runflow.others, 60))
    pass_time(world, HOUR)
    return job


def test_a_run_is_found_in_a_list_too_long_for_one_process(world: World) -> None:
    job = busy(world)
    rest(world)
    assert world.jobs.jobs[job].state is State.DELIVERED
    assert len({write.after.search_from for write in world.jobs.writes}) > 3, "several processes have read on"
    assert len(world.runflow.sent) == 1


def test_a_look_up_that_began_anew_each_time_would_never_end(world: World) -> None:
    with Change("detag.services.submit:Submit._find_existing_run", "search_from=cursor", "search_from=None").made():
        job = busy(world)
        pass_time(world, 5 * HOUR)
    assert world.jobs.jobs[job].reason is Reason.UNCONFIRMED


# A run that never ends, or that nobody knows


def test_a_run_that_ends_after_its_time_repairs_the_failed_job(world: World) -> None:
    world.runflow.endings = [Ending(seconds=26 * HOUR)]
    job = upload(world)
    pass_time(world, 25.5 * HOUR)
    assert world.jobs.jobs[job].reason is Reason.TIMED_OUT
    rest(world)
    assert states(world, job) == ["submitting", "submitted", "failed", "delivered"]
    assert [kind for kind, _ in world.events.published] == ["Photo Failed", "Photo Delivered"]
    assert world.runflow.billed == PRICE
    assert used_images(world.jobs.day_budgets[day_of(world.started)]) == 1


def test_a_run_that_never_ends_fails_with_a_reason_and_a_record(world: World) -> None:
    world.runflow.endings = [Ending(seconds=math.inf)]
    job = upload(world)
    rest(world)
    assert world.jobs.jobs[job].reason is Reason.TIMED_OUT
    assert f"_failed/shoe.jpg.{job}.json" in world.photos.outputs


def test_a_run_that_is_forgotten_and_turns_up_repairs_the_failed_job(world: World) -> None:
    world.runflow.habits.known_after = 3 * HOUR
    world.runflow.endings = [Ending(seconds=2.5 * HOUR)]
    job = upload(world)
    pass_time(world, 2 * HOUR)
    assert world.jobs.jobs[job].reason is Reason.UNKNOWN_RUN
    pass_time(world, 2 * HOUR)
    for body, signature in world.runflow.callbacks:  # redelivered by hand
        world.receive(body, signature)
    rest(world)
    assert world.jobs.jobs[job].state is State.DELIVERED


def test_a_paid_picture_that_cannot_be_stored_for_days_waits_for_a_person_and_is_repaired(world: World) -> None:
    world.runflow.endings = [SLOW]
    job = upload(world)
    pass_time(world, 30.0)
    world.runflow.habits.link_seconds = -1.0
    pass_time(world, 5 * DAY)
    assert world.jobs.jobs[job].reason is Reason.UNDELIVERABLE
    assert not world.results.died, "it is the row that waits, not the message"
    world.runflow.habits.link_seconds = HOUR
    for run in world.runflow.runs.values():
        world.runflow.call_back(run)
    rest(world)
    assert world.jobs.jobs[job].state is State.DELIVERED
    assert world.runflow.billed == PRICE


# The cap


def test_the_cap_holds_over_midnight_and_the_line_goes_on_after_it(world: World) -> None:
    world.set_limit(PRICE * 3)
    world.run_until(world.time // DAY * DAY + DAY - 600)
    jobs: list[str] = []
    for _ in range(5):
        jobs.append(upload(world, f"{len(jobs)}.jpg"))
        pass_time(world, 5.0)
    yesterday = world.day()
    pass_time(world, 300.0)
    assert by_state(world) == {"delivered": 3, "waiting": 2}
    assert {world.jobs.jobs[job].reason for job in jobs[3:]} == {Reason.SPEND_LIMIT}
    pass_time(world, 420.0)
    today = world.day()
    rest(world)
    assert by_state(world) == {"delivered": 5}
    assert {day: used_images(ledger) for day, ledger in world.jobs.day_budgets.items()} == {yesterday: 3, today: 2}


def test_raising_the_limit_releases_as_many_as_there_is_room_for_oldest_first(world: World) -> None:
    world.set_limit(PRICE * 1)
    jobs: list[str] = []
    for _ in range(6):
        jobs.append(upload(world, f"{len(jobs)}.jpg"))
        pass_time(world, 5.0)
    pass_time(world, 120.0)
    world.set_limit(PRICE * 4)
    pass_time(world, 600.0)
    assert [world.jobs.jobs[job].state.value for job in jobs] == ["delivered"] * 4 + ["waiting"] * 2


def test_an_operators_word_beats_the_parameter_and_a_malformed_one_does_not(world: World) -> None:
    world.limit = PRICE * 2
    world.jobs.operator = replace(world.jobs.operator, limit_usd="lots")
    for number in range(3):
        upload(world, f"{number}.jpg")
        pass_time(world, 60.0)
    assert by_state(world) == {"delivered": 2, "waiting": 1}
    world.set_limit(None)
    rest(world)
    assert by_state(world) == {"delivered": 3}


def test_a_failed_run_gives_its_room_back(world: World) -> None:
    world.set_limit(PRICE * 1)
    world.max_attempts = 1
    world.runflow.endings = [Ending(status="failed", cost=Decimal(0), code="INTERNAL")]
    upload(world, "a.jpg")
    pass_time(world, 300.0)
    upload(world, "b.jpg")
    rest(world)
    assert by_state(world) == {"failed": 1, "delivered": 1}


def test_a_paid_picture_does_not_wait_for_the_gate_that_money_has_closed(world: World) -> None:
    world.runflow.deaf = True
    world.runflow.faults = [Fault(effect=True)]
    maybe_submitted = upload(world, "a.jpg")
    pass_time(world, 30.0)
    world.set_limit(Decimal(0))
    upload(world, "b.jpg")
    pass_time(world, 1800.0)
    assert world.intake.reason is Reason.SPEND_LIMIT
    assert world.jobs.jobs[maybe_submitted].state is State.DELIVERED
    world.set_limit(None)
    rest(world)


# Gates


def test_four_thousand_photos_outlast_an_empty_account_and_none_fails(world: World) -> None:
    count = 4_000
    world.runflow.habits.credit = Decimal(0)
    for number in range(count):
        world.after(number * 0.05, partial(world.upload, f"{number:04}.jpg", photo(f"n{number}", "image/jpeg")))
    pass_time(world, count * 0.05 + HOUR)
    assert by_state(world) == {"waiting": count}
    assert {job.reason for job in world.jobs.jobs.values()} == {Reason.OUT_OF_CREDIT}
    assert len(world.runflow.sent) <= 30, "an empty account is asked by one probe at a time"
    begun = len(world.runflow.sent)
    world.runflow.habits.credit = None
    pass_time(world, HOUR)
    world.run_out(world.time + DAY)
    assert by_state(world) == {"delivered": count}
    order = [world.jobs.jobs[post.job_id].upload.uploaded_at for post in world.runflow.sent[begun:]]
    overtaken = max(earlier - later for earlier, later in pairwise(order))
    assert overtaken <= 60.0, "the line goes oldest first; only within one release may photos overtake each other"
    world.audit.at_rest()
    assert not world.audit.broken


@pytest.mark.parametrize(
    ("close", "reason"),
    [
        (lambda world: setattr(world.runflow.habits, "key_good", False), Reason.UNAUTHORIZED),
        (lambda world: setattr(world.runflow.habits, "configured", False), Reason.NOT_CONFIGURED),
        (lambda world: setattr(world.runflow.habits, "credit", Decimal(0)), Reason.OUT_OF_CREDIT),
        (lambda world: setattr(world.runflow, "down", True), Reason.RUNFLOW_DOWN),
        (lambda world: setattr(world.jobs, "operator", replace(world.jobs.operator, paused=True)), Reason.PAUSED),
    ],
)
def test_a_gate_holds_what_comes_costs_one_probe_at_a_time_and_fails_nothing(
    world: World, close: Callable[[World], None], reason: Reason
) -> None:
    close(world)
    for number in range(40):
        upload(world, f"{number}.jpg")
        pass_time(world, 30.0)
    pass_time(world, 4 * HOUR)
    assert world.intake.reason is reason
    assert set(by_state(world)) == {"waiting"}
    assert len(world.runflow.sent) <= 32
    world.runflow.habits.key_good = world.runflow.habits.configured = True
    world.runflow.habits.credit, world.runflow.down = None, False
    world.jobs.operator = replace(world.jobs.operator, paused=None)
    rest(world)
    assert by_state(world) == {"delivered": 40}


def test_nothing_is_sent_while_paused(world: World) -> None:
    world.jobs.operator = replace(world.jobs.operator, paused=True)
    for number in range(20):
        upload(world, f"{number}.jpg")
    pass_time(world, 6 * HOUR)
    assert not world.runflow.sent
    world.jobs.operator = replace(world.jobs.operator, paused=False)
    rest(world)
    assert len(world.runflow.sent) == 20


# Reconciliation


def test_thousands_of_overdue_runs_are_read_off_the_list_and_not_asked_for_one_by_one(world: World) -> None:
    count = 2_000
    world.runflow.deaf = True
    world.runflow.endings = [Ending(seconds=2 * HOUR) for _ in range(count)]
    for number in range(count):
        upload(world, f"{number}.jpg")
    pass_time(world, 240.0)
    assert by_state(world) == {"submitted": count}
    asked, pages = len(world.runflow.asked), world.runflow.pages
    pass_time(world, HOUR)
    assert by_state(world) == {"submitted": count}
    assert len(world.runflow.asked) - asked <= count / 10, "all of them still run: the list says so"
    assert 0 < world.runflow.pages - pages <= 300
    pass_time(world, 4 * HOUR)
    world.run_out(world.time + DAY)
    assert by_state(world) == {"delivered": count}


def test_a_lost_callback_costs_minutes(world: World) -> None:
    world.runflow.deaf = True
    job = upload(world)
    pass_time(world, 600.0)
    assert world.jobs.jobs[job].state is State.DELIVERED


def test_an_expired_output_link_is_renewed_through_the_runs_record(world: World) -> None:
    world.runflow.endings = [SLOW]
    world.runflow.habits.link_seconds = 20.0
    job = upload(world)
    pass_time(world, 20.0)
    world.runflow.deaf = True
    pass_time(world, 60.0)
    (run,) = world.runflow.runs.values()
    stale = world.runflow.callback(run)
    world.runflow.deaf = False
    pass_time(world, 60.0)
    world.receive(*signed(world, stale))
    pass_time(world, 10.0)
    assert world.jobs.jobs[job].state is State.DELIVERED


def signed(world: World, body: bytes) -> tuple[bytes, str]:
    return body, signature_of(body, world.runflow.secret.encode()).decode()


def test_an_hour_without_s3_makes_no_dead_letter_of_an_upload(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = world.photos.read_head

    def failing(*where: Any) -> Any:
        if world.time < world.started + HOUR:
            raise Transient("S3 throttled")
        return real(*where)

    monkeypatch.setattr(world.photos, "read_head", failing)
    for number in range(10):
        upload(world, f"{number}.jpg")
    pass_time(world, HOUR)
    assert by_state(world) == {"waiting": 10}
    rest(world)
    assert not world.uploads.died
    assert by_state(world) == {"delivered": 10}


# Whose run it is


def early(world: World) -> Iterator[Job]:
    for write in world.jobs.writes:
        if write.before is not None and write.before.state is State.SUBMITTING:
            yield write.after


def test_a_callback_that_outruns_the_save_is_adopted_and_delivered(world: World) -> None:
    world.runflow.endings = [Ending(queued=0.0, seconds=0.0)]
    job = upload(world)
    pass_time(world, 30.0)
    assert world.storm.seen == {} and world.jobs.jobs[job].state is State.DELIVERED
    assert [after.state for after in early(world)] == [State.SUBMITTED]
    rest(world)
    assert len(world.runflow.runs) == 1


def test_a_callback_tells_of_the_run_whose_post_had_no_answer(world: World) -> None:
    world.runflow.faults = [Fault(effect=True)]
    job = upload(world)
    pass_time(world, 120.0)
    assert world.jobs.jobs[job].state is State.DELIVERED, "well before the await_confirmation time"
    rest(world)
    assert world.runflow.billed == PRICE


@pytest.mark.parametrize("lie", ["the photo", "the name"])
def test_a_run_of_somebody_else_is_adopted_neither_by_its_callback_nor_by_the_look_up(world: World, lie: str) -> None:
    world.runflow.faults = [Fault()]
    job_id = upload(world)
    pass_time(world, 30.0)
    job = world.jobs.jobs[job_id]
    assert job.reason is Reason.UNCONFIRMED
    ours = world.photos.presign("in", "shoe.jpg", job.upload.version_id, 60)
    if lie == "the photo":
        world.runflow.forge(job_id, job.client_ref, "https://evil.example/shoe.jpg")
    else:
        world.runflow.forge(job_id, "theirs", ours)
    pass_time(world, 60.0)
    assert world.telemetry.counts["UnmatchedCallback"] == 1
    rest(world)
    job = world.jobs.jobs[job_id]
    assert job.state is State.DELIVERED
    assert job.run_id not in world.runflow.foreign


def test_a_record_without_its_input_is_adopted_by_its_name_because_sending_again_would_pay_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = world.runflow.record
    monkeypatch.setattr(world.runflow, "record", lambda run: real(run) | {"input": None})
    world.runflow.deaf = True
    world.runflow.faults = [Fault(effect=True)]
    upload(world)
    rest(world)
    assert world.runflow.billed == PRICE


# Newest wins


def test_the_newest_delivered_version_is_at_its_key_whichever_came_first(world: World) -> None:
    world.runflow.endings = [Ending(seconds=600.0), Ending(seconds=5.0)]
    older = upload(world, name="old")
    pass_time(world, 30.0)
    newer = upload(world, name="new")
    rest(world)
    assert world.jobs.jobs[older].reason is Reason.NEWER_DELIVERED
    (key,) = world.jobs.jobs[newer].outputs
    assert name_in(world.photos.outputs[key].data) == "new"
    assert world.runflow.billed == 2 * PRICE


def test_an_older_paid_result_is_kept_where_the_newer_one_failed(world: World) -> None:
    world.max_attempts = 1
    failed = Ending(seconds=5.0, status="failed", cost=Decimal(0), code="INPUT_VALIDATION_FAILED")
    world.runflow.endings = [Ending(seconds=600.0), failed]
    older = upload(world, name="old")
    pass_time(world, 30.0)
    newer = upload(world, name="new")
    rest(world)
    assert world.jobs.jobs[older].state is State.DELIVERED
    assert world.jobs.jobs[newer].state is State.FAILED
    (key,) = world.jobs.jobs[older].outputs
    assert name_in(world.photos.outputs[key].data) == "old"


# Free retries


@pytest.mark.parametrize(
    ("ending", "posts"),
    [
        (Ending(status="failed", cost=Decimal(0), code="INTERNAL"), 3),
        (Ending(status="errored", cost=Decimal(0)), 3),
        (Ending(status="failed", cost=Decimal(0), code="INPUT_VALIDATION_FAILED"), 1),
        (Ending(status="failed", code="INTERNAL"), 1),
        (Ending(status="canceled", cost=Decimal(0)), 1),
    ],
    ids=["free", "errored", "permanent", "charged", "cancelled"],
)
def test_only_a_free_failure_that_may_pass_is_tried_again(world: World, ending: Ending, posts: int) -> None:
    world.runflow.endings = [ending] * 5
    job = upload(world)
    rest(world)
    assert len(world.runflow.sent) == posts
    assert world.jobs.jobs[job].state in (State.FAILED, State.CANCELLED)
    assert len({post.key for post in world.runflow.sent}) == posts


def test_a_photo_whose_link_died_in_runflows_queue_is_sent_again_without_counting_as_an_attempt(world: World) -> None:
    world.max_attempts = 1
    world.runflow.endings = [Ending(queued=2 * HOUR, seconds=5.0), SLOW]
    job = upload(world)
    rest(world)
    assert world.jobs.jobs[job].state is State.DELIVERED
    assert (world.jobs.jobs[job].attempt, world.jobs.jobs[job].expired_urls) == (1, 1)
    assert [run.status for run in world.runflow.runs.values()] == ["failed", "succeeded"]
