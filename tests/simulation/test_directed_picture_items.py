"""Pictures whose items name what is not there, or cannot be: nothing of it stops a photo."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detag.domain.job import State
from detag.domain.picture import Output
from detag.ports.errors import Transient
from detag.ports.runs_fake import Ending
from tests.simulation.directed import HOUR, pass_time, rest, upload
from tests.simulation.simulation import Simulation
from tests.simulation.test_directed_pictures import job, paid, played

GONE = Output(1, "gone.jpg", "no version", "e", 9, "image/webp")


def two_outputs(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> str:
    """A photo with two outputs, of which the second breaks off until it is `readable`; returns its job."""
    simulation.runflow.endings = [Ending(queued=1.0, seconds=1.0, images=2)]
    read, readable = simulation.fetcher._read, simulation.time + 30.0

    def break_off(url: str) -> object:
        if simulation.time < readable and url.partition("?")[0].rpartition("/")[2].startswith("2."):
            raise Transient("broken off")
        return read(url)

    monkeypatch.setattr(simulation.fetcher, "_read", break_off)
    first = upload(simulation, "a.jpg", "same")
    pass_time(simulation, 20.0)
    assert len(job(simulation, first).done) == 1
    return first


@pytest.mark.parametrize("data", [None, b"retouched"])
def test_an_output_that_went_during_delivery(monkeypatch: pytest.MonkeyPatch, data: bytes | None) -> None:
    """A person deletes or retouches the first while the second is being stored: the picture is not known, and an equal
    photo is paid for, not copied from what somebody made of it.
    """
    simulation = played()
    first = two_outputs(simulation, monkeypatch)
    simulation.change_by_hand(job(simulation, first).done[0], data)
    pass_time(simulation, HOUR)
    delivered = job(simulation, first)
    assert delivered.state is State.DELIVERED
    assert (len(delivered.outputs), [one.number for one in delivered.stored]) == (2, [2])
    second = upload(simulation, "b.jpg", "same")
    pass_time(simulation, HOUR)
    assert (job(simulation, second).state, job(simulation, second).reused_from) == (State.DELIVERED, None)
    rest(simulation)


def test_outputs_of_two_invocations_are_all_known(monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = played()
    first = two_outputs(simulation, monkeypatch)
    pass_time(simulation, HOUR)
    assert [one.number for one in job(simulation, first).stored] == [1, 2]
    second = upload(simulation, "b.jpg", "same")
    rest(simulation)
    assert (paid(simulation), len(job(simulation, second).outputs)) == (1, 2)


@pytest.mark.parametrize(
    "output",
    [
        GONE,
        replace(GONE, content_type="image/tiff"),
        replace(GONE, content_type=""),
        replace(GONE, key=""),
        replace(GONE, key="k" * 1_025),
        replace(GONE, number=0),
    ],
    ids=["gone", "tiff", "no type", "no key", "long key", "number 0"],
)
@pytest.mark.parametrize("is_original", [False, True])
def test_an_item_that_names_no_output_is_none(output: Output, is_original: bool) -> None:
    simulation = played()
    upload(simulation, "a.jpg", "same")
    pass_time(simulation, HOUR)
    (known,) = simulation.jobs.pictures.values()
    outputs, originals = (known.first.outputs, (output,)) if is_original else ((output,), ())
    result = replace(known.first, outputs=outputs, originals=originals)
    there = replace(known, results=(result,), version=known.version + 1)
    simulation.jobs.pictures[known.picture_id] = there
    second = upload(simulation, "b.jpg", "same")
    pass_time(simulation, HOUR)
    assert job(simulation, second).state is State.DELIVERED
    third = upload(simulation, "c.jpg", "same")
    pass_time(simulation, HOUR)
    assert job(simulation, third).reused_from is not None, "the next delivery is known in its place"
    assert not simulation.uploads.dead
