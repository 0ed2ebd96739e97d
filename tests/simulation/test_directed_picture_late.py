"""A result that comes late, of a photo whose run had ended without one: no equal photo is paid for beside it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from detag.domain.job import Job, State
from detag.domain.reasons import Reason
from detag.ports.runs_fake import Ending, Fault
from tests import environment
from tests.simulation.directed import HOUR, SLOW, pass_time, rest, upload
from tests.simulation.simulation import Simulation
from tests.simulation.test_directed_pictures import job, paid, played

FREE = Ending(queued=1.0, seconds=1.0, status="failed", cost=Decimal(0), code="MODEL_ERROR")
CANCELLED = replace(SLOW, status="canceled", cost=Decimal(0))


def drop(simulation: Simulation, key: str, name: str = "same", seconds: float = HOUR) -> Job:
    """Upload a photo, the same one unless another is named; its job some time later."""
    job_id = upload(simulation, key, name)
    pass_time(simulation, seconds)
    return job(simulation, job_id)


def try_again(simulation: Simulation, of: Job) -> None:
    """Runflow tries the run of a job again by itself, and it ends well."""
    run = simulation.runflow.runs[of.run_id or ""]
    simulation.runflow.tried_again.add(run.run_id)
    simulation.runflow.try_again(run)


@pytest.mark.parametrize("ending", [FREE, CANCELLED], ids=["failed", "cancelled"])
@pytest.mark.parametrize("rejected", [0, 1], ids=["new", "rejected before"])
def test_a_photo_is_not_sent_again_once_known(ending: Ending, rejected: int) -> None:
    """Its POST had no clear answer, and made no run. It gets a copy of what was delivered late of an equal photo."""
    simulation = played(max_attempts=1)
    if rejected:
        drop(simulation, "z.jpg")
        simulation.reject("z.jpg")
    simulation.runflow.endings = [ending]
    first = drop(simulation, "a.jpg")
    assert first.state in (State.FAILED, State.CANCELLED)
    simulation.runflow.faults = [Fault(503)]
    second = drop(simulation, "d.jpg", seconds=60.0)
    assert second.reason is Reason.UNCONFIRMED
    try_again(simulation, first)
    pass_time(simulation, 2 * HOUR)
    assert job(simulation, first.job_id).state is State.DELIVERED
    found = job(simulation, second.job_id)
    assert (found.state, found.cost, found.not_reused) == (State.DELIVERED, "0", None)
    rest(simulation)
    assert paid(simulation) == 1 + rejected


def test_a_new_result_is_asked_for_again_though_known() -> None:
    """Of a photo that was reopened as paid the same bytes are sent again: what is known is not what is wanted."""
    simulation = played()
    first = drop(simulation, "a.jpg")
    simulation.runflow.faults = [Fault(503)]
    simulation.reopen("paid", {"job_id": first.job_id})
    pass_time(simulation, 2 * HOUR)
    found = job(simulation, first.job_id)
    assert (found.state, found.submission_no) == (State.DELIVERED, 2)
    rest(simulation)
    assert paid(simulation) == 2


def out(simulation: Simulation, key: str) -> str:
    """The key of the output of a photo."""
    return next(one for one in simulation.photos.outputs if one in (key, f"{key}.webp"))


def two_results(simulation: Simulation) -> tuple[Job, Job]:
    """Two equal photos, both paid for: the second since the first one's run had failed, free of charge. It ended well
    after all.
    """
    simulation.runflow.endings = [FREE]
    first, second = drop(simulation, "a.jpg"), drop(simulation, "d.jpg")
    try_again(simulation, first)
    pass_time(simulation, HOUR)
    found = job(simulation, first.job_id), job(simulation, second.job_id)
    assert [(one.state, one.reused_from) for one in found] == [(State.DELIVERED, None)] * 2
    assert paid(simulation) == 2
    return found


def spoil(simulation: Simulation, key: str, how: str) -> None:
    if how == "rejected":
        simulation.reject(out(simulation, key))
    else:
        simulation.change_by_hand(out(simulation, key), None if how == "deleted" else b"retouched")


@pytest.mark.parametrize("how", ["deleted", "overwritten", "rejected"])
@pytest.mark.parametrize(("spoilt", "other"), [("a.jpg", "d.jpg"), ("d.jpg", "a.jpg")])
@pytest.mark.parametrize("again", ["a.jpg", "d.jpg", "e.jpg"])
def test_of_two_results_one_is_enough(how: str, spoilt: str, other: str, again: str) -> None:
    """Each is deleted, overwritten or rejected by itself; whichever came later."""
    simulation = played(max_attempts=1)
    two_results(simulation)
    source = out(simulation, other)
    spoil(simulation, spoilt, how)
    found = drop(simulation, again)
    assert (found.state, found.reused_from) == (State.DELIVERED, source)
    rest(simulation)
    assert paid(simulation) == 2


@pytest.mark.parametrize("how", ["deleted", "rejected"])
def test_of_two_results_none_is_left(how: str) -> None:
    simulation = played(max_attempts=1)
    two_results(simulation)
    for name in ("a.jpg", "d.jpg"):
        spoil(simulation, name, how)
    assert drop(simulation, "e.jpg").not_reused is not None
    assert drop(simulation, "a.jpg").reused_from == "e.jpg"
    rest(simulation)
    assert paid(simulation) == 3


@pytest.mark.parametrize("again", ["a.jpg", "d.jpg"])
def test_each_name_keeps_its_own_of_two_results(again: str) -> None:
    simulation = played(max_attempts=1)
    two_results(simulation)
    puts = len(simulation.photos.puts)
    found = drop(simulation, again)
    assert (found.reused_from, len(simulation.photos.puts)) == (out(simulation, again), puts)


def test_a_run_that_took_too_long_is_no_less_a_result() -> None:
    """It ended after an equal photo had taken its place."""
    simulation = played(run_timeout_hours=2)
    simulation.runflow.endings = [replace(SLOW, seconds=10 * HOUR)]
    drop(simulation, "a.jpg", seconds=10.0)
    second = drop(simulation, "d.jpg", seconds=20 * HOUR)
    assert (paid(simulation), second.reused_from) == (2, None)
    for name, other in (("a.jpg", "d.jpg"), ("d.jpg", "e.jpg")):
        spoil(simulation, name, "deleted")
        assert drop(simulation, "e.jpg").reused_from in (other, "e.jpg")
    rest(simulation)
    assert paid(simulation) == 2


def test_the_earlier_result_is_used_where_the_new_is_gone() -> None:
    """Another one was asked for, and deleted. Had it been rejected, the earlier one would not be good enough either."""
    simulation = played()
    drop(simulation, "a.jpg")
    second = drop(simulation, "b.jpg")
    simulation.reopen("paid", {"job_id": second.job_id})
    pass_time(simulation, HOUR)
    assert drop(simulation, "c.jpg").reused_from == "b.jpg"
    for name in ("b.jpg", "c.jpg"):
        simulation.change_by_hand(name, None)
    assert drop(simulation, "d.jpg").reused_from == "a.jpg"
    rest(simulation)
    assert paid(simulation) == 2


@pytest.mark.parametrize("again", ["a.jpg", "b.jpg", "c.jpg"])
def test_the_earlier_result_is_not_used_if_the_new_is_bad(again: str) -> None:
    simulation = played()
    drop(simulation, "a.jpg")
    second = drop(simulation, "b.jpg")
    simulation.reopen("paid", {"job_id": second.job_id})
    pass_time(simulation, HOUR)
    simulation.reject("b.jpg")
    assert drop(simulation, again).not_reused == "the earlier result was rejected"
    rest(simulation)
    assert paid(simulation) == 3


def test_what_was_rejected_does_not_come_back() -> None:
    """It is delivered once more, because somebody asks for its run, and is no more used than before."""
    simulation = played()
    first = drop(simulation, "b.jpg")
    simulation.runflow.endings = [Ending(queued=1.0, seconds=1.0, status="failed", code="POSTPROCESS_FAILED")]
    simulation.reopen("paid", {"job_id": first.job_id})
    pass_time(simulation, HOUR)
    simulation.reject("b.jpg")
    assert drop(simulation, "d.jpg").not_reused == "the earlier result was rejected"
    assert paid(simulation) == 3
    simulation.reopen("ask", {"job_id": first.job_id})
    pass_time(simulation, HOUR)
    assert job(simulation, first.job_id).run_id == first.run_id
    assert drop(simulation, "e.jpg").reused_from == "d.jpg"
    rest(simulation)
    assert paid(simulation) == 3


def test_another_photos_rejection_is_not_its_own() -> None:
    """Without versions: another photo's output stands at the key by now, and was rejected. The copy is still good."""
    simulation = played()
    simulation.photos.keeps_versions = False
    drop(simulation, "a.jpg")
    drop(simulation, "b.jpg")
    drop(simulation, "a.jpg", "other")
    simulation.reject("a.jpg")
    found = drop(simulation, "c.jpg")
    assert (found.not_reused, found.reused_from) == (None, "b.jpg")
    rest(simulation)
    assert paid(simulation) == 2


