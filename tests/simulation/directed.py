"""Steps of the simulations that are directed one by one."""

from __future__ import annotations

from detag.ports.runs_fake import Ending
from tests.simulation.photos import photo
from tests.simulation.simulation import DAY, Simulation

HOUR = 3600.0
SLOW = Ending(queued=10.0, seconds=30.0)


def upload(simulation: Simulation, key: str = "shoe.jpg", name: str = "") -> str:
    """Upload a photo; returns the id of its job."""
    return simulation.upload(key, photo(name or f"p{next(simulation.numbers)}", "image/jpeg")).job_id


def pass_time(simulation: Simulation, seconds: float) -> None:
    simulation.run_until(simulation.time + seconds)


def rest(simulation: Simulation) -> None:
    """Until nothing happens any more: then every invariant holds."""
    simulation.run_out(simulation.time + 12 * DAY)
    simulation.checker.at_rest()
    assert not simulation.checker.broken, simulation.checker.broken


def states(simulation: Simulation, job_id: str) -> list[str]:
    """The states that a job was in, without repetitions."""
    found: list[str] = []
    for write in simulation.jobs.writes:
        if write.after.job_id == job_id and (not found or found[-1] != write.after.state):
            found.append(write.after.state)
    return found


def by_state(simulation: Simulation) -> dict[str, int]:
    found: dict[str, int] = {}
    for job in simulation.jobs.jobs.values():
        found[job.state.value] = found.get(job.state.value, 0) + 1
    return found


def set_clocks(simulation: Simulation, skew: float) -> None:
    """From now on all processes are new ones, whose clocks are so many seconds ahead."""
    simulation.skew = skew
    for idle in simulation.idle.values():
        idle.clear()
