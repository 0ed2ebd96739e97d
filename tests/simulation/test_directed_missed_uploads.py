"""Uploads whose events never come, or hours late, step by step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from detag.domain.job import State
from detag.domain.naming import JOB_ID
from tests.simulation.directed import HOUR, pass_time, rest
from tests.simulation.photos import photo
from tests.simulation.simulation import Simulation


@pytest.fixture
def silent(simulation: Simulation) -> Iterator[Simulation]:
    """A simulation in which no event comes while `event never comes` is at its rate."""
    simulation.profile.active = True
    simulation.profile.rates = {"event never comes": 1.0}
    yield simulation
    simulation.profile.rates = {}


def test_photos_of_the_first_minutes_are_found(silent: Simulation) -> None:
    """Photos of the first five minutes, of which no event tells, are paid for once and delivered."""
    for number in range(5):
        silent.upload(f"{number}.jpg", photo(f"p{number}", "image/jpeg"))
        pass_time(silent, 60.0)
    pass_time(silent, 3 * HOUR)
    assert [job.state for job in silent.jobs.jobs.values()] == [State.DELIVERED] * 5
    assert len(silent.runflow.runs) == 5
    silent.profile.active = False
    rest(silent)


def test_each_version_of_a_name_is_found(silent: Simulation) -> None:
    """The next version of a photo that the scan has found replaces its output."""
    for number in (1, 2, 3):
        upload = silent.upload("shoe.jpg", photo(f"p{number}", "image/jpeg"))
        pass_time(silent, 3 * HOUR)
        assert silent.jobs.jobs[upload.job_id].state is State.DELIVERED
        (output,) = silent.photos.outputs.values()
        assert output.metadata[JOB_ID] == upload.job_id
    silent.profile.active = False
    rest(silent)
    assert len(silent.runflow.runs) == 3


def test_a_version_found_before_an_event_comes_is_replaced(silent: Simulation) -> None:
    """What an event tells of ranks above it, and the scan takes up nothing more of that name."""
    silent.upload("shoe.jpg", photo("p1", "image/jpeg"))
    pass_time(silent, 3 * HOUR)
    silent.profile.rates = {}
    second = silent.upload("shoe.jpg", photo("p2", "image/jpeg"))
    pass_time(silent, HOUR)
    silent.profile.rates = {"event never comes": 1.0}
    third = silent.upload("shoe.jpg", photo("p3", "image/jpeg"))
    pass_time(silent, 3 * HOUR)
    assert silent.jobs.jobs[second.job_id].state is State.DELIVERED
    assert third.job_id not in silent.jobs.jobs
    silent.profile.active = False
    rest(silent)


def test_an_event_that_comes_hours_later_pays_nothing(silent: Simulation) -> None:
    """The event of a photo that the scan has found finds its job, whatever state that is in."""
    upload = silent.upload("shoe.jpg", photo("shoe", "image/jpeg"))
    pass_time(silent, 3 * HOUR)
    assert silent.jobs.jobs[upload.job_id].state is State.DELIVERED
    silent.rule_dead.append(
        {
            "time": "2026-11-23T20:00:00Z",
            "detail": {
                "bucket": {"name": "in"},
                "object": {
                    "key": upload.key,
                    "version-id": upload.version_id,
                    "sequencer": upload.sequencer,
                    "etag": upload.etag,
                    "size": upload.size,
                },
            },
        }
    )
    silent.profile.active = False
    silent.redrive_rule()
    rest(silent)
    assert len(silent.runflow.runs) == 1


def test_after_the_jobs_item_is_gone_nothing_is_paid_again(simulation: Simulation) -> None:
    """A photo whose job has expired is not taken for one that had no event."""
    upload = simulation.upload("shoe.jpg", photo("shoe", "image/jpeg"))
    pass_time(simulation, HOUR)
    assert simulation.jobs.jobs[upload.job_id].state is State.DELIVERED
    pass_time(simulation, 100 * 24 * HOUR)
    simulation.jobs.expire()
    simulation.jobs._scan = None  # as after an update from a version without the scan
    simulation.wake(simulation.time)
    pass_time(simulation, 3 * HOUR)
    assert len(simulation.runflow.runs) == 1
