"""`submit`: from an upload to a run, paid once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from detag.domain.backoff import Uniform
from detag.domain.decisions import Idle, Next, Step, if_interrupted, put_off, resume
from detag.domain.job import Job, new
from detag.domain.metrics import Metric
from detag.domain.naming import readable
from detag.domain.prefix_claim import STACKS_KEY
from detag.domain.reopening import asks_to_reopen
from detag.domain.uploads import read_upload
from detag.ports.clock import Clock
from detag.ports.errors import Conflict, Transient, Unclaimed
from detag.ports.jobs import JobStore
from detag.ports.telemetry import Telemetry
from detag.services.confirmation import Confirmation
from detag.services.reopening import Reopening
from detag.services.sending import Sending
from detag.services.steps import Steps

ROUNDS: Final = 5


class Submit:
    """Handles one message of the upload queue at a time; may be called from many threads.

    `confirmation_seconds`: how long to wait after an unclear answer before a run is searched for. `sending`
    and `confirmation` carry out the answers of `resume`.
    """

    def __init__(
        self,
        *,
        input_bucket: str,
        input_prefix: str,
        confirmation_seconds: float,
        sending: Sending,
        confirmation: Confirmation,
        reopening: Reopening,
        jobs: JobStore,
        steps: Steps,
        clock: Clock,
        telemetry: Telemetry,
        uniform: Uniform,
    ) -> None:
        self._input_bucket, self._input_prefix = input_bucket, input_prefix
        self._confirmation_seconds = confirmation_seconds
        self._sending, self._confirmation, self._reopening = sending, confirmation, reopening
        self._jobs, self._steps = jobs, steps
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
            after_interruption = if_interrupted(job)
            try:
                match resume(job, now=self._clock.now(), confirmation_seconds=self._confirmation_seconds):
                    case Next.BEGIN:
                        self._sending.send_photo(job, deadline)
                    case (Next.SEARCH | Next.ASK) as how:
                        self._confirmation.confirm(job, how, deadline)
                    case Step() as step:
                        self._steps.take(job, step)
                    case Idle(why):
                        self._telemetry.info(why, job_id=job.job_id, state=job.state, reason=job.reason)
            except Conflict:
                self._telemetry.info("write conflict, re-reading job", job_id=job.job_id)
            except Transient as error:
                self._interrupted(job, error, after_interruption)
                return
            else:
                return
        self._contended(message)

    def refuse(self, message_id: str) -> None:
        """Say that a message is no JSON object. S3's events are, and all that detag sends to itself: a person, who
        asked for something, sent it.
        """
        self._telemetry.warning("reopen refused", why="malformed: no JSON object", message_id=message_id)
        self._telemetry.count(Metric.REOPEN_REFUSED)

    def _load(self, message: Mapping[str, Any]) -> Job | None:
        if asks_to_reopen(message):
            return self._reopening.open(message)
        if "job_id" in message:
            job = self._jobs.get(str(message["job_id"]))
            if job is None:
                self._telemetry.warning("job not found (expired)", job_id=str(message["job_id"])[:64])
            return job
        upload = read_upload(message)
        if upload.key == STACKS_KEY:
            return None
        if upload.bucket != self._input_bucket:
            raise ValueError(f"an event from another bucket: {upload.bucket}")
        if not upload.key.startswith(self._input_prefix):
            raise ValueError(f"an upload outside of InputPrefix: {readable(upload.key)}")
        return self._jobs.get(upload.job_id) or new(upload, self._clock.now())

    def _contended(self, message: Mapping[str, Any]) -> None:
        """Others write what a job has to do with, such as its picture. One without an item gets that now, and comes due
        by itself; otherwise raises `Transient`.
        """
        job = self._load(message)
        if job is None or job.version:
            raise Transient("job contended")
        try:
            self._steps.take(job, put_off("contended", now=self._clock.now(), uniform=self._uniform))
        except Conflict:
            raise Transient("job contended") from None

    def _interrupted(self, job: Job, error: Transient, after: Callable[[str, float], Step | Idle]) -> None:
        """An item comes due by itself: its message need not be retried, and never becomes a dead letter."""
        now = self._clock.now()
        try:
            if isinstance(error, Unclaimed):  # nothing is wrong with the photo
                decided = Idle("interrupted") if job.version else put_off(str(error), now=now, uniform=self._uniform)
            else:
                decided = after(str(error), now)
            if isinstance(decided, Step):
                self._steps.take(job, decided)
            else:
                self._telemetry.warning(decided.why, job_id=job.job_id, why=str(error))
        except Conflict:
            self._telemetry.info("job saved by another worker", job_id=job.job_id)
        except Transient as another:
            if not job.version:
                raise
            self._telemetry.warning("interrupted", job_id=job.job_id, why=str(another))
