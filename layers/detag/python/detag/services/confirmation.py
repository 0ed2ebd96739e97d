"""After an unclear answer: the run that may exist is found before anything is sent again."""

from __future__ import annotations

from detag.domain.backoff import Uniform
from detag.domain.decisions import SENT_AGAIN, Adopt, after_list, meet_again, refuse_search
from detag.domain.job import Job, State
from detag.domain.reasons import Reason
from detag.ports.clock import Clock
from detag.ports.jobs import PictureTaken
from detag.services.admission import Admission
from detag.services.budget import Budget
from detag.services.existing_runs import ExistingRuns
from detag.services.sending import Sending
from detag.services.steps import Steps
from detag.services.submission import POST_SECONDS, Submission


class Confirmation:
    """From a job with an unconfirmed submission to the run that it made, or to the next submission."""

    def __init__(
        self,
        *,
        admission: Admission,
        submission: Submission,
        sending: Sending,
        existing: ExistingRuns,
        steps: Steps,
        budget: Budget,
        clock: Clock,
        uniform: Uniform,
    ) -> None:
        self._admission, self._submission, self._sending, self._existing = admission, submission, sending, existing
        self._steps, self._budget, self._clock, self._uniform = steps, budget, clock, uniform

    def confirm(self, job: Job, deadline: float) -> None:
        """Search for a job's run, and take the step that the answer leads to. Raises `Conflict` or `Transient`."""
        now, refusal = self._clock.now(), self._admission.refusal(job)
        search = refuse_search(refusal) or self._existing.find_existing_run(job, deadline - POST_SECONDS)
        decided = after_list(job, search, may_send=refusal is None, now=now, uniform=self._uniform)
        if isinstance(decided, Adopt):
            self._budget.adopt_found(job, decided)
            return
        if decided.decision == SENT_AGAIN:
            decided = self._admission.before_resend(job, decided)
        try:
            after = self._steps.take(job, decided)
        except PictureTaken:
            after = self._steps.take(job, meet_again(now=self._clock.now()))
        if after.state is State.SUBMITTING:
            self._submission.send(after, deadline)
        elif after.reason is Reason.READY:
            self._sending.send_photo(after, deadline)
