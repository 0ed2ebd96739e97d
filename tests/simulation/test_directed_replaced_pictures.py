"""A photo that is reopened as paid bypasses what is known of its picture, and replaces that once it is delivered."""

from __future__ import annotations

from decimal import Decimal

import pytest

from detag.domain.job import Job, State
from detag.domain.naming import RUN_ID
from detag.domain.reasons import Reason
from detag.ports.runs_fake import PRICE, Ending, Fault
from tests.simulation.directed import HOUR, SLOW, pass_time, rest, upload
from tests.simulation.simulation import DAY, Simulation

FREE = Ending(queued=1.0, seconds=1.0, status="failed", cost=Decimal(0), code="INPUT_VALIDATION_FAILED")
CHARGED = Ending(queued=1.0, seconds=1.0, status="failed", code="POSTPROCESS_FAILED")


def now(simulation: Simulation, job_id: str) -> Job:
    return simulation.jobs.jobs[job_id]


def delivered(simulation: Simulation, key: str) -> str:
    """A photo of the one picture of these tests, delivered; its job."""
    job_id = upload(simulation, key, "same")
    pass_time(simulation, HOUR)
    assert now(simulation, job_id).state is State.DELIVERED
    return job_id


def reopen(simulation: Simulation, how: str, job_id: str, seconds: float = HOUR) -> Job:
    simulation.reopen(how, {"job_id": job_id})
    pass_time(simulation, seconds)
    return now(simulation, job_id)


def run_of(simulation: Simulation, key: str) -> str:
    """The run whose output is there."""
    return simulation.photos.outputs[key].metadata[RUN_ID]


def test_a_known_picture_is_bypassed_and_replaced(simulation: Simulation) -> None:
    """Equal photos get the new result from then on; there are two payments in all."""
    first = delivered(simulation, "a.jpg")
    old = run_of(simulation, "a.jpg")
    found = reopen(simulation, "paid", first)
    new = run_of(simulation, "a.jpg")
    assert (found.state, found.run_id, found.not_reused) == (State.DELIVERED, new, "another result was asked for")
    assert new != old
    copy = now(simulation, delivered(simulation, "b.jpg"))
    assert (copy.reused_from, copy.cost) == ("a.jpg", "0")
    assert simulation.photos.outputs["b.jpg"].data == simulation.photos.outputs["a.jpg"].data
    assert copy.stored[0].etag == found.stored[0].etag
    rest(simulation)
    assert simulation.runflow.billed == 2 * PRICE


@pytest.mark.parametrize(("ending", "billed"), [(FREE, 1), (CHARGED, 2)])
def test_a_known_picture_stays_known_if_it_fails(simulation: Simulation, ending: Ending, billed: int) -> None:
    first = delivered(simulation, "a.jpg")
    old = run_of(simulation, "a.jpg")
    simulation.runflow.endings = [ending]
    assert reopen(simulation, "paid", first).reason is Reason.RUN_FAILED
    assert run_of(simulation, "a.jpg") == old
    assert not [key for key in simulation.photos.outputs if key.startswith("_failed/")], "its output is there"
    copy = now(simulation, delivered(simulation, "b.jpg"))
    assert copy.reused_from == "a.jpg"
    rest(simulation)
    assert simulation.runflow.billed == billed * PRICE


def test_an_equal_photo_waits_for_the_new_result(simulation: Simulation) -> None:
    first = delivered(simulation, "a.jpg")
    simulation.runflow.endings = [SLOW]
    reopen(simulation, "paid", first, seconds=8.0)
    second = upload(simulation, "b.jpg", "same")
    pass_time(simulation, 5.0)
    assert now(simulation, second).reason is Reason.SAME_PICTURE
    pass_time(simulation, HOUR)
    assert now(simulation, second).stored[0].etag == now(simulation, first).stored[0].etag
    rest(simulation)
    assert simulation.runflow.billed == 2 * PRICE


def test_a_copy_is_cleaned_anew_where_that_is_asked_for(simulation: Simulation) -> None:
    """Its own output is replaced; the photo that was paid for first keeps its own."""
    delivered(simulation, "a.jpg")
    old = run_of(simulation, "a.jpg")
    second = delivered(simulation, "b.jpg")
    found = reopen(simulation, "paid", second)
    assert (found.state, found.reused_from, found.total_cost) == (State.DELIVERED, None, PRICE)
    assert run_of(simulation, "b.jpg") == found.run_id != old == run_of(simulation, "a.jpg")
    rest(simulation)
    assert simulation.runflow.billed == 2 * PRICE


