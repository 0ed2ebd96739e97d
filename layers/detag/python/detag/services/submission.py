"""One submission: the claim that is saved before anything is sent, the POST, and what its answer leads to."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Final

from detag.domain.backoff import Uniform
from detag.domain.decisions import (
    Adopt,
    Photo,
    TakeOver,
    accepted_late,
    after_post,
    before_post,
    begin,
    count_failures,
    is_reserved,
    turn_away,
)
from detag.domain.intake import Override
from detag.domain.job import Job, Reservation
from detag.domain.money import day_of
from detag.domain.outcomes import Accepted, NotSent, Outcome
from detag.domain.reasons import Reason
from detag.domain.runs import Run, RunStatus, create_body
from detag.domain.search import Whose, own_run
from detag.ports.clock import Clock
from detag.ports.errors import Conflict, Transient
from detag.ports.jobs import JobStore
from detag.ports.photos import PhotoStore
from detag.ports.runs import NotConfigured, Runs
from detag.services.budget import Budget
from detag.services.steps import Steps

ROUNDS: Final = 5
POST_SECONDS: Final = 10.0
SAVE_SECONDS: Final = 3.0
"""Kept back from the deadline to write down what the POST brought."""


class Submission:
    """`price` in US dollars for an image. `url_seconds` is how long a presigned URL lives; `confirmation_seconds`, how
    long to wait after an unclear answer before a run is searched for; `run_timeout_hours`, how long a run may take.
    """

    def __init__(
        self,
        *,
        callback_url: str,
        price: Decimal,
        url_seconds: int,
        confirmation_seconds: float,
        run_timeout_hours: int,
        jobs: JobStore,
        photos: PhotoStore,
        runs: Runs,
        steps: Steps,
        budget: Budget,
        clock: Clock,
        uniform: Uniform,
    ) -> None:
        self._callback_url, self._price, self._url_seconds = callback_url, price, url_seconds
        self._confirmation_seconds, self._run_timeout_hours = confirmation_seconds, run_timeout_hours
        self._jobs, self._photos, self._runs, self._steps, self._budget = jobs, photos, runs, steps, budget
        self._clock, self._uniform = clock, uniform
        self._failures = 0

    def begin(
        self, job: Job, photo: Photo, deadline: float, *, override: Override, probe: bool, over: TakeOver | None
    ) -> None:
        """Claim a job within today's limit, unless an operator set another, and send it; `over`: with a picture that it
        met before.

        Raises `PictureTaken` or `AlreadyDelivered` where it need not be paid for, `Conflict` or `Transient`.
        """
        claimed = self._claim(job, photo, override, over)
        if isinstance(claimed, Reason):
            self._steps.take(job, turn_away(job, claimed, pauses=True), probe=probe)
        else:
            self.send(claimed, deadline, probe=probe)

    def _claim(self, job: Job, photo: Photo, override: Override, over: TakeOver | None) -> Job | Reason:
        try:
            account = self._runs.account()
        except NotConfigured:
            return Reason.NOT_CONFIGURED
        now = self._clock.now()
        price = Reservation(day_of(now), self._price)
        step = begin(
            job,
            price,
            photo=photo,
            body=self._body(job, photo),
            now=now,
            url_expires_at=now + self._url_seconds,
            account=account,
            run_timeout_hours=self._run_timeout_hours,
            over=over,
        )
        return self._budget.reserve(job, step, price.day, override)

    def _body(self, job: Job, photo: Photo) -> str:
        """What is sent, with a presigned URL of the photo in it."""
        upload = job.upload
        return create_body(
            image_url=self._photos.presign(
                upload.bucket, upload.key, upload.version_id, self._url_seconds, photo.content_type
            ),
            callback_url=self._callback_url,
            client_ref=f"{job.job_id}.{job.submission_no + 1}",
            job_id=job.job_id,
            key=upload.key,
            aspect_ratio=photo.ratio,
        )

    def send(self, job: Job, deadline: float, *, probe: bool = False) -> None:
        """Send a claimed job's body once, and take the step that the answer leads to.

        `deadline` is the moment, on the monotonic clock, at which this process is killed.
        """
        outcome = self._post(job, deadline)
        self._failures = count_failures(self._failures, outcome)
        step = after_post(
            job,
            outcome,
            now=self._clock.now(),
            confirmation_seconds=self._confirmation_seconds,
            failures=self._failures,
            probe=probe,
            uniform=self._uniform,
        )
        try:
            self._steps.take(job, step, probe=probe)
        except Conflict:
            if not isinstance(outcome, Accepted):
                raise
            self._own(job, outcome.run_id)
            self._steps.probed(step, probe=probe)

    def _post(self, job: Job, deadline: float) -> Outcome | NotSent:
        killed_in = deadline - self._clock.monotonic()
        timeout = min(POST_SECONDS, killed_in - SAVE_SECONDS)
        if job.body is None:
            return NotSent("its body is lost")
        not_sent = before_post(job, seconds=timeout, killed_in=killed_in, now=self._clock.now())
        if not_sent is not None:
            return not_sent
        try:
            return self._runs.create(job.body, job.idempotency_key, timeout, job.account)
        except (NotConfigured, Transient) as error:  # raised only before anything is sent
            return NotSent(str(error))

    def _own(self, sent: Job, run_id: str) -> None:
        """The item changed while the POST was under way: the run is ours all the same."""
        for _ in range(ROUNDS):
            job = self._jobs.get(sent.job_id)
            if job is None:
                return
            with suppress(Conflict):
                self._take_in(job, Run(run_id, RunStatus.RUNNING, client_ref=sent.client_ref))
                return
        raise Transient("job contended")

    def _take_in(self, job: Job, made: Run) -> None:
        match own_run(job, made.run_id, made.client_ref):
            case Whose.NEW if not job.state.terminal:
                beside = (made,) if job.keeps_money_from(made.client_ref) else ()
                self._budget.adopt(job, Adopt(made.run_id, beside, made.client_ref))
            case Whose.NEW | Whose.UNMATCHED:
                if not is_reserved(job, made):
                    self._budget.charge_unmatched(job, made)
                self._steps.take(job, accepted_late(job, made.run_id, now=self._clock.now()))
