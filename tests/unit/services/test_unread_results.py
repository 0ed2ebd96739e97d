"""A result that only its callback's links gave, since Runflow's record of the run could not be read, is known too."""

from __future__ import annotations

import pytest

from detag.domain.job import State
from detag.ports.errors import Transient
from detag.ports.runs_fake import FAILED, Ending, Fault, tiny_image
from tests.unit.services.harness import Harness

PHOTO = tiny_image("image/jpeg", b"a shoe")


@pytest.mark.parametrize(
    ("faults", "endings", "submissions"),
    [([], [], 1), ([Fault(429)], [], 2), ([], [FAILED], 2), ([Fault(503, effect=False)], [], 1)],
    ids=["first", "429", "failed free", "503"],
)
def test_a_picture_delivered_without_a_record_is_known(
    faults: list[Fault | None], endings: list[Ending], submissions: int
) -> None:
    """Also where its run is not the first: the answer to the POST named it, so that it asked for what was claimed."""
    harness = Harness()
    harness.faults, harness.endings = faults, endings
    harness.send(harness.upload("a.jpg", PHOTO))
    for _ in range(30):
        harness.wait(120.0)
        if harness.job.state is State.SUBMITTED and harness.job.submission_no == submissions:
            break
        if harness.job.run_id:
            harness.arrive()
        harness.send_to(harness.job)
    harness.wait(100.0)
    run = harness.runs.get(harness.job.run_id or "")
    assert run is not None
    harness.broken["runs.get"] = Transient("503")
    arrived = harness.arrive(status="succeeded", links=list(run.output_urls), sent_at=harness.clock.now())
    assert (arrived.state, arrived.submission_no) == (State.DELIVERED, submissions)
    harness.broken.clear()
    made = len(harness.runs.runs)
    copied = harness.clean("b.jpg", PHOTO)
    assert (copied.reused_from, len(harness.runs.runs)) == ("a.jpg.webp", made)
