"""`submit`: from an upload to a run, paid once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from detag.domain.backoff import Uniform
from detag.domain.decisions import (
    SENT_AGAIN,
    Adopt,
    Idle,
    Next,
    Photo,
    Step,
    TakeOver,
    UseRun,
    after_asking,
    after_list,
    already_cleaned,
    put_off,
    refuse_search,
    resume,
    stands_for,
)
from detag.domain.job import Job, State, new
from detag.domain.metrics import Metric
from detag.domain.reasons import Reason
from detag.domain.uploads import read_upload
from detag.ports.clock import Clock
from detag.ports.errors import Conflict, Transient
from detag.ports.jobs import AlreadyDelivered, JobStore, PictureTaken
from detag.ports.telemetry import Telemetry
from detag.services.admission import Admission
from detag.services.budget import Budget
from detag.services.existing_runs import ExistingRuns
from detag.services.reopening import Reopening
from detag.services.reuse import Reuse
from detag.services.steps import Steps
from detag.services.submission import POST_SECONDS, Submission

ROUNDS: Final = 5


class Submit:
    """Handles one message of the upload queue at a time; may be called from many threads.

    `confirmation_seconds`: how long to wait after an unclear answer before a run is searched for.
    """

    def __init__(
        self,
        *,
        input_bucket: str,
        confirmation_seconds: float,
        jobs: JobStore,
        admission: Admission,
        submission: Submission,
        existing: ExistingRuns,
        reopening: Reopening,
        reuse: Reuse,
        steps: Steps,
        budget: Budget,
        clock: Clock,
        telemetry: Telemetry,
        uniform: Uniform,
    ) -> None:
        self._input_bucket, self._confirmation_seconds = input_bucket, confirmation_seconds
        self._jobs, self._admission, self._submission, self._existing = jobs, admission, submission, existing
        self._reopening, self._reuse, self._steps, self._budget = reopening, reuse, steps, budget
        self._clock, self._telemetry, self._uniform = clock, telemetry, uniform

    def handle(self, message: Mapping[str, Any], deadline: float) -> None:
        """Bring the job that a message names as far as it goes now.

        `deadline` is the moment, on the monotonic clock, at which this process is killed. Returns where the message is
        done with: whatever is left to do is due on the item. Raises `Transient` where it should be retried, ValueError
        for any other message.
        """
        for _ in range(ROUNDS):
            job = self._load(message)
            if job is None:
                return
            try:
                self._go_on(job, deadline)
            except Conflict:
                self._telemetry.info("write conflict, re-reading job", job_id=job.job_id)
            except Transient as error:
                self._interrupted(job, error)
                return
            else:
                return
        raise Transient("job contended")

    def _load(self, message: Mapping[str, Any]) -> Job | None:
        if "job_id" in message:
            job = self._jobs.get(str(message["job_id"]))
            if job is None:
                self._telemetry.warning("job not found (expired)", job_id=str(message["job_id"])[:64])
            return job
        if "reopen" in message:
            return self._reopening.open(message)
        upload = read_upload(message)
        if upload.bucket != self._input_bucket:
            raise ValueError(f"an event from another bucket: {upload.bucket}")
        return self._jobs.get(upload.job_id) or new(upload, self._clock.now())

    def _go_on(self, job: Job, deadline: float) -> None:
        match resume(job, now=self._clock.now(), confirmation_seconds=self._confirmation_seconds):
            case Next.BEGIN:
                self._begin(job, deadline)
            case Next.SEARCH:
                self._confirm(job, deadline)
            case Next.ASK:
                self._ask(job, deadline)
            case Step() as step:
                self._steps.take(job, step)
            case Idle(why):
                self._telemetry.info(why, job_id=job.job_id, state=job.state, reason=job.reason)

    def _begin(self, job: Job, deadline: float) -> None:
        """Send a photo, unless it is not to be sent, or an equal one came before: that is what the claim finds out."""
        verdict = self._admission.judge(job)
        job, found, over = verdict.job, verdict.found, None
        for _ in range(ROUNDS):
            match found:
                case Photo() as photo:
                    try:
                        limit, probe = verdict.limit, verdict.probe
                        self._submission.begin(job, photo, deadline, limit=limit, probe=probe, over=over)
                    except AlreadyDelivered:
                        found = already_cleaned(now=self._clock.now())
                    except PictureTaken as taken:
                        met = self._reuse.meet(job, photo, taken.picture, deadline)
                        found, over = (photo, met) if isinstance(met, TakeOver) else (met, None)
                    else:
                        return
                case Step() as step:
                    self._steps.take(job, step, probe=verdict.probe)
                    if step.not_spent:
                        self._telemetry.count(Metric.NOT_SPENT, float(step.not_spent))
                    return
                case Idle(why):
                    self._telemetry.info(why, job_id=job.job_id)
                    return
        raise Transient("picture contended")

    def _confirm(self, job: Job, deadline: float) -> None:
        """After an unclear answer: find the run that may exist before anything is sent again."""
        now, refusal = self._clock.now(), self._admission.refusal(job)
        search = refuse_search(refusal) or self._existing.find_existing_run(job, deadline - POST_SECONDS)
        decided = after_list(job, search, may_send=refusal is None, now=now, uniform=self._uniform)
        if isinstance(decided, Adopt):
            self._adopt(job, decided)
            return
        if decided.decision == SENT_AGAIN:
            decided = self._admission.before_resend(job, decided)
        after = self._steps.take(job, decided)
        if after.state is State.SUBMITTING:
            self._submission.send(after, deadline)
        elif after.reason is Reason.READY:
            self._begin(after, deadline)

    def _adopt(self, job: Job, found: Adopt) -> None:
        for run in found.unmatched:  # first: once the job has a run, nothing leads back to these
            self._budget.charge_unmatched(job, run)
        self._budget.adopt(job, found.run_id, client_ref=found.client_ref)

    def _ask(self, job: Job, deadline: float) -> None:
        """Of a reopened job: find out what became of its runs before anything is sent again."""
        found = self._existing.known_runs(job, deadline - POST_SECONDS)
        decided = after_asking(job, found, now=self._clock.now(), uniform=self._uniform)
        if isinstance(decided, Adopt):
            self._adopt(job, decided)
            return
        if isinstance(decided, UseRun):
            if not stands_for(job, decided.run):
                self._budget.charge_unmatched(job, decided.run)
            decided = decided.step
        after = self._steps.take(job, decided)
        if after.reason is Reason.READY:
            self._begin(after, deadline)

    def _interrupted(self, job: Job, error: Transient) -> None:
        """An item comes due by itself: its message need not be retried, and never becomes a dead letter."""
        if job.version:
            self._telemetry.warning("interrupted", job_id=job.job_id, why=str(error))
            return
        try:
            self._steps.take(job, put_off(str(error), now=self._clock.now(), uniform=self._uniform))
        except Conflict:
            self._telemetry.info("job saved by another worker", job_id=job.job_id)