def test_a_delivered_output_is_sent_if_that_is_paid(simulation: Simulation) -> None:
    """What detag delivered, and somebody uploaded, was skipped; and it is again if it is to cost nothing. (The Runflow
    of the simulation takes no output for a photo.)
    """
    delivered(simulation, "a.jpg")
    output = simulation.photos.outputs["a.jpg"].data
    skipped = simulation.upload("back.jpg", output, sent=True)
    simulation.checker.fed_back(skipped)
    pass_time(simulation, HOUR)
    assert now(simulation, skipped.job_id).reason is Reason.ALREADY_CLEANED
    assert reopen(simulation, "unpaid", skipped.job_id).reason is Reason.ALREADY_CLEANED
    assert len(simulation.runflow.sent) == 1
    assert reopen(simulation, "paid", skipped.job_id).reason is Reason.RUN_FAILED
    assert len(simulation.runflow.sent) > 1


def test_an_unpaid_request_uses_what_is_known_meanwhile(simulation: Simulation) -> None:
    """It failed free of charge; an equal photo was paid for since."""
    simulation.runflow.endings = [FREE]
    first = upload(simulation, "a.jpg", "same")
    pass_time(simulation, 0.5 * HOUR)
    assert now(simulation, first).reason is Reason.RUN_FAILED
    delivered(simulation, "b.jpg")
    found = reopen(simulation, "unpaid", first)
    assert (found.state, found.reused_from, found.total_cost) == (State.DELIVERED, "b.jpg", Decimal(0))
    assert not [key for key in simulation.photos.outputs if key.startswith("_failed/")]
    rest(simulation)
    assert simulation.runflow.billed == PRICE


def test_a_job_closed_as_before_forgets_no_newer_result(simulation: Simulation) -> None:
    """It is asked for its run, whose output Runflow does not give any more, after an equal photo was cleaned anew."""
    first = delivered(simulation, "a.jpg")
    second = delivered(simulation, "b.jpg")
    newest = reopen(simulation, "paid", second)
    known = simulation.jobs.pictures[newest.picture or ""]
    old = simulation.runflow.runs[now(simulation, first).run_id or ""]
    old.status, old.billed = "failed", PRICE
    found = reopen(simulation, "ask", first)
    assert (found.state, found.decision) == (State.DELIVERED, "closed as before: no run of it has a result")
    assert simulation.jobs.pictures[newest.picture or ""] == known
    assert sum(simulation.jobs.reused_on.values()) == 1


def test_a_run_that_is_used_after_all_has_its_picture(simulation: Simulation) -> None:
    """It was given up as late, and is asked for again: an equal photo waits for its result, and pays if none comes."""
    simulation.runflow.endings = [Ending(queued=1.0, seconds=float("inf"))]
    first = upload(simulation, "a.jpg", "same")
    pass_time(simulation, 30 * HOUR)
    assert now(simulation, first).reason is Reason.TIMED_OUT
    assert reopen(simulation, "ask", first).state is State.SUBMITTED
    second = upload(simulation, "b.jpg", "same")
    pass_time(simulation, HOUR)
    assert now(simulation, second).reason is Reason.SAME_PICTURE
    pass_time(simulation, 30 * HOUR)
    assert now(simulation, first).reason is Reason.TIMED_OUT
    assert (now(simulation, second).state, now(simulation, second).reused_from) == (State.DELIVERED, None)
    assert simulation.runflow.billed == PRICE


def test_an_older_copy_is_not_taken_for_the_new_result(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy is asked to be paid for, and Runflow never shows the run: a person is told, and the copy stays a copy."""
    delivered(simulation, "a.jpg")
    copy = delivered(simulation, "b.jpg")
    simulation.runflow.faults = [Fault(effect=True)]
    monkeypatch.setattr(simulation.runflow, "is_unreadable", lambda _: True)
    simulation.runflow.habits.may_list = False
    reopen(simulation, "paid", copy, 5 * DAY)
    assert (now(simulation, copy).state, now(simulation, copy).reason) == (State.FAILED, Reason.NOT_CONFIRMED)
    rest(simulation)
