"""What detag delivered, uploaded again: it is not cleaned again, unless somebody asks for just that."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from detag.domain.job import Job, State
from detag.domain.reasons import Reason
from tests.unit.services.harness import Harness


class FedBack(Harness):
    """One photo is delivered, and its output was uploaded and skipped."""

    def __init__(self) -> None:
        super().__init__()
        self.drop("shoe.jpg")
        self.output = self.photos.outputs["shoe.jpg.webp"].data
        self.skipped = self.drop("back.webp", self.output)
        assert self.skipped.reason is Reason.ALREADY_CLEANED

    def drop(self, key: str, data: bytes | None = None, **metadata: str) -> Job:
        """A photo is uploaded, and what can happen to it does."""
        self.wait(1.0)
        self.submit.handle(self.upload(key, data, **metadata), self.clock.monotonic() + 30.0)
        return self.goes_on(list(self.jobs.jobs)[-1])

    def reopen(self, job: Job, how: str, request_id: str) -> Job:
        """Somebody asks for a closed job."""
        at = datetime.fromtimestamp(self.clock.now(), UTC).isoformat()
        asked = {"job_id": job.job_id, "how": how, "by": "anna", "id": request_id, "at": at}
        self.submit.handle({"reopen": asked}, self.clock.monotonic() + 30.0)
        return self.goes_on(job.job_id)

    def goes_on(self, job_id: str) -> Job:
        """The job once its run has ended, if it has one."""
        self.wait(100.0)
        job = self.jobs.jobs[job_id]
        if job.state is State.SUBMITTED:
            self.give({"job_id": job_id, "run_id": job.run_id})
        return self.jobs.jobs[job_id]


def test_an_output_that_is_paid_for_once_is_cleaned_once() -> None:
    """The request is for one upload alone: what is uploaded after it is skipped as before, under any name."""
    harness = FedBack()
    paid = harness.reopen(harness.skipped, "paid", "r-1")
    assert (paid.state, paid.cost) == (State.DELIVERED, "0.14")
    for key in ("back.webp", "third.webp"):
        assert harness.drop(key, harness.output).reason is Reason.ALREADY_CLEANED
    assert len(harness.runs.runs) == 2


@pytest.mark.parametrize("how", ["deleted", "rejected"])
def test_an_output_is_not_paid_for_again_because_its_own_is_bad(how: str) -> None:
    harness = FedBack()
    (output,) = harness.reopen(harness.skipped, "paid", "r-1").stored
    if how == "deleted":
        del harness.photos.outputs[output.key], harness.photos.older[output.key, output.version_id or ""]
    else:
        harness.photos.output_tags[output.key, output.version_id] = {"detag-review": "rejected"}
    assert harness.drop("third.webp", harness.output).reason is Reason.ALREADY_CLEANED
    assert len(harness.runs.runs) == 2


def test_an_output_is_skipped_while_it_is_paid_for_elsewhere() -> None:
    """It need not wait for an equal one: it would be skipped all the same."""
    harness = FedBack()
    at = datetime.fromtimestamp(harness.clock.now(), UTC).isoformat()
    asked = {"job_id": harness.skipped.job_id, "how": "paid", "by": "anna", "id": "r-1", "at": at}
    harness.submit.handle({"reopen": asked}, harness.clock.monotonic() + 30.0)
    assert harness.jobs.jobs[harness.skipped.job_id].state is State.SUBMITTED
    assert harness.drop("third.webp", harness.output).reason is Reason.ALREADY_CLEANED


def test_each_paid_request_is_an_exception_of_its_own() -> None:
    """Of that upload: it is paid for as often as somebody asks for it."""
    harness = FedBack()
    for number in (1, 2):
        assert harness.reopen(harness.skipped, "paid", f"r-{number}").state is State.DELIVERED
    assert len(harness.runs.runs) == 3
