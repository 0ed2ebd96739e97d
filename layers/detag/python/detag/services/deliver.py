"""`deliver`: from an ended run to a cleaned image, or to a reason."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from detag.domain.backoff import Uniform, backoff
from detag.domain.images import DELIVERABLE, NotAnImage, sniff
from detag.domain.job import Job, Reason, State, cancel, deliver, fail, poll_later, retry, supersede
from detag.domain.naming import (
    JOB_ID,
    RUN_ID,
    SEQUENCER,
    SOURCE_KEY,
    output_key,
    output_metadata,
    sequencer_rank,
)
from detag.domain.runs import Result, Run, RunStatus, permanent, read_result
from detag.ports.clock import Clock
from detag.ports.errors import Conflict, Transient
from detag.ports.jobs import JobStore
from detag.ports.outputs import Download, Fetcher, LinkExpired, Unsafe
from detag.ports.photos import Existing, PhotoStore, PreconditionFailed
from detag.ports.runs import NotConfigured, Runs, Unauthorized
from detag.ports.telemetry import Telemetry
from detag.services.budget import Budget
from detag.services.ours import belongs_to
from detag.services.outbox import Outbox
from detag.settings import DeliverSettings

UNKNOWN_RUN_SECONDS: Final = 3_600.0
"""How long Runflow may not know a run that it gave an id to."""
DELIVERY_SECONDS: Final = 72 * 3_600.0
"""How long a paid result that can't be stored is tried again, beyond the time that the run may take."""
MAX_EXPIRED_URLS: Final = 5
NO_LINK_TRIES: Final = 3
NO_PICTURE: Final = "the run succeeded and shows no picture yet"
FRESH_URL_SECONDS: Final = 600.0
"""So long a photo's URL surely lives, whatever credentials signed it: what Runflow says then is about the photo."""
ROUNDS: Final = 5
GOOD: Final = (RunStatus.SUCCEEDED, RunStatus.PARTIAL)


class _NewerDelivered(Exception):
    """A newer version of the same photo is already at the key."""


