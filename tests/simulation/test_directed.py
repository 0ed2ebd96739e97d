"""What the simulation draws too seldom, or what lies beyond its assumptions: one simulation each, step by step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from detag.domain.job import Job, State
from detag.domain.money import day_of
from detag.domain.reasons import Reason
from detag.ports.errors import Transient
from detag.ports.runs_fake import PRICE, Ending, Fault
from detag.services.callback import signature_of
from tests.simulation.directed import HOUR, SLOW, by_state, pass_time, rest, states, upload
from tests.simulation.mutant import Change
from tests.simulation.photos import name_in, photo
from tests.simulation.simulation import DAY, Simulation

# The usual day


def test_a_photo_is_paid_for_once_and_its_output_stored(simulation: Simulation) -> None:
    job = upload(simulation, name="shoe")
    rest(simulation)
    assert states(simulation, job) == ["submitting", "submitted", "delivered"]
    assert simulation.runflow.billed == PRICE
    (key,) = simulation.jobs.jobs[job].outputs
    assert name_in(simulation.photos.outputs[key].data) == "shoe"
    assert simulation.jobs.jobs[job].cost == "0.14"


# Beyond the confirmation time


def beyond_the_confirmation_time(simulation: Simulation) -> tuple[str, str, str]:
    """A run that nobody can see until the photo was sent again: the job, its run, and the run that came too late."""
    simulation.unmatched_runs = 1
    simulation.runflow.habits.idempotency = "ignored"
    simulation.runflow.habits.visible_after = HOUR
    simulation.runflow.faults = [Fault(effect=True), None]
    simulation.runflow.endings = [Ending(queued=1500.0, seconds=30.0), SLOW]
    job = upload(simulation)
    simulation.run_out(simulation.time + DAY)
    late, first = list(simulation.runflow.runs)
    return job, first, late


def test_an_unmatched_paid_run_is_charged_and_alarmed(
    simulation: Simulation,
) -> None:
    """An unmatched paid run, made beyond the confirmation time, is detected, charged to the day budget and alarmed."""
    day = simulation.day()
    job, first, late = beyond_the_confirmation_time(simulation)
    assert simulation.jobs.jobs[job].run_id == first
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    assert simulation.runflow.billed == 2 * PRICE
    assert list(simulation.jobs.charges) == [late]
    assert simulation.telemetry.counts["UnmatchedPaidRun"] == 1
    assert simulation.jobs.spent_on(day) == 2 * PRICE
    rest(simulation)


def test_repeated_callbacks_of_an_unmatched_run_charge_once(simulation: Simulation) -> None:
    """Its callback may come again and again without another charge."""
    day = simulation.day()
    beyond_the_confirmation_time(simulation)
    for body, signature in simulation.runflow.callbacks * 3:
        simulation.receive(body, signature)
    rest(simulation)
    assert simulation.telemetry.counts["UnmatchedPaidRun"] == 1
    assert simulation.jobs.spent_on(day) == 2 * PRICE


def test_charging_an_unmatched_run_twice_would_be_noticed(simulation: Simulation) -> None:
    twice = Change("detag.services.budget:Budget.charge_unmatched", "self._jobs.charged(run.run_id)", "None")
    with (
        twice.made(),
        Change("detag.ports.jobs_fake:FakeJobStore.charge", "self.charges.get(run_id) != before", "False").made(),
    ):
        beyond_the_confirmation_time(simulation)
        for body, signature in simulation.runflow.callbacks:
            simulation.receive(body, signature)
        simulation.run_out(simulation.time + DAY)
    simulation.checker.at_rest()
    assert "day budget" in {name for name, _ in simulation.checker.broken}


def test_not_charging_an_unmatched_run_would_be_noticed(simulation: Simulation) -> None:
    with Change("detag.services.deliver:Deliver._counted", "is_uncounted(job, run)", "False").made():
        beyond_the_confirmation_time(simulation)
    simulation.checker.at_rest()
    assert "unmatched run charged once" in {name for name, _ in simulation.checker.broken}


def test_of_two_existing_runs_one_is_adopted(simulation: Simulation) -> None:
    """Of two runs that a search for an existing run finds, one is adopted and the other charged."""
    simulation.unmatched_runs = 1
    simulation.runflow.habits.idempotency = "ignored"
    simulation.runflow.deaf = True
    simulation.runflow.faults = [Fault(effect=True, late=900.0), Fault(effect=True)]
    job = upload(simulation)
    rest(simulation)
    assert len(simulation.runflow.runs) == 2
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    assert len(simulation.jobs.charges) == 1
    assert simulation.telemetry.counts["UnmatchedPaidRun"] == 1


def busy(simulation: Simulation) -> str:
    """A maybe_submitted POST in an organisation whose run list takes minutes to read; the job."""
    habits = simulation.runflow.habits
    habits.page_limit, simulation.runflow.page_seconds = 10, 1.0
    habits.client_ref_filter = "none"
    simulation.runflow.deaf = True
    simulation.runflow.faults = [Fault(effect=True)]
    job = upload(simulation)
    for minute in range(40):
        simulation.after(60.0 * minute, partial(simulation.runflow.others, 60))
    pass_time(simulation, HOUR)
    return job


def test_a_run_is_found_in_a_list_too_long_for_one_process(simulation: Simulation) -> None:
    job = busy(simulation)
    rest(simulation)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    assert len({write.after.search_from for write in simulation.jobs.writes}) > 3, "several processes searched on"
    assert len(simulation.runflow.sent) == 1


def test_a_search_that_restarted_each_time_would_never_end(simulation: Simulation) -> None:
    """A search for an existing run goes on where it stopped: from the top each time, it would never end."""
    with Change(
        "detag.domain.search:_search_on",
        "case Unfinished(cursor, to_ask):\n",
        "case Unfinished(cursor, to_ask):\n            cursor = None\n",
    ).made():
        job = busy(simulation)
        pass_time(simulation, 2 * HOUR)
    assert simulation.jobs.jobs[job].reason is Reason.UNCONFIRMED


# A run that never ends, or that nobody knows


def test_a_run_that_ends_after_its_timeout_repairs_the_job(simulation: Simulation) -> None:
    simulation.runflow.endings = [Ending(seconds=26 * HOUR)]
    job = upload(simulation)
    pass_time(simulation, 25.5 * HOUR)
    assert simulation.jobs.jobs[job].reason is Reason.TIMED_OUT
    rest(simulation)
    assert states(simulation, job) == ["submitting", "submitted", "failed", "delivered"]
    assert [kind for kind, _ in simulation.events.published] == ["Photo Failed", "Photo Delivered"]
    assert simulation.runflow.billed == PRICE
    assert simulation.jobs.spent_on(day_of(simulation.started)) == PRICE


def test_a_run_that_never_ends_fails_with_a_reason_and_a_record(simulation: Simulation) -> None:
    simulation.runflow.endings = [Ending(seconds=math.inf)]
    job = upload(simulation)
    rest(simulation)
    assert simulation.jobs.jobs[job].reason is Reason.TIMED_OUT
    assert "_failed/shoe.jpg.txt" in simulation.photos.outputs


def test_a_forgotten_run_that_turns_up_repairs_the_failed_job(simulation: Simulation) -> None:
    """A run that Runflow did not know for hours, and then does, repairs the job that failed for it."""
    simulation.runflow.habits.known_after = 3 * HOUR
    simulation.runflow.endings = [Ending(seconds=2.5 * HOUR)]
    job = upload(simulation)
    pass_time(simulation, 2 * HOUR)
    assert simulation.jobs.jobs[job].reason is Reason.UNKNOWN_RUN
    pass_time(simulation, 2 * HOUR)
    for body, signature in simulation.runflow.callbacks:  # redelivered by hand
        simulation.receive(body, signature)
    rest(simulation)
    assert simulation.jobs.jobs[job].state is State.DELIVERED


def test_a_paid_output_that_cannot_be_stored_is_repaired_later(
    simulation: Simulation,
) -> None:
    """A paid output that cannot be stored for days waits for a person, and its job is repaired."""
    simulation.runflow.endings = [SLOW]
    job = upload(simulation)
    pass_time(simulation, 30.0)
    simulation.runflow.habits.output_url_seconds = -1.0
    pass_time(simulation, 5 * DAY)
    assert simulation.jobs.jobs[job].reason is Reason.UNDELIVERABLE
    assert not simulation.results.died, "it is the job that waits, not the message"
    simulation.runflow.habits.output_url_seconds = HOUR
    for run in simulation.runflow.runs.values():
        simulation.runflow.call_back(run)
    rest(simulation)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    assert simulation.runflow.billed == PRICE


# The daily spend limit


def test_the_spend_limit_holds_over_midnight(simulation: Simulation) -> None:
    """The daily spend limit holds over midnight, and photos that wait for intake go on after it."""
    simulation.set_limit(PRICE * 3)
    simulation.run_until(simulation.time // DAY * DAY + DAY - 600)
    jobs: list[str] = []
    for _ in range(5):
        jobs.append(upload(simulation, f"{len(jobs)}.jpg"))
        pass_time(simulation, 5.0)
    yesterday = simulation.day()
    pass_time(simulation, 300.0)
    assert by_state(simulation) == {"delivered": 3, "waiting": 2}
    assert {simulation.jobs.jobs[job].reason for job in jobs[3:]} == {Reason.SPEND_LIMIT}
    pass_time(simulation, 420.0)
    today = simulation.day()
    rest(simulation)
    assert by_state(simulation) == {"delivered": 5}
    assert simulation.jobs.money == {yesterday: 3 * PRICE, today: 2 * PRICE}


def test_raising_the_limit_releases_the_oldest_photos(simulation: Simulation) -> None:
    """Raising the limit releases as many photos as there are images left, the oldest first."""
    simulation.set_limit(PRICE * 1)
    jobs: list[str] = []
    for _ in range(6):
        jobs.append(upload(simulation, f"{len(jobs)}.jpg"))
        pass_time(simulation, 5.0)
    pass_time(simulation, 120.0)
    simulation.set_limit(PRICE * 4)
    pass_time(simulation, 600.0)
    assert [simulation.jobs.jobs[job].state.value for job in jobs] == ["delivered"] * 4 + ["waiting"] * 2


def test_a_malformed_override_leaves_the_parameter_in_force(simulation: Simulation) -> None:
    """An operator's override beats the parameter, and a malformed one does not."""
    simulation.limit = PRICE * 2
    simulation.jobs.operator = replace(simulation.jobs.operator, limit_usd="lots")
    for number in range(3):
        upload(simulation, f"{number}.jpg")
        pass_time(simulation, 60.0)
    assert by_state(simulation) == {"delivered": 2, "waiting": 1}
    simulation.set_limit(None)
    rest(simulation)
    assert by_state(simulation) == {"delivered": 3}


