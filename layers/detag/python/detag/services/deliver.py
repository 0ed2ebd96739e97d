"""`deliver`: from an ended run to an output, or to a reason."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from detag.domain import waits
from detag.domain.backoff import Uniform
from detag.domain.decisions import (
    GOOD,
    Adopt,
    Again,
    Fetch,
    Fetched,
    FetchOther,
    Idle,
    NotStored,
    Overtaken,
    Partway,
    Step,
    Stored,
    after_fetch,
    after_fetch_of_other,
    after_match,
    after_no_answer,
    after_other_run,
    after_run,
    after_unknown_other,
    after_untold,
    already_done,
    as_asked,
    bill,
    callback_again,
    comes_again,
    done_of,
    found_stored,
    is_proven,
    is_uncounted,
)
from detag.domain.images import NotAnImage, sniff
from detag.domain.job import Job, State, sequencer_rank
from detag.domain.metrics import Metric
from detag.domain.naming import (
    JOB_ID,
    REUSED_FROM,
    RUN_ID,
    SEQUENCER,
    output_metadata,
    readable,
)
from detag.domain.picture import Output
from detag.domain.runs import MAX_OUTPUT_URLS, Result, Run, read_result
from detag.domain.search import Whose, whose_run
from detag.ports.clock import Clock
from detag.ports.errors import Conflict, Transient
from detag.ports.jobs import JobStore
from detag.ports.outputs import Download, Fetcher, OutputUrlExpired, Unsafe
from detag.ports.photos import Archived, Denied, Existing, Missing, NotShown, PhotoStore, PreconditionFailed
from detag.ports.runs import NotConfigured, OtherAccount, Runs, Unauthorized
from detag.ports.telemetry import Telemetry
from detag.services.budget import Budget
from detag.services.steps import Steps
from detag.services.storing import Storing, as_output

Road = Stored | Partway | Overtaken | NotStored
"""What one road to the outputs has given."""
ROUNDS: Final = 5
SAVE_SECONDS: Final = 30.0
"""Kept of an invocation for what follows an output's last byte: S3's answer, the event, the item."""


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
        storing: Storing,
        steps: Steps,
        budget: Budget,
        clock: Clock,
        telemetry: Telemetry,
        uniform: Uniform,
    ) -> None:
        self._max_attempts, self._run_timeout_hours = max_attempts, run_timeout_hours
        self._jobs, self._photos, self._runs, self._fetcher = jobs, photos, runs, fetcher
        self._storing, self._steps, self._budget = storing, steps, budget
        self._clock, self._telemetry, self._uniform = clock, telemetry, uniform

    def handle(self, message: Mapping[str, Any], deadline: float) -> None:
        """Bring the job that a message speaks of to its end, if its run has ended. `deadline` is the moment on the
        monotonic clock at which this process is killed.

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
                self._go_on(job, result, deadline)
            except Conflict:
                self._telemetry.info("write conflict, re-reading job", job_id=job.job_id)
            else:
                return
        raise Transient("job contended")

    def _go_on(self, job: Job, result: Result, deadline: float) -> None:
        if job.pending:
            job = self._steps.publish_pending(job)
        run_id = result.run_id or job.run_id
        if run_id is None:
            return
        done = already_done(job, run_id)
        if done is not None:
            self._telemetry.info(done.why, job_id=job.job_id, state=job.state)
            return
        try:
            run = self._run(job, run_id, result)
        except (Transient, Unauthorized, NotConfigured, OtherAccount) as error:
            self._take(job, after_no_answer(job, run_id, str(error), now=self._clock.now()), result, deadline)
            return
        match whose_run(job, run_id, run, lambda: self._photo_url(job)):
            case Whose.OWN:
                self._close(self._counted(job, run), run, result, deadline)
            case Whose.NEW:
                self._close(self._adopted(job, run_id, run), run, result, deadline)
            case Whose.FOREIGN if run is not None:
                self._matched(job, run_id, run, ours=False)
                self._unmatched(result, "not a run of this job")
            case Whose.EARLIER | Whose.UNMATCHED if run is not None:
                self._use_other(job, run, result, deadline)
            case Whose.UNTOLD:
                self._take(job, after_untold(job, run_id, now=self._clock.now()), result, deadline)
            case _:
                self._take(job, after_unknown_other(job, run_id, now=self._clock.now()), result, deadline)

    def _photo_url(self, job: Job) -> str:
        upload = job.upload
        return self._photos.presign(upload.bucket, upload.key, upload.version_id, int(waits.COMPARED_URL.seconds))

    def _adopted(self, job: Job, run_id: str, run: Run | None) -> Job:
        """The job with a run that proved to be its own; saved, unless it is closed: then only a delivery is."""
        if job.state.terminal:
            return replace(self._counted(job, run), run_id=run_id)
        return self._budget.adopt(job, Adopt(run_id, (), run.client_ref if run else None))

    def _run(self, job: Job, run_id: str, result: Result) -> Run | None:
        """The run's record, with output URLs from elsewhere where it succeeded and has none."""
        signed = result.output_urls if result.status in GOOD and run_id == job.run_id else ()
        try:
            run = self._runs.get(run_id, account=job.account)
        except (Transient, Unauthorized, NotConfigured, OtherAccount):
            if not signed:
                raise
            run = None
        if run is None:
            run = Run(run_id, result.status, output_urls=signed, more_outputs=result.left_out, is_record=False)
            return run if signed else None
        return next(self._other_roads(run, result), run) if run.status in GOOD and not run.output_urls else run

    def _other_roads(self, run: Run, result: Result) -> Iterator[Run]:
        """A run with the URLs of its outputs by the other roads, each tried once those before it gave none: what its
        callback signed, and the record as Runflow gives it without being asked for signatures (contract 16.1).
        """
        if result.output_urls and result.status in GOOD and result.run_id == run.run_id:
            urls = (*result.output_urls, *run.output_urls[len(result.output_urls) :])
            more = max(0, len(result.output_urls) + result.left_out - len(urls))
            yield replace(run, output_urls=urls, more_outputs=more)
        try:
            plain = self._runs.get(run.run_id, signed=False)
        except (Transient, Unauthorized, NotConfigured):
            return
        if plain is not None and plain.output_urls:
            more = max(0, len(run.output_urls) + run.more_outputs - len(plain.output_urls))
            yield replace(run, output_urls=plain.output_urls, more_outputs=more)

    def _use_other(self, job: Job, run: Run, result: Result, deadline: float) -> None:
        """Count an earlier or unmatched run, and use its output where the job has none."""
        job = self._matched(self._counted(job, run), run.run_id, run, ours=True)
        decided = after_other_run(job, run, now=self._clock.now())
        if isinstance(decided, FetchOther):
            other = replace(job, run_id=run.run_id, done=done_of(job, run))
            fetched = self._storing.alone(job, lambda: self._fetch_by_any_road(other, run, result, deadline), deadline)
            job = self._ask_for_callback(job, run, fetched)
            decided = after_fetch_of_other(job, run, fetched, now=self._clock.now())
            self._take(job, decided, _with_urls_left(result, fetched), deadline)
        elif isinstance(decided, Step) and job.state is State.WAITING:
            self._close(self._steps.take(job, decided), run, result, deadline)
        else:
            self._take(job, decided, replace(result, output_urls=()), deadline)

    def _counted(self, job: Job, run: Run | None) -> Job:
        """The job once what a run of it costs is counted: in its reservation, or as a charge beside it."""
        if run is None:
            return job
        match bill(job, run):
            case Again(why):
                raise Transient(why)
            case Step() as billed:
                job = self._steps.take(job, billed)
        if is_uncounted(job, run):
            self._budget.charge_unmatched(job, run)
        return job

    def _matched(self, job: Job, run_id: str, run: Run, *, ours: bool) -> Job:
        """The job once it is noted whose a run is that Runflow did not show before."""
        step = after_match(job, run_id, run, ours=ours)
        return job if step is None else self._steps.take(job, step)

    def _unmatched(self, result: Result, why: str) -> None:
        self._telemetry.count(Metric.UNMATCHED_CALLBACK)
        self._telemetry.warning("unmatched callback", why=why, job_id=result.job_id, run_id=result.run_id)

    # How the run ended

    def _close(self, job: Job, run: Run | None, result: Result, deadline: float) -> None:
        if run is not None:
            job = self._ask_for_callback(job, run, None)
        decided = after_run(
            job,
            run,
            now=self._clock.now(),
            max_attempts=self._max_attempts,
            run_timeout_hours=self._run_timeout_hours,
            uniform=self._uniform,
        )
        if isinstance(decided, Fetch):
            run = decided.run
            job = replace(job, done=done_of(job, run), done_run=None)
            fetched = self._storing.alone(job, lambda: self._fetch_by_any_road(job, run, result, deadline), deadline)
            job = self._ask_for_callback(job, run, fetched)
            decided = after_fetch(job, run, fetched, now=self._clock.now())
            self._take(job, decided, _with_urls_left(result, fetched), deadline, run)
        else:
            self._take(job, decided, result, deadline, run)

    def _ask_for_callback(self, job: Job, run: Run, fetched: Fetched | None) -> Job:
        """The job, after its run's callback was asked for again, if that is the last road to the outputs."""
        step = callback_again(job, run, fetched, now=self._clock.now())
        if step is None:
            return job
        job = self._steps.take(job, step)
        try:
            self._runs.redeliver(run.run_id)
        except (Transient, Unauthorized, NotConfigured) as error:
            self._telemetry.warning("callback not sent again", job_id=job.job_id, run_id=run.run_id, why=str(error))
        return job

    def _take(
        self, job: Job, decided: Step | Idle | Again, result: Result, deadline: float, run: Run | None = None
    ) -> None:
        """Carry out what was decided; `run`: the record that it was decided by."""
        match decided:
            case Idle(why):
                self._telemetry.info(why, job_id=job.job_id)
            case Again(why):
                self._telemetry.info("result retried", job_id=job.job_id, key=readable(job.upload.key), why=why)
                raise Transient(why)
            case Step(unless_stored=True) if outputs := self._stored_before(job):
                done = job.done if job.done_run is None else ()
                found = self._storing.alone(job, lambda: self._whole(job, done, outputs), deadline)
                stored = found_stored(job, run, found, now=self._clock.now())
                if isinstance(stored, Step):  # what is stored cannot be finished either: a person is told, once
                    stored = replace(stored, unless_stored=False)
                self._take(job, stored, result, deadline)
                return
            case Step():
                job = self._steps.take(job, as_asked(job, decided, now=self._clock.now()))
        if comes_again(job, result, now=self._clock.now()):
            raise Transient("its output URLs may still be needed, and are nowhere else")

    def _stored_before(self, job: Job) -> tuple[Output, ...]:
        """The same; none where an open job is given up whose outputs may not be looked at: it is still asked for."""
        try:
            return self._stored(job)
        except NotShown as error:
            if job.state.terminal:
                raise
            self._telemetry.warning("stored outputs cannot be seen", job_id=job.job_id, error=str(error))
            return ()

    def _stored(self, job: Job) -> tuple[Output, ...]:
        """The job's outputs that a worker stored before it died."""
        found: dict[str, Output] = {}
        for number in range(1, MAX_OUTPUT_URLS + 1):
            there = ((key, self._photos.existing(key)) for key in self._storing.names(job.upload.key, number))
            ours = {key: as_output(number, key, one) for key, one in there if one and _same_run(job, one)}
            if not ours and number > len(job.done):
                break
            found = ours | found
        return tuple(found.values())

    def _whole(self, job: Job, done: tuple[str, ...], outputs: tuple[Output, ...], refused: str = "") -> Stored:
        """What was stored of a run, under the keys of `done`, and what `outputs` of it are still there. An equal photo
        may have them only if they are all there, and surely the photo's that was claimed.
        """
        there = [output.key for output in outputs]
        keys = tuple(key for key in dict.fromkeys((*done, *there)) if key)
        same = bool(keys) and len(keys) == len(there) and self._is_same_photo(job)
        return Stored(keys, refused, outputs=outputs, same_photo=same)

    def _is_same_photo(self, job: Job) -> bool:
        """Whether Runflow has surely read the photo that was claimed. Without versions its URL leads to whatever has
        the name by then: to be sure, the name must still show that photo, and no other may have been seen since.
        """
        upload = job.upload
        if upload.version is not None or job.picture is None:
            return True
        try:
            self._photos.read_head(upload.bucket, upload.key, None, 1, upload.etag or None)
        except (Missing, Denied, Archived, PreconditionFailed):
            return False
        return bool(upload.etag) and self._jobs.same_since(upload.bucket, upload.key) <= upload.rank

    # The outputs

    def _fetch_by_any_road(self, job: Job, run: Run, result: Result, deadline: float) -> Road:
        """Store the run's outputs; what the URLs of its record do not give is tried by the others."""
        fetched, roads = self._store(job, run, deadline), self._other_roads(run, result)
        while _may_give_more(fetched) and (road := next(roads, None)):
            if road.output_urls != run.output_urls:
                done = fetched.done if isinstance(fetched, NotStored) else job.done
                rest = replace(job, done=done[: done.index("")] if "" in done else done)
                fetched = _better(fetched, self._store(rest, road, deadline))
        return fetched

    def _store(self, job: Job, run: Run, deadline: float) -> Road:
        """Fetch and store the run's outputs, from where the last invocation stopped.

        Another is begun only while it has its whole time; the first of an invocation always is, so that each gets on.
        """
        urls, done, refused = run.output_urls[:MAX_OUTPUT_URLS], job.done, ""
        stored: dict[str, Output] = {}
        try:
            for number, url in enumerate(urls[len(done) :], len(done) + 1):
                left = deadline - SAVE_SECONDS - self._clock.monotonic()
                if left < waits.OUTPUT.seconds and len(done) > len(job.done):
                    return Partway(done)
                try:
                    with self._fetcher.open(url, max(left, 1.0)) as download:
                        output = self._put(job, run, number, download)
                    done += (output.key,)
                    stored[output.key] = output
                except (Unsafe, NotAnImage) as error:
                    why = error.fact if isinstance(error, NotAnImage) else str(error)
                    refused = f"run {run.run_id}: output {number}: {why}"
                    self._telemetry.warning("output not safe to store", job_id=job.job_id, why=refused)
                    if not is_proven(run, refused):
                        break
                    done += ("",)
        except _NewerDelivered:
            return Overtaken(done)
        except (OutputUrlExpired, Transient) as error:
            closed = isinstance(error, OutputUrlExpired)
            return NotStored(f"an output could not be fetched or stored: {error}", done, closed)
        if len(urls) < (count := len(run.output_urls) + run.more_outputs):
            refused = f"outputs {len(urls) + 1} to {count}: too many"
        elif "" in done:
            refused = refused or f"output {done.index('') + 1}: not safe to store"
        if not is_proven(run, refused):
            return Stored((), refused)  # none of them closes the job
        try:
            return self._whole(job, done, self._exactly(job, done, stored), refused)
        except Transient as error:
            return NotStored(f"what was stored could not be read: {error}", done)

    def _exactly(self, job: Job, done: tuple[str, ...], stored: Mapping[str, Output]) -> tuple[Output, ...]:
        """The outputs as they were stored; those of an earlier invocation if they are still there."""
        found = []
        for number, key in enumerate(done, 1):
            if key in stored:
                found.append(stored[key])
            elif key and (there := self._photos.existing(key)) is not None and _same_run(job, there):
                found.append(as_output(number, key, there))
        return tuple(found)

    def _put(self, job: Job, run: Run, number: int, download: Download) -> Output:
        image = sniff(download.head, download.length)
        metadata = output_metadata(job, dict(job.source_metadata), run.cost)
        key, existing = self._storing.place(job, image.content_type, number)
        if existing is not None and self._is_done(job, existing):
            return as_output(number, key, existing)
        try:
            put = self._photos.put(key, download.body, download.length, image.content_type, metadata, existing)
        except PreconditionFailed:
            raise Transient("another delivery wrote the same key") from None
        return as_output(number, key, put)

    def _is_done(self, job: Job, existing: Existing) -> bool:
        """Whether this very output is there already. Raises `_NewerDelivered` where a newer one is."""
        if sequencer_rank(existing.metadata.get(SEQUENCER, "")) > job.upload.rank:
            raise _NewerDelivered
        return _same_run(job, existing)


