"""`submit`: from an upload to a run, paid once."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from detag.domain import intake as intakes
from detag.domain.backoff import Uniform, backoff
from detag.domain.images import (
    HEAD_BYTES,
    TAIL_BYTES,
    NotAnImage,
    TooManyPixels,
    Truncated,
    Unsupported,
    check_tail,
    sniff,
)
from detag.domain.intake import Intake
from detag.domain.job import (
    RETENTION_SECONDS,
    Job,
    Reason,
    Reservation,
    State,
    abandon_claim,
    accept,
    await_confirmation,
    back_off,
    claim,
    defer,
    fail,
    keep_unconfirmed,
    new,
    resend,
    skip,
    start_over,
    supersede,
    wait_for_intake,
)
from detag.domain.naming import readable, sequencer_rank
from detag.domain.runs import Run, RunStatus, aspect_ratio, create_body
from detag.domain.uploads import addressable, folder_marker, read_upload
from detag.ports.clock import Clock
from detag.ports.errors import Conflict, Transient
from detag.ports.jobs import JobStore
from detag.ports.photos import Denied, Head, Missing, PhotoStore
from detag.ports.runs import Accepted, Ambiguous, NotConfigured, Refused, RunPage, Runs, Unauthorized
from detag.ports.telemetry import Telemetry
from detag.services.budget import Budget
from detag.services.ours import belongs_to, client_ref_matches
from detag.services.outbox import Outbox
from detag.settings import SubmitSettings

FUNCTION_TIMEOUT: Final = 30.0
CLOCK_SKEW: Final = 30.0
LEASE_SECONDS: Final = FUNCTION_TIMEOUT + CLOCK_SKEW
"""A worker is killed before its lease ends, whatever the clocks say: it can't wake later and send."""
POST_SECONDS: Final = 10.0
SAVE_SECONDS: Final = 3.0
"""Kept back from the deadline to write down what the POST brought."""
FIRST_LOOK_SECONDS: Final = 300.0
"""A run that sent no callback is asked for after this time: most models end within a minute (contract section 3)."""
URL_MARGIN_SECONDS: Final = 300.0
LIST_SKEW_SECONDS: Final = 3_600.0
"""How far Runflow's clock may be behind: the look-up goes that much further back."""
MAX_PAGES: Final = 40
UNANSWERED: Final = (Reason.RUNFLOW_DOWN, Reason.UNAUTHORIZED, Reason.NOT_CONFIGURED)
"""Gates behind which a look-up could not succeed. Behind the others it costs nothing, and may find a paid picture."""
DOWN_AFTER: Final = 3
"""Failures in a row, seen by one process, that close the intake."""
ROUNDS: Final = 5


class _Closed(Exception):
    """The photo can't or need not be cleaned: the job ends here."""

    def __init__(self, job: Job) -> None:
        self.job = job


@dataclass(frozen=True, slots=True)
class _Photo:
    content_type: str
    metadata: tuple[tuple[str, str], ...]
    ratio: str | None