def test_a_failed_run_returns_its_images_to_the_budget(simulation: Simulation) -> None:
    simulation.set_limit(PRICE * 1)
    simulation.max_attempts = 1
    simulation.runflow.endings = [Ending(status="failed", cost=Decimal(0), code="INTERNAL")]
    upload(simulation, "a.jpg")
    pass_time(simulation, 300.0)
    upload(simulation, "b.jpg")
    rest(simulation)
    assert by_state(simulation) == {"failed": 1, "delivered": 1}


def test_a_paid_output_does_not_wait_for_the_spend_limit(simulation: Simulation) -> None:
    """A paid output does not wait for an intake that is paused because the day's money is spent."""
    simulation.runflow.deaf = True
    simulation.runflow.faults = [Fault(effect=True)]
    maybe_submitted = upload(simulation, "a.jpg")
    pass_time(simulation, 30.0)
    simulation.set_limit(Decimal(0))
    upload(simulation, "b.jpg")
    pass_time(simulation, 1800.0)
    assert simulation.intake.reason is Reason.SPEND_LIMIT
    assert simulation.jobs.jobs[maybe_submitted].state is State.DELIVERED
    simulation.set_limit(None)
    rest(simulation)


# Intake


@pytest.mark.sized
def test_thousands_of_photos_survive_an_empty_account(simulation: Simulation, full_size: bool) -> None:
    """They wait while the account is empty, and none of them fails."""
    count = 4_000 if full_size else 400
    simulation.runflow.habits.credit = Decimal(0)
    for number in range(count):
        simulation.after(
            number * 0.05, partial(simulation.upload, f"{number:04}.jpg", photo(f"n{number}", "image/jpeg"))
        )
    pass_time(simulation, count * 0.05 + HOUR)
    assert by_state(simulation) == {"waiting": count}
    assert {job.reason for job in simulation.jobs.jobs.values()} == {Reason.OUT_OF_CREDIT}
    assert len(simulation.runflow.sent) <= 30, "an empty account is asked by one probe at a time"
    begun = len(simulation.runflow.sent)
    simulation.runflow.habits.credit = None
    pass_time(simulation, HOUR)
    simulation.run_out(simulation.time + DAY)
    assert by_state(simulation) == {"delivered": count}
    order = [simulation.jobs.jobs[post.job_id].upload.uploaded_at for post in simulation.runflow.sent[begun:]]
    overtaken = max(earlier - later for earlier, later in pairwise(order))
    assert overtaken <= 60.0, "released oldest first; only within one release may photos overtake each other"
    simulation.checker.at_rest()
    assert not simulation.checker.broken


