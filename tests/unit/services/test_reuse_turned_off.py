"""`ReuseResults` is turned off, and on again: the newest result of a picture is the known one."""

from __future__ import annotations

import pytest

from detag.domain.job import State
from detag.domain.naming import RUN_ID
from detag.ports.runs_fake import Ending, tiny_image
from tests.unit.services.harness import Harness

DATA = tiny_image("image/jpeg", b"the same")


class Toggled(Harness):
    """Each run makes other pixels, and every upload is of one photo."""

    def __init__(self, *, reuses: bool) -> None:
        super().__init__(reuse_results=reuses)
        self.endings = [Ending(instead=tiny_image("image/webp", b"result %d" % number)) for number in range(9)]

    def shown(self, key: str) -> str:
        """The bytes at a key of the output bucket."""
        return self.photos.outputs[key].etag


@pytest.mark.parametrize("key", ["a.jpg", "b.jpg", "c.jpg"])
@pytest.mark.parametrize("meanwhile", ["a.jpg", "b.jpg"])
def test_the_newest_result_is_reused(meanwhile: str, key: str) -> None:
    """A photo keeps the one under its own name; whatever else, nothing older takes its place."""
    harness = Toggled(reuses=True)
    harness.clean("a.jpg", DATA)
    harness.deploy(reuse_results=False)
    newest = harness.clean(meanwhile, DATA)
    own = harness.photos.outputs.get(f"{key}.webp")
    harness.deploy()
    again = harness.clean(key, DATA)
    assert (again.cost, len(harness.runs.runs)) == ("0", 2)
    assert harness.shown(f"{key}.webp") == (newest.stored[0].etag if own is None else own.etag)


def test_what_was_delivered_while_it_was_off_is_known() -> None:
    harness = Toggled(reuses=False)
    harness.clean("a.jpg", DATA)
    newest = harness.clean("a.jpg", DATA)
    harness.deploy()
    again = harness.clean("a.jpg", DATA)
    assert (again.cost, again.reused_from) == ("0", "a.jpg.webp")
    assert harness.photos.outputs["a.jpg.webp"].metadata[RUN_ID] == newest.run_id, "nothing is written"


def test_without_reuse_none_waits_for_another() -> None:
    """Two equal photos at the same time are two runs, and neither keeps the picture from the next."""
    harness = Toggled(reuses=False)
    for key in ("a.jpg", "b.jpg"):
        harness.wait(1.0)
        harness.submit.handle(harness.upload(key, DATA), harness.clock.monotonic() + 30.0)
    assert [job.state for job in harness.jobs.jobs.values()] == [State.SUBMITTED] * 2
    assert harness.jobs.pictures == {}
    harness.deploy()
    assert harness.clean("c.jpg", DATA).cost == "0.14"
    assert harness.clean("d.jpg", DATA).reused_from == "c.jpg.webp"


def test_a_result_without_reuse_leaves_who_pays() -> None:
    """It was asked for while reuse was off, and arrives while an equal photo is being paid for: that one goes on."""
    harness = Toggled(reuses=False)
    harness.endings = [Ending(seconds=50.0), Ending(seconds=900.0)]
    for key, reuses in (("a.jpg", False), ("b.jpg", True)):
        harness.deploy(reuse_results=reuses)
        harness.wait(1.0)
        harness.submit.handle(harness.upload(key, DATA), harness.clock.monotonic() + 30.0)
    first, second = harness.jobs.jobs.values()
    harness.wait(60.0)
    harness.give({"job_id": first.job_id, "run_id": first.run_id})
    (picture,) = harness.jobs.pictures.values()
    assert (picture.taken_by, picture.first.run_id) == (second.job_id, first.run_id)
    harness.wait(1_000.0)
    harness.give({"job_id": second.job_id, "run_id": second.run_id})
    (picture,) = harness.jobs.pictures.values()
    assert (picture.taken_by, picture.first.run_id) == (None, second.run_id)