class Submit:
    """Handles one message of the upload queue at a time; may be called from many threads."""

    def __init__(
        self,
        settings: SubmitSettings,
        jobs: JobStore,
        photos: PhotoStore,
        runs: Runs,
        outbox: Outbox,
        budget: Budget,
        clock: Clock,
        telemetry: Telemetry,
        uniform: Uniform = random.uniform,
    ) -> None:
        self._settings, self._jobs, self._photos, self._runs = settings, jobs, photos, runs
        self._outbox, self._budget = outbox, budget
        self._clock, self._telemetry, self._uniform = clock, telemetry, uniform
        self._failures = 0

    def handle(self, message: Mapping[str, Any], deadline: float) -> None:
        """Bring the job that a message speaks of as far as it goes now.

        `deadline` is the moment, on the monotonic clock, at which this process is killed. Returns where the message is
        done with: whatever is left to do is due on the row. Raises `Transient` where it should come again, ValueError
        where it is no message of ours.
        """
        for _ in range(ROUNDS):
            job = self._load(message)
            if job is None:
                return
            try:
                self._go_on(job, deadline)
            except Conflict:
                self._telemetry.info("the row moved: reading it again", job_id=job.job_id)
            except Transient as error:
                self._interrupted(job, error)
                return
            else:
                return
        raise Transient("the row is contended")

    def _interrupted(self, job: Job, error: Transient) -> None:
        """A row comes due by itself: its message need not come again, and never ends as a dead letter."""
        self._telemetry.warning("interrupted", job_id=job.job_id, error=str(error))
        if job.version:
            return
        wait = backoff(0, self._uniform, base=60.0, cap=60.0, at_least=30.0)
        try:
            self._jobs.save(job, defer(job, self._clock.now() + wait))
        except Conflict:
            self._telemetry.info("the row is there", job_id=job.job_id)

    def _load(self, message: Mapping[str, Any]) -> Job | None:
        if "job_id" in message:
            job = self._jobs.get(str(message["job_id"]))
            if job is None:
                self._telemetry.warning("no row of this name: it has expired", job_id=str(message["job_id"])[:64])
            return job
        upload = read_upload(message)
        if upload.bucket != self._settings.input_bucket:
            raise ValueError(f"an event of another bucket: {upload.bucket}")
        return self._jobs.get(upload.job_id) or new(upload, self._clock.now())

    def _go_on(self, job: Job, deadline: float) -> None:
        now = self._clock.now()
        if job.state is State.SUBMITTING:
            if now >= job.lease_until:
                self._jobs.save(job, await_confirmation(job, job.lease_until + self._confirmation_seconds))
        elif job.state is not State.WAITING:
            self._telemetry.info(f"already {job.state}", job_id=job.job_id)
        elif now < job.not_before:
            self._telemetry.info("not before its time", job_id=job.job_id, reason=job.reason)
        elif job.reason is Reason.UNCONFIRMED:
            self._find_existing_run(job, deadline)
        else:
            self._begin(job, deadline)

    @property
    def _confirmation_seconds(self) -> float:
        return self._settings.confirmation_minutes * 60.0 + CLOCK_SKEW

    # Before paying

    def _begin(self, job: Job, deadline: float) -> None:
        override = self._jobs.override()
        intake = self._jobs.intake()
        probe = intake.probe_job == job.job_id
        try:
            if self._paused(override.paused):
                self._hold(job, Reason.PAUSED)
                return
            if not intake.lets_through(job):
                self._hold(job, intake.reason or Reason.PAUSED)
                return
            self._runs.ready()
            photo = self._check(job)
        except NotConfigured:
            self._pause_intake(Reason.NOT_CONFIGURED, probe)
            self._hold(job, Reason.NOT_CONFIGURED)
            return
        except _Closed as closed:
            self._outbox.close(job, closed.job)
            self._said_nothing(probe)
            return
        claimed = self._claim(job, photo, self._budget.limit(override))
        if claimed is None:
            self._pause_intake(Reason.SPEND_LIMIT, probe)
            self._hold(job, Reason.SPEND_LIMIT)
        else:
            self._send(claimed, deadline, probe)

    def _paused(self, override: bool | None) -> bool:
        return self._settings.paused if override is None else override

    def _hold(self, job: Job, reason: Reason) -> None:
        if job.reason is not reason:
            self._jobs.save(job, wait_for_intake(job, reason))
            self._telemetry.info("held", job_id=job.job_id, key=readable(job.upload.key), reason=reason)

    def _check(self, job: Job) -> _Photo:
        upload, now, most = job.upload, self._clock.now(), self._settings.max_image_megabytes * 1024 * 1024
        if now - upload.uploaded_at > RETENTION_SECONDS:
            raise _Closed(skip(job, Reason.TOO_OLD, "the upload is more than 90 days old", now))
        if folder_marker(upload):
            raise _Closed(skip(job, Reason.FOLDER_MARKER, "only a folder's name", now))
        if upload.size == 0:
            raise _Closed(skip(job, Reason.EMPTY, "the file is empty", now))
        if upload.size > most:
            raise _Closed(skip(job, Reason.TOO_LARGE, f"{upload.size} bytes are more than {most}", now))
        if not addressable(upload):
            raise _Closed(fail(job, Reason.UNUSABLE_NAME, "no web address can name it", now, free=True))
        try:
            start = self._photos.read_head(upload.bucket, upload.key, upload.version_id, HEAD_BYTES)
            if upload.etag and start.etag != upload.etag:
                raise _Closed(supersede(job, Reason.REPLACED, "replaced before it was read", now))
            content_type = self._sniff(job, start)
        except Missing:
            raise _Closed(supersede(job, Reason.DELETED, "deleted before it was read", now)) from None
        except Denied as error:
            raise _Closed(fail(job, Reason.NO_PERMISSION, str(error), now, free=True)) from None
        except NotAnImage as error:
            raise _Closed(skip(job, _WHY_NOT.get(type(error), Reason.NOT_AN_IMAGE), str(error), now)) from None
        try:
            ratio = aspect_ratio(start.metadata.get("aspect-ratio") or self._settings.aspect_ratio)
        except ValueError as error:
            raise _Closed(fail(job, Reason.INVALID_ASPECT_RATIO, str(error), now, free=True)) from None
        rank = sequencer_rank(upload.sequencer)
        if self._jobs.raise_newest_upload(upload.bucket, upload.key, rank) > rank:
            raise _Closed(supersede(job, Reason.NEWER_UPLOAD, "a newer photo of this name came first", now))
        return _Photo(content_type, tuple(sorted(start.metadata.items())), ratio)

    def _sniff(self, job: Job, start: Head) -> str:
        image = sniff(start.data, start.size)
        upload = job.upload
        whole = len(start.data) == start.size
        tail = start.data if whole else self._photos.read_tail(upload.bucket, upload.key, upload.version_id, TAIL_BYTES)
        check_tail(image, start.data, tail)
        return image.content_type

    def _claim(self, job: Job, photo: _Photo, limit: int) -> Job | None:
        now, upload, number = self._clock.now(), job.upload, job.submission_no + 1
        seconds = self._settings.url_lifetime_minutes * 60
        body = create_body(
            image_url=self._photos.presign(upload.bucket, upload.key, upload.version_id, seconds),
            callback_url=self._settings.callback_url,
            client_ref=f"{job.job_id}.{number}",
            job_id=job.job_id,
            key=upload.key,
            aspect_ratio=photo.ratio,
        )

        def claimed(reservation: Reservation) -> Job:
            return claim(
                job,
                submission_no=number,
                body=body,
                reservation=reservation,
                content_type=photo.content_type,
                source_metadata=photo.metadata,
                now=now,
                lease_until=now + LEASE_SECONDS,
                url_expires_at=now + seconds,
            )

        return self._budget.reserve(job, claimed, limit)

    # Paying

    def _send(self, job: Job, deadline: float, probe: bool = False) -> None:
        timeout = min(POST_SECONDS, deadline - SAVE_SECONDS - self._clock.monotonic())
        if timeout <= 0 or job.body is None:
            self._jobs.save(job, abandon_claim(job, self._clock.now()))
            return
        try:
            outcome = self._runs.create(job.body, job.idempotency_key, timeout)
        except (NotConfigured, Transient) as error:  # raised only before anything is sent
            self._telemetry.warning("not sent", job_id=job.job_id, error=str(error))
            self._jobs.save(job, abandon_claim(job, self._clock.now()))
            return
        if isinstance(outcome, Accepted):
            self._accepted(job, outcome.run_id, probe)
        elif isinstance(outcome, Refused):
            self._refused(job, outcome, probe)
        else:
            self._ambiguous(job, outcome, probe)

    def _accepted(self, job: Job, run_id: str, probe: bool) -> None:
        self._failures = 0
        now = self._clock.now()
        try:
            self._jobs.save(job, accept(job, run_id, now, now + FIRST_LOOK_SECONDS))
        except Conflict:
            self._take(job.job_id, run_id)
        self._telemetry.count("Submitted")
        self._telemetry.info("run created", job_id=job.job_id, key=readable(job.upload.key), run_id=run_id)
        if probe:
            intake = self._jobs.intake()
            self._save_intake(intake, intakes.drain(intake))

    def _take(self, job_id: str, run_id: str) -> None:
        """The row moved while the POST was under way: the run is ours all the same."""
        job = self._jobs.get(job_id)
        if job is None or job.run_id == run_id or run_id in job.earlier_runs:
            return
        if job.run_id is None and not job.state.terminal:
            self._budget.adopt(job, run_id, self._clock.now() + FIRST_LOOK_SECONDS)
        else:
            self._budget.charge_unmatched(job, Run(run_id, RunStatus.RUNNING))

    def _refused(self, job: Job, refusal: Refused, probe: bool) -> None:
        self._failures = 0
        now = self._clock.now()
        said = f"Runflow answered {refusal.status}: {refusal.message or refusal.code or 'no reason given'}"
        self._telemetry.warning("refused", job_id=job.job_id, status=refusal.status, code=refusal.code)
        if refusal.status == 429:
            wait = backoff(job.tries, self._uniform, base=5.0, cap=900.0, at_least=refusal.retry_after or 0.0)
            self._jobs.save(job, back_off(job, Reason.RATE_LIMITED, now + wait))
            self._said_nothing(probe)
        elif refusal.status == 402 or (refusal.code or "").startswith("INSUFFICIENT_CREDIT"):
            self._pause_intake(Reason.OUT_OF_CREDIT, probe)
            self._jobs.save(job, back_off(job, Reason.OUT_OF_CREDIT, now))
        elif refusal.status in (401, 403, 404):
            self._pause_intake(Reason.UNAUTHORIZED, probe)
            self._jobs.save(job, back_off(job, Reason.UNAUTHORIZED, now))
        else:
            free = not job.maybe_submitted
            self._outbox.close(job, fail(job, Reason.REFUSED, said[:500], now, code=refusal.code, free=free))
            self._said_nothing(probe)

    def _ambiguous(self, job: Job, outcome: Ambiguous, probe: bool) -> None:
        self._telemetry.count("AmbiguousSubmission")
        self._telemetry.warning("no clear answer: looking before sending again", job_id=job.job_id, why=outcome.why)
        self._jobs.save(job, await_confirmation(job, self._clock.now() + self._confirmation_seconds))
        self._failures = self._failures + 1 if outcome.down else 0
        if self._failures >= DOWN_AFTER or (outcome.down and probe):
            self._pause_intake(Reason.RUNFLOW_DOWN, probe)

    # After a doubt

    def _find_existing_run(self, job: Job, deadline: float) -> None:
        now = self._clock.now()
        later = now + 60.0 + backoff(job.tries, self._uniform, base=60.0, cap=1_800.0)
        intake = self._jobs.intake()
        may_send = intake.lets_through(job) and not self._paused(self._jobs.override().paused)
        if intake.reason in UNANSWERED and not intake.lets_through(job):
            self._jobs.save(job, keep_unconfirmed(job, later))
            return
        try:
            found, complete, cursor = self._runs_of(job, deadline)
        except (Transient, Unauthorized, NotConfigured) as error:
            self._telemetry.warning("the look-up failed", job_id=job.job_id, error=str(error))
            self._jobs.save(job, keep_unconfirmed(job, later))
            return
        if found:
            first, *others = sorted(found, key=lambda run: run.status is RunStatus.FAILED)
            self._budget.adopt(job, first.run_id, now + 60.0)
            for run in others:
                if run.charged or not run.status.terminal:
                    self._budget.charge_unmatched(job, run)
        elif not complete:
            self._jobs.save(job, keep_unconfirmed(job, now, search_from=cursor))
        elif may_send and job.url_expires_at - now > URL_MARGIN_SECONDS:
            again = resend(job, lease_until=now + LEASE_SECONDS)
            self._jobs.save(job, again)
            self._send(again, deadline)
        else:
            fresh = start_over(job, now)
            self._jobs.save(job, fresh)
            self._begin(fresh, deadline)

    def _runs_of(self, job: Job, deadline: float) -> tuple[list[Run], bool, str | None]:
        """Every run of a job that the run list shows back to its claim; whether the list was read that far; else where
        to go on. What is newer than a look-up's first page can't be ours: the await_confirmation time was over by then.
        """
        since, cursor = job.claimed_at - LIST_SKEW_SECONDS, job.search_from
        found: list[Run] = []
        for number in range(MAX_PAGES):
            if self._clock.monotonic() > deadline - POST_SECONDS:
                break
            try:
                page = self._runs.page(cursor)
            except Transient:
                if number == 0:  # it may be the cursor that is at fault: from the top again
                    raise
                break
            found += self._proven(page, job)
            times = [run.created_at for run in page.runs if run.created_at is not None]
            cursor = page.next
            if cursor is None or (times and max(times) < since):
                return found, True, None
        return found, bool(found), cursor

    def _proven(self, page: RunPage, job: Job) -> Iterator[Run]:
        """The runs of a page that name the job and prove to be its own; a list may tell less of a run than its record.

        A record may leave `input` empty (contract section 2): then the name is enough; to send again would pay twice.
        """
        for listed in page.runs:
            if not _names(listed, job) or listed.run_id in job.earlier_runs:
                continue
            run = listed if listed.image_url and listed.client_ref else self._runs.get(listed.run_id)
            if run is None:
                raise Transient("a run of this name is in the list and not known yet")
            if belongs_to(run, job, self._photos) or (run.image_url is None and client_ref_matches(run, job)):
                yield run
            else:
                self._telemetry.warning("a run that is not ours names our job", job_id=job.job_id, run_id=run.run_id)

    # The intake

    def _pause_intake(self, reason: Reason, probe: bool) -> None:
        """A intake that is closed stays as it is, whatever stragglers bring; only its probe may speak again."""
        intake = self._jobs.intake()
        if intake.reason is None or intake.draining or probe:
            self._save_intake(intake, intakes.pause(intake, reason, self._clock.now()))

    def _said_nothing(self, probe: bool) -> None:
        if probe:
            intake = self._jobs.intake()
            self._save_intake(intake, intakes.inconclusive(intake, self._clock.now()))

    def _save_intake(self, before: Intake, after: Intake) -> None:
        try:
            self._jobs.save_intake(before, after)
        except Conflict:
            self._telemetry.info("another worker moved the intake")
        else:
            self._telemetry.warning("intake", reason=after.reason, draining=after.draining)


def _names(run: Run, job: Job) -> bool:
    return run.job_id == job.job_id or (run.client_ref or "").startswith(job.job_id + ".")


_WHY_NOT: Final[dict[type[NotAnImage], Reason]] = {
    Unsupported: Reason.UNSUPPORTED_TYPE,
    Truncated: Reason.TRUNCATED,
    TooManyPixels: Reason.TOO_MANY_PIXELS,
}
