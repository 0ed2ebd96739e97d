"""What Runflow says of a run late means something else than the same words at once."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from detag.domain.job import Job, Reason, State
from detag.ports.runs_fake import Ending, FakeRun
from tests.simulation.pictures import photo
from tests.simulation.world import DAY, World

INVALID = Ending(status="failed", cost=Decimal(0), code="INPUT_VALIDATION_FAILED")


def ended(world: World, *endings: Ending) -> Job:
    """The job of a photo whose runs go as planned, after a day."""
    world.runflow.endings = list(endings)
    job_id = world.upload("shoe.jpg", photo("shoe", "image/jpeg")).job_id
    world.run_out(world.time + DAY)
    return world.jobs.jobs[job_id]


def test_a_photo_that_runflow_refuses_at_once_is_not_sent_again() -> None:
    world = World(1, calm=True)
    job = ended(world, INVALID)
    assert (job.state, job.reason, len(world.runflow.runs)) == (State.FAILED, Reason.RUN_FAILED, 1)


def test_a_photo_that_runflow_refuses_after_a_long_wait_is_sent_again_under_a_new_url() -> None:
    world = World(1, calm=True)
    job = ended(world, replace(INVALID, queued=1_200.0), Ending())
    assert (job.state, job.attempt, len(world.runflow.runs)) == (State.DELIVERED, 2, 2)


@pytest.mark.parametrize("seconds", [20.0, 3_000.0])
def test_a_run_that_shows_its_picture_late_is_not_given_up(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    world = World(1, calm=True)
    looks: list[str] = []
    record = world.runflow.record

    def without_a_picture_at_first(run: FakeRun) -> dict[str, Any]:
        told = record(run)
        if run.ended and len(looks) < 2:
            looks.append(run.run_id)
            told["output"] = None
        return told

    monkeypatch.setattr(world.runflow, "record", without_a_picture_at_first)
    job = ended(world, Ending(seconds=seconds))
    assert (len(looks), job.state) == (2, State.DELIVERED)
