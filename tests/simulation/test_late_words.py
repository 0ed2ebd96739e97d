"""What Runflow says of a run late means something else than the same words at once."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from detag.domain.job import Job, State
from detag.domain.reasons import Reason
from detag.ports.runs_fake import Ending, FakeRun
from tests.simulation.photos import photo
from tests.simulation.simulation import DAY, Simulation

INVALID = Ending(status="failed", cost=Decimal(0), code="INPUT_VALIDATION_FAILED")


def ended(simulation: Simulation, *endings: Ending) -> Job:
    """The job of a photo whose runs go as planned, after a day."""
    simulation.runflow.endings = list(endings)
    job_id = simulation.upload("shoe.jpg", photo("shoe", "image/jpeg")).job_id
    simulation.run_out(simulation.time + DAY)
    return simulation.jobs.jobs[job_id]


def test_a_photo_that_runflow_refuses_at_once_is_not_sent_again() -> None:
    simulation = Simulation(1, faults=False)
    job = ended(simulation, INVALID)
    assert (job.state, job.reason, len(simulation.runflow.runs)) == (State.FAILED, Reason.RUN_FAILED, 1)


def test_a_photo_refused_after_a_long_wait_is_sent_again() -> None:
    """A photo that Runflow refuses after a long wait is sent again under a new URL."""
    simulation = Simulation(1, faults=False)
    job = ended(simulation, replace(INVALID, queued=1_200.0), Ending())
    assert (job.state, job.attempt, len(simulation.runflow.runs)) == (State.DELIVERED, 2, 2)


@pytest.mark.parametrize("seconds", [20.0, 3_000.0])
def test_a_run_that_shows_its_output_late_is_not_given_up(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    simulation = Simulation(1, faults=False)
    reads: list[str] = []
    record = simulation.runflow.record

    def without_an_output_at_first(run: FakeRun) -> dict[str, Any]:
        found = record(run)
        if run.ended and len(reads) < 2:
            reads.append(run.run_id)
            found["output"] = None
        return found

    monkeypatch.setattr(simulation.runflow, "record", without_an_output_at_first)
    job = ended(simulation, Ending(seconds=seconds))
    assert (len(reads), job.state) == (2, State.DELIVERED)
