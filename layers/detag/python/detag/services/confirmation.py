"""A run that may be there already is looked for before anything is sent: after an unclear answer, or once reopened."""

from __future__ import annotations

from typing import Literal

from detag.domain.backoff import Uniform
from detag.domain.decisions import SENT_AGAIN, Adopt, Next, Step, UseRun, after_asking, meet_again, uncounted
from detag.domain.job import Job, State
from detag.domain.reasons import Reason
from detag.domain.search import after_list, refuse_search
from detag.ports.clock import Clock
from detag.ports.jobs import PictureTaken
from detag.services.admission import Admission
from detag.services.budget import Budget
from detag.services.existing_runs import ExistingRuns
from detag.services.sending import Sending
from detag.services.steps import Steps
from detag.services.submission import POST_SECONDS, Submission


class Confirmation:
    """From a job with an unconfirmed submission, or a reopened one, to a run of it, to the next submission, or back to
    where it was closed.
    """

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

    def confirm(self, job: Job, how: Literal[Next.SEARCH, Next.ASK], deadline: float) -> None:
        """Ask for the known runs of a job, or search for one, and take the step that the answer leads to. Raises
        `Conflict` or `Transient`.
        """
        decided: Step | Adopt | UseRun
        match how:
            case Next.ASK:
                found = self._existing.known_runs(job, deadline - POST_SECONDS)
                for run in uncounted(job, found):
                    self._budget.charge_unmatched(job, run)
                decided = after_asking(job, found, now=self._clock.now(), uniform=self._uniform)
            case Next.SEARCH:
                now, refusal = self._clock.now(), self._admission.refusal(job)
                search = refuse_search(refusal) or self._existing.find_existing_run(job, deadline - POST_SECONDS)
                decided = after_list(job, search, may_send=refusal is None, now=now, uniform=self._uniform)
        if not isinstance(decided, Step):
            self._budget.adopt(self._admission.with_metadata(job) if how is Next.ASK else job, decided)
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
