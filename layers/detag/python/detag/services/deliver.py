"""`deliver`: from an ended run to an output, or to a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from detag.domain import waits
from detag.domain.backoff import Uniform
from detag.domain.decisions import (
    GOOD,
    Again,
    Fetch,
    FetchOther,
    Idle,
    NotStored,
    Overtaken,
    Step,
    Stored,
    Whose,
    after_fetch,
    after_fetch_of_other,
    after_other_run,
    after_run,
    deliver_later,
    found_stored,
    is_uncounted,
    whose_run,
)
from detag.domain.images import DELIVERABLE, NotAnImage, sniff
from detag.domain.job import Job, State, sequencer_rank
from detag.domain.metrics import Metric
from detag.domain.naming import (
    JOB_ID,
    RUN_ID,
    SEQUENCER,
    SOURCE_KEY,
    output_key,
    output_metadata,
)
from detag.domain.reasons import Reason
from detag.domain.runs import Result, Run, read_result
from detag.ports.clock import Clock
from detag.ports.errors import Conflict, Transient
from detag.ports.jobs import JobStore
from detag.ports.outputs import Download, Fetcher, OutputUrlExpired, Unsafe
from detag.ports.photos import Existing, PhotoStore, PreconditionFailed
from detag.ports.runs import NotConfigured, Runs, Unauthorized
from detag.ports.telemetry import Telemetry
from detag.services.budget import Budget
from detag.services.outbox import Outbox
from detag.services.ownership import belongs_to
from detag.services.steps import Steps

ROUNDS: Final = 5


class _NewerDelivered(Exception):
    """A newer version of the same photo is already at the key."""


class Deliver:
    """Handles one message of the result queue at a time."""

    def __init__(
        self,
        *,
        max_attempts: int,
        run_timeout_hours: int,
        jobs: JobStore,
        photos: PhotoStore,
        runs: Runs,
        fetcher: Fetcher,
        outbox: Outbox,
        steps: Steps,
        budget: Budget,
        clock: Clock,
        telemetry: Telemetry,
        uniform: Uniform,
    ) -> None:
        self._max_attempts, self._run_timeout_hours = max_attempts, run_timeout_hours
        self._jobs, self._photos, self._runs, self._fetcher = jobs, photos, runs, fetcher
        self._outbox, self._steps, self._budget = outbox, steps, budget
        self._clock, self._telemetry, self._uniform = clock, telemetry, uniform

    def handle(self, message: Mapping[str, Any]) -> None:
        """Bring the job that a message speaks of to its end, if its run has ended.

        Returns where the message is done with: whatever is left to do is due on the item. Raises `Transient` where it
        should be retried, ValueError for any other message.
        """
        result = read_result(message)
        for _ in range(ROUNDS):
            job = self._jobs.get(result.job_id)
            if job is None:
                self._unmatched(result, "job not found")
                return
            try:
                self._go_on(job, result)
            except Conflict:
                self._telemetry.info("write conflict, re-reading job", job_id=job.job_id)
            else:
                return
        raise Transient("job contended")

    def _go_on(self, job: Job, result: Result) -> None:
        if job.pending:
            job = self._outbox.publish_pending(job)
        run_id = result.run_id or job.run_id
        if run_id is None:
            return
        whose = whose_run(job, run_id)
        if whose is Whose.OWN and job.state.terminal and not job.repairable:
            self._telemetry.info("already done", job_id=job.job_id, state=job.state)
            return
        try:
            run = self._run(job, run_id, result)
        except (Transient, Unauthorized, NotConfigured) as error:
            self._no_answer(job, run_id, error)
            return
        if whose is not Whose.OWN:
            proven = run is not None and (whose is Whose.EARLIER or belongs_to(run, job, self._photos))
            if run is None or not proven:
                self._unmatched(result, "not a run of this job")
                return
            if whose is not Whose.NEW:
                self._use_other(job, run)
                return
            job = self._budget.adopt(job, run_id, self._clock.now() + waits.ADOPTED_POLL.seconds)
        self._close(job, run)

    def _run(self, job: Job, run_id: str, result: Result) -> Run | None:
        """The run's record, with the callback's signed output URLs where it has none."""
        signed = result.output_urls if result.status in GOOD and run_id == job.run_id else ()
        try:
            run = self._runs.get(run_id)
        except (Transient, Unauthorized, NotConfigured):
            if not signed:
                raise
            run = None
        if run is None:
            return Run(run_id, result.status, output_urls=signed) if signed else None
        return replace(run, output_urls=signed) if signed and not run.output_urls else run

    def _no_answer(self, job: Job, run_id: str, error: Exception) -> None:
        if run_id == job.run_id and job.state is State.SUBMITTED:
            self._take(job, self._deliver_later(job, f"the run could not be read: {error}"))
        elif job.state is not State.SUBMITTING and job.reason is not Reason.UNCONFIRMED:
            raise Transient(str(error))  # only this message knows of the run
        # else the item's own due time leads to a search, which finds it

    def _use_other(self, job: Job, run: Run) -> None:
        """Charge an earlier or unmatched run, and use its output where the job has none."""
        if is_uncounted(job, run):
            self._budget.charge_unmatched(job, run)
        decided = after_other_run(job, run, now=self._clock.now())
        if isinstance(decided, Step):
            self._close(self._steps.take(job, decided), run)
            return
        if isinstance(decided, FetchOther):
            fetched = self._fetch(replace(job, run_id=run.run_id), run)
            self._take(job, after_fetch_of_other(run, fetched, now=self._clock.now()))
            return
        self._take(job, decided)

    def _unmatched(self, result: Result, why: str) -> None:
        self._telemetry.count(Metric.UNMATCHED_CALLBACK)
        self._telemetry.warning("unmatched callback", why=why, job_id=result.job_id, run_id=result.run_id)

    # How the run ended

    def _close(self, job: Job, run: Run | None) -> None:
        decided = after_run(
            job,
            run,
            now=self._clock.now(),
            max_attempts=self._max_attempts,
            run_timeout_hours=self._run_timeout_hours,
            uniform=self._uniform,
        )
        if isinstance(decided, Fetch):
            fetched = self._fetch(job, decided.run)
            now, hours = self._clock.now(), self._run_timeout_hours
            self._take(job, after_fetch(job, decided.run, fetched, now=now, run_timeout_hours=hours))
        else:
            self._take(job, decided)

    def _deliver_later(self, job: Job, why: str) -> Step | Again:
        return deliver_later(job, why, now=self._clock.now(), run_timeout_hours=self._run_timeout_hours)

    def _take(self, job: Job, decided: Step | Idle | Again) -> None:
        match decided:
            case Idle(why):
                self._telemetry.info(why, job_id=job.job_id)
            case Again(why):
                raise Transient(why)
            case Step(unless_stored=True) if keys := self._stored(job):
                self._steps.take(job, found_stored(keys, now=self._clock.now()))
            case Step():
                self._steps.take(job, decided)

    def _stored(self, job: Job) -> tuple[str, ...]:
        """The job's outputs that a worker stored before it died."""
        names = (output_key(job.upload.key, job.content_type, kind) for kind in DELIVERABLE)
        return tuple(key for key in names if (there := self._photos.existing(key)) and _same_run(job, there))

    # The outputs

    def _fetch(self, job: Job, run: Run) -> Stored | Overtaken | NotStored:
        stored: list[str] = []
        refused = ""
        try:
            for number, url in enumerate(run.output_urls, 1):
                try:
                    with self._fetcher.open(url) as download:
                        stored.append(self._put(job, run, number, download))
                except (Unsafe, NotAnImage) as error:
                    refused = f"run {run.run_id}: output {number}: {error}"
                    self._telemetry.warning("output not safe to store", job_id=job.job_id, why=refused)
        except _NewerDelivered:
            return Overtaken()
        except (OutputUrlExpired, Transient) as error:
            return NotStored(f"an output could not be fetched or stored: {error}")
        return Stored(tuple(stored), refused)

    def _put(self, job: Job, run: Run, number: int, download: Download) -> str:
        image = sniff(download.head, download.length)
        metadata = output_metadata(job, dict(job.source_metadata), run.cost)
        owner = ""
        for _ in range(ROUNDS):
            key = output_key(job.upload.key, job.content_type, image.content_type, number, owner)
            existing = self._photos.existing(key)
            if existing is not None and existing.metadata.get(SOURCE_KEY) != metadata[SOURCE_KEY]:
                owner = job.job_id[:8] if not owner else job.job_id
                continue
            if existing is not None and self._is_done(job, existing):
                return key
            try:
                self._photos.put(key, download.body, download.length, image.content_type, metadata, existing)
            except PreconditionFailed:
                raise Transient("another delivery wrote the same key") from None
            return key
        raise Transient("no free key for the output")

    def _is_done(self, job: Job, existing: Existing) -> bool:
        """Whether this very output is there already. Raises `_NewerDelivered` where a newer one is."""
        if sequencer_rank(existing.metadata.get(SEQUENCER, "")) > job.upload.rank:
            raise _NewerDelivered
        return _same_run(job, existing)


def _same_run(job: Job, existing: Existing) -> bool:
    return existing.metadata.get(JOB_ID) == job.job_id and existing.metadata.get(RUN_ID) == (job.run_id or "")