def test_a_photo_with_its_own_result_is_no_copy_any_more() -> None:
    """It was delivered as a copy; its own run, which had failed, ended well after all, and was asked for."""
    simulation = played()
    simulation.runflow.endings = [FREE]
    first = drop(simulation, "d.jpg", seconds=8.0)
    drop(simulation, "e.jpg")
    assert job(simulation, first.job_id).reused_from == out(simulation, "e.jpg")
    run = simulation.runflow.runs[job(simulation, first.job_id).earlier_runs[0]]
    simulation.runflow.tried_again.add(run.run_id)
    simulation.runflow.try_again(run)
    pass_time(simulation, 60.0)
    simulation.reopen("ask", {"job_id": first.job_id})
    pass_time(simulation, HOUR)
    found = job(simulation, first.job_id)
    assert (found.state, found.run_id, found.reused_from) == (State.DELIVERED, run.run_id, None)
    assert sum(simulation.jobs.reused_on.values()) == 1
    rest(simulation)
    assert paid(simulation) == 2


def test_a_copy_that_is_closed_as_before_stays_a_copy() -> None:
    """Its own run is asked for once more, and does not end well."""
    simulation = played()
    simulation.runflow.endings = [FREE]
    first = drop(simulation, "d.jpg", seconds=8.0)
    drop(simulation, "e.jpg")
    before = job(simulation, first.job_id)
    simulation.reopen("ask", {"job_id": first.job_id})
    pass_time(simulation, HOUR)
    found = job(simulation, first.job_id)
    assert found.decision is not None and found.decision.startswith("closed as before")
    assert (found.state, found.reused_from) == (State.DELIVERED, before.reused_from)
    assert before.reused_from is not None
    rest(simulation)


