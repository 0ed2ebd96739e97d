"""A result that comes late, of a photo whose run had ended without one: no equal photo is paid for beside it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from detag.domain.job import Job, State
from detag.domain.reasons import Reason
from detag.ports.runs_fake import Ending, Fault
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