@pytest.mark.parametrize(
    ("pause", "reason"),
    [
        (lambda simulation: setattr(simulation.runflow.habits, "key_good", False), Reason.UNAUTHORIZED),
        (lambda simulation: setattr(simulation.runflow.habits, "configured", False), Reason.NOT_CONFIGURED),
        (lambda simulation: setattr(simulation.runflow.habits, "credit", Decimal(0)), Reason.OUT_OF_CREDIT),
        (lambda simulation: setattr(simulation.runflow, "down", True), Reason.RUNFLOW_DOWN),
        (
            lambda simulation: setattr(simulation.jobs, "operator", replace(simulation.jobs.operator, paused=True)),
            Reason.PAUSED,
        ),
    ],
)
def test_a_paused_intake_fails_no_photo(
    simulation: Simulation, pause: Callable[[Simulation], None], reason: Reason
) -> None:
    """While intake is paused photos wait, one probe at a time is sent, and none fails."""
    pause(simulation)
    for number in range(40):
        upload(simulation, f"{number}.jpg")
        pass_time(simulation, 30.0)
    pass_time(simulation, 4 * HOUR)
    assert simulation.intake.reason is reason
    assert set(by_state(simulation)) == {"waiting"}
    assert len(simulation.runflow.sent) <= 32
    simulation.runflow.habits.key_good = simulation.runflow.habits.configured = True
    simulation.runflow.habits.credit, simulation.runflow.down = None, False
    simulation.jobs.operator = replace(simulation.jobs.operator, paused=None)
    rest(simulation)
    assert by_state(simulation) == {"delivered": 40}


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_one_refused_photo_keeps_no_others_waiting(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """What Runflow answers one photo may speak of that photo alone, though it looks like a bad key or an empty account:
    another is the next probe.
    """
    refused, runflow, real = upload(simulation, "refused.jpg"), simulation.runflow, simulation.runflow.fault

    def fault(operation: str) -> Fault | None:
        found = real(operation)
        under_way = [post for post in runflow.sent if post.outcome == "on its way"]
        return Fault(status) if operation == "create" and under_way[-1].job_id == refused else found

    monkeypatch.setattr(runflow, "fault", fault)
    pass_time(simulation, 30.0)
    for number in range(12):
        upload(simulation, f"{number}.jpg")
    pass_time(simulation, 2 * HOUR)
    assert by_state(simulation) == {"delivered": 12, "waiting": 1}
    assert simulation.jobs.jobs[refused].waits_for_intake


def test_nothing_is_sent_while_paused(simulation: Simulation) -> None:
    simulation.jobs.operator = replace(simulation.jobs.operator, paused=True)
    for number in range(20):
        upload(simulation, f"{number}.jpg")
    pass_time(simulation, 6 * HOUR)
    assert not simulation.runflow.sent
    simulation.jobs.operator = replace(simulation.jobs.operator, paused=False)
    rest(simulation)
    assert len(simulation.runflow.sent) == 20


# Reconciliation


@pytest.mark.sized
def test_thousands_of_overdue_runs_are_read_from_the_run_list(simulation: Simulation, full_size: bool) -> None:
    """They are not asked for one by one."""
    count = 2_000 if full_size else 800
    simulation.runflow.deaf = True
    simulation.runflow.endings = [Ending(seconds=2 * HOUR) for _ in range(count)]
    pass_time(simulation, HOUR)  # midnight is over
    for number in range(count):
        upload(simulation, f"{number}.jpg")
    pass_time(simulation, 900.0)
    assert by_state(simulation) == {"submitted": count}
    asked, pages = len(simulation.runflow.asked), simulation.runflow.pages
    pass_time(simulation, HOUR)
    assert by_state(simulation) == {"submitted": count}
    assert len(simulation.runflow.asked) - asked <= count / 10, "all of them still run: the list says so"
    assert 0 < simulation.runflow.pages - pages <= 300
    pass_time(simulation, 4 * HOUR)
    simulation.run_out(simulation.time + DAY)
    assert by_state(simulation) == {"delivered": count}


def test_a_lost_callback_costs_minutes(simulation: Simulation) -> None:
    simulation.runflow.deaf = True
    job = upload(simulation)
    pass_time(simulation, 600.0)
    assert simulation.jobs.jobs[job].state is State.DELIVERED


def test_an_expired_output_url_is_renewed_from_the_runs_record(simulation: Simulation) -> None:
    simulation.runflow.endings = [SLOW]
    simulation.runflow.habits.output_url_seconds = 20.0
    job = upload(simulation)
    pass_time(simulation, 20.0)
    simulation.runflow.deaf = True
    pass_time(simulation, 60.0)
    (run,) = simulation.runflow.runs.values()
    stale = simulation.runflow.callback(run)
    simulation.runflow.deaf = False
    pass_time(simulation, 60.0)
    simulation.receive(*signed(simulation, stale))
    pass_time(simulation, 10.0)
    assert simulation.jobs.jobs[job].state is State.DELIVERED


def signed(simulation: Simulation, body: bytes) -> tuple[bytes, str]:
    return body, signature_of(body, simulation.runflow.secret.encode()).decode()


def test_an_hour_without_s3_makes_no_dead_letter_of_an_upload(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = simulation.photos.read_head

    def failing(*where: Any) -> Any:
        if simulation.time < simulation.started + HOUR:
            raise Transient("S3 throttled")
        return real(*where)

    monkeypatch.setattr(simulation.photos, "read_head", failing)
    for number in range(10):
        upload(simulation, f"{number}.jpg")
    pass_time(simulation, HOUR)
    assert by_state(simulation) == {"waiting": 10}
    rest(simulation)
    assert not simulation.uploads.died
    assert by_state(simulation) == {"delivered": 10}


# Whose run it is


def early(simulation: Simulation) -> Iterator[Job]:
    for write in simulation.jobs.writes:
        if write.before is not None and write.before.state is State.SUBMITTING:
            yield write.after


def test_a_callback_that_outruns_the_save_is_adopted(simulation: Simulation) -> None:
    """A callback that comes before the run is saved is adopted, and its photo delivered."""
    simulation.runflow.endings = [Ending(queued=0.0, seconds=0.0)]
    job = upload(simulation)
    pass_time(simulation, 30.0)
    assert simulation.profile.seen == {} and simulation.jobs.jobs[job].state is State.DELIVERED
    assert [after.state for after in early(simulation)] == [State.SUBMITTED]
    rest(simulation)
    assert len(simulation.runflow.runs) == 1


def test_a_callback_reveals_the_run_whose_post_had_no_answer(simulation: Simulation) -> None:
    simulation.runflow.faults = [Fault(effect=True)]
    job = upload(simulation)
    pass_time(simulation, 120.0)
    assert simulation.jobs.jobs[job].state is State.DELIVERED, "well before the confirmation time"
    rest(simulation)
    assert simulation.runflow.billed == PRICE


@pytest.mark.parametrize("lie", ["the photo", "the name"])
def test_an_unrelated_run_is_never_adopted(simulation: Simulation, lie: str) -> None:
    """A run of somebody else is adopted neither by its callback nor by the search for an existing run."""
    simulation.runflow.faults = [Fault()]
    job_id = upload(simulation)
    pass_time(simulation, 30.0)
    job = simulation.jobs.jobs[job_id]
    assert job.reason is Reason.UNCONFIRMED
    ours = simulation.photos.presign("in", "shoe.jpg", job.upload.version_id, 60, "image/jpeg")
    if lie == "the photo":
        simulation.runflow.forge(job_id, job.client_ref, "https://evil.example/shoe.jpg")
    else:
        simulation.runflow.forge(job_id, "theirs", ours)
    pass_time(simulation, 60.0)
    assert simulation.telemetry.counts["UnmatchedCallback"] == 1
    rest(simulation)
    job = simulation.jobs.jobs[job_id]
    told = (State.FAILED, Reason.NOT_CONFIRMED)  # the name is ours, and Runflow may have rewritten the URL
    assert (job.state, job.reason) == (told if lie == "the photo" else (State.DELIVERED, None))
    assert job.run_id not in simulation.runflow.foreign


def test_a_record_without_its_input_is_adopted_by_its_name(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's record without its input is adopted by its name, because sending again would pay twice."""
    real = simulation.runflow.record
    monkeypatch.setattr(simulation.runflow, "record", lambda run: real(run) | {"input": None})
    simulation.runflow.deaf = True
    simulation.runflow.faults = [Fault(effect=True)]
    upload(simulation)
    rest(simulation)
    assert simulation.runflow.billed == PRICE


# Newest wins


def test_the_newest_delivered_version_is_at_its_key(simulation: Simulation) -> None:
    """The newest delivered version is at its key, whichever run ended first."""
    simulation.runflow.endings = [Ending(seconds=600.0), Ending(seconds=5.0)]
    older = upload(simulation, name="old")
    pass_time(simulation, 30.0)
    newer = upload(simulation, name="new")
    rest(simulation)
    assert simulation.jobs.jobs[older].reason is Reason.NEWER_DELIVERED
    (key,) = simulation.jobs.jobs[newer].outputs
    assert name_in(simulation.photos.outputs[key].data) == "new"
    assert simulation.runflow.billed == 2 * PRICE


def test_an_older_paid_result_is_kept_where_the_newer_one_failed(simulation: Simulation) -> None:
    simulation.max_attempts = 1
    failed = Ending(seconds=5.0, status="failed", cost=Decimal(0), code="INPUT_VALIDATION_FAILED")
    simulation.runflow.endings = [Ending(seconds=600.0), failed]
    older = upload(simulation, name="old")
    pass_time(simulation, 30.0)
    newer = upload(simulation, name="new")
    rest(simulation)
    assert simulation.jobs.jobs[older].state is State.DELIVERED
    assert simulation.jobs.jobs[newer].state is State.FAILED
    (key,) = simulation.jobs.jobs[older].outputs
    assert name_in(simulation.photos.outputs[key].data) == "old"


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
def test_only_a_free_failure_that_may_pass_is_tried_again(simulation: Simulation, ending: Ending, posts: int) -> None:
    simulation.runflow.endings = [ending] * 5
    job = upload(simulation)
    rest(simulation)
    assert len(simulation.runflow.sent) == posts
    assert simulation.jobs.jobs[job].state in (State.FAILED, State.CANCELLED)
    assert len({post.key for post in simulation.runflow.sent}) == posts


def test_a_photo_whose_url_expired_in_the_queue_is_sent_again(
    simulation: Simulation,
) -> None:
    """A photo whose URL expired in Runflow's queue is sent again, which does not count as an attempt."""
    simulation.max_attempts = 1
    simulation.runflow.endings = [Ending(queued=2 * HOUR, seconds=5.0), SLOW]
    job = upload(simulation)
    rest(simulation)
    assert simulation.jobs.jobs[job].state is State.DELIVERED
    assert (simulation.jobs.jobs[job].attempt, simulation.jobs.jobs[job].expired_urls) == (1, 1)
    assert [run.status for run in simulation.runflow.runs.values()] == ["failed", "succeeded"]