def test_an_equal_photo_waits_for_an_unclear_answer() -> None:
    """The POST may have made a run, and has: nothing is paid beside it."""
    simulation = played()
    simulation.runflow.faults, simulation.runflow.endings = [Fault(503, effect=True)], [SLOW]
    first = drop(simulation, "a.jpg", seconds=15.0)
    second = drop(simulation, "b.jpg", seconds=15.0)
    assert (first.reason, second.reason) == (Reason.UNCONFIRMED, Reason.SAME_PICTURE)
    rest(simulation)
    assert paid(simulation) == 1


@pytest.mark.parametrize("ratio", ["", "4:3"])
def test_a_late_result_of_another_shape_is_not_known(monkeypatch: pytest.MonkeyPatch, ratio: str) -> None:
    """It arrives while its job, reopened for another shape, waits for an equal photo that is cleaned in that shape."""
    simulation = played()
    simulation.runflow.endings = [replace(SLOW, seconds=40 * HOUR), replace(SLOW, seconds=20 * HOUR)]
    first = drop(simulation, "a.jpg", seconds=30 * HOUR)
    monkeypatch.setitem(environment.ENVIRON, "ASPECT_RATIO", ratio)
    for idle in simulation.idle.values():
        idle.clear()
    second = drop(simulation, "d.jpg", seconds=60.0)
    simulation.reopen("paid", {"job_id": first.job_id})
    pass_time(simulation, 60.0)
    assert job(simulation, first.job_id).reason is Reason.SAME_PICTURE
    pass_time(simulation, 11 * HOUR)
    found = [job(simulation, one.job_id).state for one in (first, second)]
    assert found == [State.DELIVERED, State.SUBMITTED]
    known = simulation.jobs.pictures[second.picture or ""]
    assert (first.run_id in [result.run_id for result in known.results]) is not bool(ratio)
    rest(simulation)
