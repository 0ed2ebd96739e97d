"""A photo that may be sent now: it is, unless it is not to be cleaned, or an equal one came before."""

from __future__ import annotations

from typing import Final

from detag.domain.decisions import Idle, Photo, Step, TakeOver, already_cleaned, as_before
from detag.domain.job import Job
from detag.domain.metrics import Metric
from detag.ports.clock import Clock
from detag.ports.errors import Transient
from detag.ports.jobs import AlreadyDelivered, PictureTaken
from detag.ports.telemetry import Telemetry
from detag.services.admission import Admission, Verdict
from detag.services.reuse import Reuse
from detag.services.steps import Steps
from detag.services.submission import Submission

ROUNDS: Final = 5


class Sending:
    """From a job that nothing was sent for, or whose last submission is over, to its next submission."""

    def __init__(
        self,
        *,
        admission: Admission,
        submission: Submission,
        reuse: Reuse,
        steps: Steps,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._admission, self._submission, self._reuse, self._steps = admission, submission, reuse, steps
        self._clock, self._telemetry = clock, telemetry

    def send_photo(self, job: Job, deadline: float) -> None:
        """Send a photo, or take the step that follows where it is not sent: that an equal photo came before is what its
        claim finds out. Raises `Conflict` or `Transient`.
        """
        verdict = self._admission.judge(job)
        found: Photo | Step | TakeOver | Idle | None = verdict.found
        over: TakeOver | None = None
        for _ in range(ROUNDS):
            if isinstance(found, Photo):
                found = self._send(verdict, found, deadline, over)
            match found:
                case TakeOver() as over:
                    found = verdict.found
                case Step() as step:
                    self._not_sent(verdict, step)
                    return
                case Idle(why):
                    self._telemetry.info(why, job_id=verdict.job.job_id)
                    return
                case None:
                    return
        raise Transient("picture contended")

    def _send(self, verdict: Verdict, photo: Photo, deadline: float, over: TakeOver | None) -> Step | TakeOver | None:
        """What follows where the claim was refused; None where the photo was claimed, or there is no money for it."""
        job, override, probe = verdict.job, verdict.override, verdict.probe
        try:
            self._submission.begin(job, photo, deadline, override=override, probe=probe, over=over)
        except AlreadyDelivered:
            return already_cleaned(now=self._clock.now())
        except PictureTaken as taken:
            return self._reuse.meet(job, photo, taken.picture, deadline)
        return None

    def _not_sent(self, verdict: Verdict, step: Step) -> None:
        step = as_before(verdict.job, step, now=self._clock.now())
        self._steps.take(verdict.job, step, probe=verdict.probe)
        if step.not_spent:
            self._telemetry.count(Metric.NOT_SPENT, float(step.not_spent))
