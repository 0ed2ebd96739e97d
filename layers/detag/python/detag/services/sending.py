"""A photo that may be sent now: it is, unless it is not to be cleaned."""

from __future__ import annotations

from detag.domain.decisions import Idle, Photo, Step
from detag.domain.job import Job
from detag.ports.telemetry import Telemetry
from detag.services.admission import Admission
from detag.services.steps import Steps
from detag.services.submission import Submission


class Sending:
    """From a job that nothing was sent for, or whose last submission is over, to its next submission."""

    def __init__(self, *, admission: Admission, submission: Submission, steps: Steps, telemetry: Telemetry) -> None:
        self._admission, self._submission, self._steps, self._telemetry = admission, submission, steps, telemetry

    def go_on(self, job: Job, deadline: float) -> None:
        """Send a photo, or take the step that follows where it is not sent. Raises `Conflict` or `Transient`."""
        verdict = self._admission.judge(job)
        job = verdict.job
        match verdict.found:
            case Photo() as photo:
                self._submission.begin(job, photo, deadline, limit=verdict.limit, probe=verdict.probe)
            case Step() as step:
                self._steps.take(job, step, probe=verdict.probe)
            case Idle(why):
                self._telemetry.info(why, job_id=job.job_id)