def _may_give_more(fetched: Fetched) -> bool:
    return isinstance(fetched, NotStored) or (isinstance(fetched, Stored) and fetched.refused != "")


def _better(one: Road, other: Road) -> Road:
    """Of two roads to the same outputs the one that gave more; refused is only what both of them refuse."""
    better = max(one, other, key=_worth)
    if isinstance(better, NotStored):
        return replace(better, refused=better.refused and _is_closed(one) and _is_closed(other))
    return better


def _worth(fetched: Fetched) -> tuple[float, int]:
    """How much a road gave; of equal ones, what is final, and rather what may give more than nothing for good."""
    match fetched:
        case Stored(keys):
            return len(keys), 3 if keys else 1
        case Partway(done) | NotStored(done=done):
            return len([key for key in done if key]), 0 if _is_closed(fetched) else 2
    return math.inf, 3


def _is_closed(fetched: Fetched) -> bool:
    """Whether the same URLs would give no more."""
    return isinstance(fetched, Stored | Overtaken) or (isinstance(fetched, NotStored) and fetched.refused)


def _with_urls_left(result: Result, fetched: Fetched) -> Result:
    """The message without its output URLs, once they have given all they will."""
    return replace(result, output_urls=()) if _is_closed(fetched) else result


def _same_run(job: Job, existing: Existing) -> bool:
    """Whether an output is of the job's run: a copy that was made for the job before it was reopened is of none."""
    ours = existing.metadata.get(JOB_ID) == job.job_id and existing.metadata.get(RUN_ID) == (job.run_id or "")
    return ours and REUSED_FROM not in existing.metadata