class Deliver:
    """Handles one message of the result queue at a time."""

    def __init__(
        self,
        settings: DeliverSettings,
        jobs: JobStore,
        photos: PhotoStore,
        runs: Runs,
        fetcher: Fetcher,
        outbox: Outbox,
        budget: Budget,
        clock: Clock,
        telemetry: Telemetry,
        uniform: Uniform = random.uniform,
    ) -> None:
        self._settings, self._jobs, self._photos, self._runs = settings, jobs, photos, runs
        self._fetcher, self._outbox, self._budget = fetcher, outbox, budget
        self._clock, self._telemetry, self._uniform = clock, telemetry, uniform

    def handle(self, message: Mapping[str, Any]) -> None:
        """Bring the job that a message speaks of to its end, if its run has ended.

        Returns where the message is done with: whatever is left to do is due on the row. Raises `Transient` where it
        should come again, ValueError where it is no message of ours.
        """
        result = read_result(message)
        for _ in range(ROUNDS):
            job = self._jobs.get(result.job_id)
            if job is None:
                self._unmatched(result, "no such job")
                return
            try:
                self._go_on(job, result)
            except Conflict:
                self._telemetry.info("the row moved: reading it again", job_id=job.job_id)
            else:
                return
        raise Transient("the row is contended")

    def _go_on(self, job: Job, result: Result) -> None:
        if job.pending:
            job = self._outbox.pay(job)
        run_id = result.run_id or job.run_id
        if run_id is None or run_id in job.earlier_runs:
            return
        if run_id == job.run_id and job.state.terminal and not job.repairable:
            self._telemetry.info(f"already {job.state}", job_id=job.job_id)
            return
        try:
            run = self._run(job, run_id, result)
        except (Transient, Unauthorized, NotConfigured) as error:
            self._no_answer(job, run_id, error)
            return
        if run_id != job.run_id:
            if run is None or not belongs_to(run, job, self._photos):
                self._unmatched(result, "not a run of this job")
                return
            if job.run_id is not None or job.state.terminal:
                if run.charged:
                    self._budget.charge_unmatched(job, run)
                return
            job = self._budget.adopt(job, run_id, self._clock.now() + 60.0)
        self._close(job, run)

    def _run(self, job: Job, run_id: str, result: Result) -> Run | None:
        """The run's record, with the callback's signed word in place of what it does not tell."""
        signed = result.links if result.status in GOOD and run_id == job.run_id else ()
        try:
            run = self._runs.get(run_id)
        except (Transient, Unauthorized, NotConfigured):
            if not signed:
                raise
            run = None
        if run is None:
            return Run(run_id, result.status, links=signed) if signed else None
        return replace(run, links=signed) if signed and not run.links else run

    def _no_answer(self, job: Job, run_id: str, error: Exception) -> None:
        if run_id == job.run_id and job.state is State.SUBMITTED:
            self._later(job, f"Runflow can't be asked about the run: {error}")
        elif job.state is not State.SUBMITTING and job.reason is not Reason.UNCONFIRMED:
            raise Transient(str(error))  # only this message knows of the run
        # else the row's own due time leads to a look-up, which finds it

    def _unmatched(self, result: Result, why: str) -> None:
        self._telemetry.count("UnmatchedCallback")
        self._telemetry.warning("a callback that matches no job", why=why, job_id=result.job_id, run_id=result.run_id)

    # How the run ended

    def _close(self, job: Job, run: Run | None) -> None:
        now = self._clock.now()
        if run is not None and run.status in GOOD:
            self._store(job, run)
        elif job.state is not State.SUBMITTED:
            self._telemetry.info("nothing to repair with", job_id=job.job_id)
        elif run is None:
            if now - job.submitted_at > UNKNOWN_RUN_SECONDS:
                self._give_up(job, Reason.UNKNOWN_RUN, f"Runflow does not know run {job.run_id}")
            else:
                self._poll_later(job, "Runflow does not know the run yet")
        elif not run.status.terminal:
            if now - job.submitted_at > self._settings.run_timeout_hours * 3600.0:
                self._fail(
                    job, Reason.TIMED_OUT, f"the run did not end within {self._settings.run_timeout_hours} hours"
                )
            else:
                self._poll_later(job, None)
        elif run.status is RunStatus.CANCELLED:
            self._outbox.close(job, cancel(job, "the run was cancelled at Runflow", now, cost=_usd(run)))
        else:
            self._failed(job, run)

    def _failed(self, job: Job, run: Run) -> None:
        now = self._clock.now()
        said = f"Runflow: {run.failure_message or run.failure_code or 'the run failed'}"[:500]
        expired = now >= job.url_expires_at and job.expired_urls < MAX_EXPIRED_URLS
        final = permanent(run.failure_code) and now - job.claimed_at < FRESH_URL_SECONDS
        again = expired or (not final and job.attempt < self._settings.max_attempts)
        if not run.charged and again:
            wait = backoff(job.attempt, self._uniform, base=30.0, cap=900.0)
            self._jobs.save(
                job, retry(job, not_before=now + wait, url_expired=expired, detail=said, code=run.failure_code)
            )
            self._telemetry.count("RunRetried")
            return
        failed = fail(job, Reason.RUN_FAILED, said, now, code=run.failure_code, free=not run.charged, cost=_usd(run))
        self._outbox.close(job, failed)

    def _fail(self, job: Job, reason: Reason, detail: str, run: Run | None = None) -> None:
        cost = _usd(run) if run else None
        self._outbox.close(job, fail(job, reason, detail[:500], self._clock.now(), free=False, cost=cost))

    def _give_up(self, job: Job, reason: Reason, detail: str) -> None:
        """Fail a job whose run can't be had, unless its picture is there: stored by a worker that died right after."""
        names = (output_key(job.upload.key, job.content_type, kind) for kind in DELIVERABLE)
        stored = tuple(key for key in names if (there := self._photos.existing(key)) and _same_run(job, there))
        if stored:
            self._outbox.close(job, deliver(job, stored, self._clock.now(), cost=None, partial=False))
        else:
            self._fail(job, reason, detail)

    def _poll_later(self, job: Job, detail: str | None) -> None:
        wait = backoff(job.tries, lambda low, high: high, base=60.0, cap=1_800.0)
        self._jobs.save(job, poll_later(job, self._clock.now() + wait, detail))

    def _later(self, job: Job, why: str) -> None:
        """A paid result that can't be had now is tried again for days before a person is asked."""
        if job.state is not State.SUBMITTED:
            raise Transient(why)
        limit = self._settings.run_timeout_hours * 3600.0 + DELIVERY_SECONDS
        if self._clock.now() - job.submitted_at > limit:
            self._give_up(job, Reason.UNDELIVERABLE, why)
        else:
            self._telemetry.count("DeliveryRetried")
            self._telemetry.warning("not delivered yet", job_id=job.job_id, why=why)
            self._poll_later(job, why[:500])

    # The cleaned images

    def _store(self, job: Job, run: Run) -> None:
        if not run.links:
            # The tries may be those of a run that took its time: what counts is that it was seen without a picture.
            if job.state is State.SUBMITTED and (job.tries < NO_LINK_TRIES or job.detail != NO_PICTURE):
                self._later(job, NO_PICTURE)
            elif job.state is State.SUBMITTED:
                self._fail(job, Reason.NO_OUTPUT, f"run {run.run_id} succeeded and shows no picture", run)
            return
        stored: list[str] = []
        refused = ""
        try:
            for number, link in enumerate(run.links, 1):
                try:
                    with self._fetcher.open(link) as download:
                        stored.append(self._put(job, run, number, download))
                except (Unsafe, NotAnImage) as error:
                    refused = f"run {run.run_id}: image {number}: {error}"
                    self._telemetry.warning("a picture is not safe to store", job_id=job.job_id, why=refused)
        except _NewerDelivered:
            if job.state is State.SUBMITTED:
                newer = supersede(
                    job, Reason.NEWER_DELIVERED, "a newer photo of this name was delivered", self._clock.now()
                )
                self._outbox.close(job, replace(newer, cost=_usd(run)))
            return
        except (LinkExpired, Transient) as error:
            self._later(job, f"the picture can't be fetched or stored: {error}")
            return
        if not stored:
            if job.state is State.SUBMITTED:
                self._fail(job, Reason.BAD_OUTPUT, refused, run)
            return
        done = deliver(
            job,
            tuple(stored),
            self._clock.now(),
            cost=_usd(run),
            partial=run.status is RunStatus.PARTIAL or bool(refused),
        )
        self._outbox.close(job, done)

    def _put(self, job: Job, run: Run, number: int, download: Download) -> str:
        image = sniff(download.head, download.length, DELIVERABLE)
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
                raise Transient("another delivery wrote the same key at the same time") from None
            return key
        raise Transient("no free name for the picture")

    def _is_done(self, job: Job, existing: Existing) -> bool:
        """Whether this very picture is there already. Raises `_NewerDelivered` where a newer one is."""
        if sequencer_rank(existing.metadata.get(SEQUENCER, "")) > sequencer_rank(job.upload.sequencer):
            raise _NewerDelivered
        return _same_run(job, existing)


def _same_run(job: Job, existing: Existing) -> bool:
    return existing.metadata.get(JOB_ID) == job.job_id and existing.metadata.get(RUN_ID) == (job.run_id or "")


def _usd(run: Run) -> str | None:
    return None if run.cost is None else str(run.cost)
