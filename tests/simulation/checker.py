"""What must be true of every simulation: after each effect, after each POST and each callback, and at the end.

Each invariant has a name; `broken` holds the name of each that did not hold, and what was seen. The checker reads the
fakes' insides, which no service can.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from detag.domain.job import Job, Reservation, State, Upload, sequencer_rank
from detag.domain.money import NO_LIMIT, day_of, used_images
from detag.domain.naming import JOB_ID, RECORDS, SOURCE_KEY, record_key
from detag.domain.reasons import Reason
from detag.domain.waits import CLOCK_SKEW
from detag.ports.jobs_fake import Write
from detag.ports.runs_fake import FakeRun
from detag.services.callback import REREAD_SECONDS, signature_of
from detag.services.outbox import DETAIL_TYPES, RECORDED
from tests.simulation.photos import is_output, name_in
from tests.simulation.sqs import MAX_RECEIVES

if TYPE_CHECKING:
    from tests.simulation.runflow import Post
    from tests.simulation.simulation import Simulation

INVARIANTS: Final = {
    "due time": "every open job has a due time, at every moment",
    "no body at rest": "an item keeps a body only while it may have to be sent again",
    "one writer at a time": "a job, and the intake, only ever move forward from what the writer read",
    "terminal is final": "no job leaves a terminal state, except for a delivery after a failure",
    "own run": "a job's run is one that detag itself created for that job",
    "daily spend limit": "no reservation, and no paid run, goes beyond the day's limit",
    "day budget": "each day budget is the sum of the reservations and of what was charged beside them",
    "body stored first": "what is sent is what the item holds, and the job is claimed",
    "same key, same bytes": "an idempotency key never goes out with two bodies",
    "one key per submission": "a submission goes out under one idempotency key",
    "nothing reserved for an older upload": "no money is reserved for a photo once a newer one of its name was seen",
    "one send per lease": "a claim sends once, and not after its lease",
    "time left to save": "a POST may last no longer than its process may live",
    "confirmation awaited first": "an unconfirmed photo is not sent again before its confirmation time is over",
    "search first": "an unconfirmed photo is not sent again before the run list was searched",
    "photo URL valid": "no photo is sent with a presigned URL that has expired",
    "Retry-After respected": "a photo waits for as long as Runflow asked",
    "judged by its bytes": "what can be cleaned is never skipped, and nothing else is sent",
    "sent as what it is": "Runflow reads a photo as its own type, whatever its uploader said",
    "intake": "while the intake is paused only its probe is sent",
    "paid once": "at most one paid run for one photo, and every paid run belongs to a job",
    "free retries only": "only a run that failed free of charge is tried again, and only so often",
    "intake reopens": "two hours after every cause is gone the intake is open, and no photo waits for it",
    "no failure for a paused intake": "no photo fails because of a key, of credit, of the spend limit or of an outage",
    "answers": "a callback is answered as the design's table says",
    "durable before 200": "a callback of ours is answered 200 only once the queue has it",
    "one terminal state": "each version whose event arrived ends in exactly one terminal state",
    "nothing open": "at the end no job is open, nothing is pending, and the intake is open",
    "nothing paid is lost": "a paid result is stored, or dropped because a newer version was delivered",
    "newest wins": "at its key is the newest version that was delivered",
    "own output": "no output shows another photo's pixels",
    "own name": "no output overwrites another photo's",
    "events": "an event was sent for every outcome that has one, and for no other",
    "records": "a record was written for every failure, and for no other",
    "dead letters explained": "an upload is a dead letter only if its process died, or its item could not be written",
    "redriving is harmless": "at the end, repeating every message there ever was changes nothing",
    "no unexpected error": "no message fails for a bug",
    "no secret logged": "no log line holds a URL, a body, a key or a secret",
    "unmatched run charged once": "an unmatched paid run is charged to the day budget once, with one alarm",
}


class Checker:
    """Watches one simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.broken: list[tuple[str, str]] = []
        self.names: dict[str, str] = {}
        self._not_sent: set[str] = set()
        """The name in a photo's pixels, by job id."""
        self._photos_of_key: dict[str, set[str]] = {}
        self._written = 0
        self._stored = 0
        self._intake_version = 0
        self._intake_changed = 0.0
        self._bodies: dict[str, str] = {}
        self._keys: dict[str, str] = {}
        self._newest_seen: dict[tuple[str, str], float] = {}
        self._highest: dict[tuple[str, str], str] = {}
        simulation.jobs.newest_uploads = _NewestUploads(self._newer_upload)
        self._leases: set[tuple[str, int]] = set()
        self._posts: dict[str, list[Post]] = {}
        self._listed: dict[int, float] = {}
        self._looked_for: dict[str, float] = {}
        self._owners: dict[str, str] = {}
        self._used: Counter[str] = Counter()
        self._charged: set[str] = set()
        self.kept_at: dict[str, float] = {}
        """When a callback of a run was last kept by the result queue for good."""

    def check(self, name: str, holds: bool, *seen: object) -> None:
        """Note a breach of an invariant."""
        assert name in INVARIANTS
        if not holds:
            text = " ".join(_short(one) for one in seen)
            self._simulation.trace_line("BROKEN:", name, "-", text)
            self.broken.append((name, text))

    # What happens

    def uploaded(self, upload: Upload, data: bytes, *, sent: bool) -> None:
        """A photo was put into the bucket. `sent`: it can be cleaned."""
        if not sent:
            self._not_sent.add(upload.job_id)
        try:
            name = name_in(data)
        except ValueError:
            name = ""
        self.names[upload.job_id] = name
        self._photos_of_key.setdefault(upload.key, set()).add(name)

    def observe(self, name: str) -> None:
        """After each effect."""
        writes = self._simulation.jobs.writes
        while self._written < len(writes):
            self._written += 1
            self._item(writes[self._written - 1])
        if name == "jobs.save_intake":
            intake = self._simulation.intake
            self.check("one writer at a time", intake.version > self._intake_version, "the intake", intake)
            self._intake_version, self._intake_changed = intake.version, self._simulation.time
            if intake.reason is Reason.SPEND_LIMIT:
                self._simulation.profile.happens("spend limit reached")
            self._simulation.trace_line(
                "intake:", intake.reason, "draining" if intake.draining else "", intake.probe_job or ""
            )
        elif name == "jobs.charge":
            for run_id in sorted(self._simulation.jobs.charges.keys() - self._charged):
                charge = self._simulation.jobs.charges[run_id]
                self._charged.add(run_id)
                self._used[charge.day] += charge.images
                self._day_budget(charge.day)
        elif name == "photos.put":
            self._output()
        elif name.startswith("queue."):
            self._simulation.forward()

    def _newer_upload(self, place: tuple[str, str], sequencer: str) -> None:
        if self._highest.get(place, "") < sequencer:
            self._highest[place], self._newest_seen[place] = sequencer, self._simulation.time

    def _item(self, write: Write) -> None:
        before, after = write.before, write.after
        if after.due_at is not None:
            self._simulation.wake(after.due_at)
        self._simulation.trace_line(
            "job",
            after.job_id[:8],
            before.state if before else "new",
            "->",
            after.state,
            after.reason or "",
            after.run_id or "",
        )
        self.check("one writer at a time", after.version > (before.version if before else 0), after)
        if after.state.terminal:
            self.check("no body at rest", after.body is None and not after.source_metadata, after)
        else:
            self.check("due time", after.due_at is not None and after.due_shard is not None, after)
            if after.state is State.WAITING and after.reason is not Reason.UNCONFIRMED:
                self.check("no body at rest", after.body is None, after)
        if before is not None and before.state.terminal and after.state is not before.state:
            other = after.run_id != before.run_id and before.state in RECORDED  # another paid run of the photo
            repaired = after.state is State.DELIVERED and (before.repairable or other)
            self.check("terminal is final", repaired, before, after)
        if after.run_id is not None and (before is None or after.run_id != before.run_id):
            runflow = self._simulation.runflow
            made = runflow.runs.get(after.run_id)
            ours = made is not None and made.run_id not in runflow.foreign and runflow.made_for(made) == after.job_id
            self.check("own run", ours, after.job_id, after.run_id)
        if before is not None and after.reason is Reason.RETRY and len(after.earlier_runs) > len(before.earlier_runs):
            made = self._simulation.runflow.runs.get(after.earlier_runs[-1])
            free = made is not None and made.ended and not made.billed
            self.check("free retries only", free and after.attempt <= self._simulation.max_attempts, after)
        if after.state is State.SUBMITTING and (before is None or after.submission_no != before.submission_no):
            place = (after.upload.bucket, after.upload.key)
            newest = self._highest.get(place, "")
            overtaken = (
                newest > sequencer_rank(after.upload.sequencer)
                and self._simulation.time - self._newest_seen[place] > 60
            )
            self.check("nothing reserved for an older upload", not overtaken, after)
        worker = self._simulation.workers[-1]
        unconfirmed = before is not None and before.reason is Reason.UNCONFIRMED
        if worker is not None and before is not None and unconfirmed and not before.search_from:  # else it goes on
            self._looked_for[after.job_id] = self._listed.get(worker.number, 0.0)
        if (
            worker is not None
            and worker.function == "deliver"
            and before is not None
            and not before.run_id
            and after.run_id
        ):
            self._simulation.profile.happens("callback before the response")
        if (before.reservation if before else None) != after.reservation:
            self._money(before.reservation if before else None, after)

    def _money(self, before: Reservation | None, after: Job) -> None:
        """The day budget has changed with the job; a new reservation is within some limit in force."""
        simulation, day = self._simulation, after.reservation.day if after.reservation else ""
        if before is not None:
            self._used[before.day] -= before.images
        if after.reservation is not None:
            self._used[day] += after.reservation.images
        for one in sorted({before.day if before else day, day} - {""}):
            self._day_budget(one)
        if after.state is State.SUBMITTING and day and (before is None or before.day != day):
            most = self._most(simulation.time - 60, simulation.time)
            self.check("daily spend limit", self._used[day] <= most, after, f"image {self._used[day]} of {most}")

    def _day_budget(self, day: str) -> None:
        budget = self._simulation.jobs.day_budgets.get(day, ())
        self.check("day budget", used_images(budget) == self._used[day], day, used_images(budget), self._used[day])

    def _whole_day_budgets(self) -> None:
        """From the items and the charges alone."""
        used: Counter[str] = Counter()
        for job in self._simulation.jobs.jobs.values():
            if job.reservation is not None:
                used[job.reservation.day] += job.reservation.images
        for charge in self._simulation.jobs.charges.values():
            used[charge.day] += charge.images
        self.check("day budget", +used == +self._used, used, self._used)
        for day in sorted({*used, *self._simulation.jobs.day_budgets}):
            self._day_budget(day)

    def _most(self, start: float, end: float) -> int:
        """The highest limit in force in a span of time."""
        before = [limit for at, limit in self._simulation.limits if at <= start]
        return max(
            [before[-1] if before else NO_LIMIT, *(limit for at, limit in self._simulation.limits if start < at <= end)]
        )

    def posted(self, post: Post) -> None:
        """A POST leaves."""
        simulation, now = self._simulation, self._simulation.time
        job = simulation.jobs.jobs.get(post.job_id)
        claimed = job is not None and job.state is State.SUBMITTING and job.body == post.body
        self.check("body stored first", claimed, job)
        client_ref = str(json.loads(post.body)["client_ref"])
        self.check("one key per submission", self._keys.setdefault(client_ref, post.key) == post.key, client_ref)
        self.check("same key, same bytes", self._bodies.setdefault(post.key, post.body) == post.body, post.job_id)
        if job is not None and claimed:
            self.check("one send per lease", (post.job_id, job.version) not in self._leases, "twice", job)
            self.check("one send per lease", now < job.lease_until, "too late", job)
            self._leases.add((post.job_id, job.version))
        query = parse_qs(urlsplit(json.loads(post.body)["input"]["image_url"]).query)
        expires = float(query["X-Amz-Date"][0]) + float(query["X-Amz-Expires"][0])
        self.check("photo URL valid", now < expires, post.job_id)
        if post.worker is not None:
            self.check("time left to save", post.called_at + post.timeout <= post.worker.deadline, post.job_id)
        earlier = self._posts.setdefault(post.job_id, [])
        confirmation, runs = simulation.confirmation_minutes * 60.0, simulation.runflow.runs
        known = [runs[run_id] for run_id in job.earlier_runs] if job else []
        for one in earlier:
            ended = one.outcome.startswith("Refused") or any(one is simulation.runflow.post_of(run) for run in known)
            if not ended and not one.cleared:
                self.check(
                    "confirmation awaited first", now - one.at >= confirmation, post.job_id, "after", now - one.at
                )
                self.check("search first", self._looked_for.get(post.job_id, 0.0) >= one.at + confirmation, post.job_id)
            one.cleared = True
            self.check("Retry-After respected", now - one.at >= one.retry_after - CLOCK_SKEW, post.job_id)
        earlier.append(post)
        intake, paused = simulation.intake, simulation.jobs.operator.paused
        blocked = intake.reason is not None and not intake.draining and now - self._intake_changed > 31
        self.check("intake", not blocked or intake.probe_job == post.job_id, intake.reason, post.job_id)
        self.check("intake", not paused or now - simulation.paused_at <= 31, "paused", post.job_id)

    def listing(self, cursor: str | None) -> None:
        """The run list is read from its beginning."""
        worker = self._simulation.workers[-1]
        if worker is not None and cursor is None:
            self._listed[worker.number] = self._simulation.time

    def answered(self, body: bytes, signature: str | None, status: int) -> None:
        """A callback was answered."""
        simulation = self._simulation
        genuine = signature is not None and any(
            signature_of(body, secret.encode()).decode() == signature for secret in simulation.secrets.secrets
        )
        once = signature is not None and any(
            signature_of(body, secret.encode()).decode() == signature for secret in simulation.all_secrets
        )
        fresh = simulation.time - simulation.secrets_changed < REREAD_SECONDS + 15
        if genuine:
            self.check("answers", status in (200, 502, 503) or (fresh and status == 401), "genuine, but", status)
        elif not once:
            self.check("answers", status in (401, 502, 503), "forged, but", status)
        if status == 200:
            run_id = json.loads(body)["run_id"]
            self.check("durable before 200", simulation.kept_results[run_id] > 0, run_id)

    def queued(self, message: dict[str, Any]) -> None:
        """A queue keeps a message, and did not lose it."""
        if "event" in message:
            self.kept_at[message["run_id"]] = self._simulation.time

    def _output(self) -> None:
        puts = self._simulation.photos.puts
        while self._stored < len(puts):
            key, stored = puts[self._stored]
            self._stored += 1
            if SOURCE_KEY not in stored.metadata:
                continue  # a record
            source = stored.metadata[SOURCE_KEY]
            self.check("own name", self._owners.setdefault(key, source) == source, key, source)
            job = self._simulation.jobs.jobs.get(stored.metadata[JOB_ID])
            good = job is not None and is_output(stored.data)
            if good and job is not None:
                names = {self.names[job.job_id]} if self._simulation.versioned else self._photos_of_key[job.upload.key]
                good = name_in(stored.data) in names
            self.check("own output", good, key, stored.metadata)

    def intake_is_open(self) -> None:
        """Faults ended long ago."""
        waiting = [job for job in self._simulation.jobs.jobs.values() if job.waits_for_intake]
        self.check(
            "intake reopens", self._simulation.intake.reason is None and not waiting, self._simulation.intake, *waiting
        )

    # At the end

    def at_rest(self) -> None:
        """Faults have ended and nothing is left to happen."""
        simulation = self._simulation
        for job_id, upload in simulation.arrived.items():
            job = simulation.jobs.jobs.get(job_id)
            self.check("one terminal state", job is not None and job.state.terminal, upload.key, job)
        for job in simulation.jobs.jobs.values():
            self.check("nothing open", job.state.terminal and not job.pending and job.due_at is None, job)
            self._job(job)
            good = not job.submission_no if job.job_id in self._not_sent else job.state is not State.SKIPPED
            self.check("judged by its bytes", good, job)
        for run in simulation.runflow.runs.values():
            self.check("sent as what it is", not (run.message or "").startswith("image_url is sent as"), run)
        intake = simulation.intake
        self.check("nothing open", intake.reason is None, intake)
        for queue in (simulation.uploads, simulation.results):
            self.check("nothing open", not queue.messages, queue.name, queue.messages)
            for message in queue.died:
                fair = len(message.why) == MAX_RECEIVES and all(map(_is_fair, message.why))
                self.check("dead letters explained", fair or queue is simulation.results, message)
        failures = [line for line in simulation.telemetry.lines if line.message == "message failed"]
        self.check("no unexpected error", not failures, *(line.fields.get("error") for line in failures))
        self._bill()
        self._newest()
        self._reported()
        self._whole_day_budgets()
        alarms = simulation.telemetry.counts["UnmatchedPaidRun"]
        self.check(
            "unmatched run charged once",
            alarms == len(simulation.jobs.charges) == simulation.unmatched_runs,
            alarms,
            simulation.jobs.charges,
        )

    def _job(self, job: Job) -> None:
        simulation = self._simulation
        if job.state is State.FAILED:
            made = simulation.runflow.runs.get(job.run_id or "")
            fair = made is not None and job.reason in (
                Reason.RUN_FAILED,
                Reason.NO_OUTPUT,
                Reason.BAD_OUTPUT,
                Reason.TIMED_OUT,
                Reason.UNKNOWN_RUN,
            )
            self.check("no failure for a paused intake", fair, job)
        if job.reason is Reason.NEWER_DELIVERED:
            self.check("nothing paid is lost", self._newer_delivered(job), "dropped for nothing", job)

    def _newer_delivered(self, job: Job) -> bool:
        return any(
            other.state is State.DELIVERED and other.upload.key == job.upload.key and _later(other, job)
            for other in self._simulation.jobs.jobs.values()
        )

    def _bill(self) -> None:
        simulation = self._simulation
        paid: dict[str, list[FakeRun]] = {}
        days: Counter[str] = Counter()
        for run in simulation.runflow.runs.values():
            if run.billed and run.run_id not in simulation.runflow.foreign:
                paid.setdefault(simulation.runflow.made_for(run), []).append(run)
                at = simulation.runflow.post_of(run).at
                if self._clear(at):
                    days[day_of(at)] += 1
        for job_id, runs in paid.items():
            job = simulation.jobs.jobs.get(job_id)
            self.check("paid once", len(runs) - 1 <= simulation.unmatched_runs, job_id, [run.run_id for run in runs])
            known = [run for run in runs if job is not None and job.run_id == run.run_id]
            self.check("paid once", len(known) == 1, "a paid run of no job", job)
            for run in known:
                if job is not None:
                    self._result(run, job)
        for day, count in days.items():
            start = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
            most = self._most(start - 60, start + 86_400)
            self.check("daily spend limit", count <= most, count, "paid on", day, "of", most)

    @staticmethod
    def _clear(at: float) -> bool:
        """Whether a time is so far from midnight that every clock shows the same day."""
        return 60 < at % 86_400 < 86_340

    def _result(self, run: FakeRun, job: Job) -> None:
        """A paid result was delivered, unless it could not be."""
        if run.status not in ("succeeded", "partial_succeeded") or not self._simulation.runflow.output_is_good(run):
            return
        if run.lost and job.reason is Reason.UNKNOWN_RUN:
            return  # Runflow's loss: it has neither the run nor the output any more
        if job.state is State.FAILED and job.reason in (Reason.TIMED_OUT, Reason.UNKNOWN_RUN):
            late = (run.completed_at or 0) >= (job.closed_at or 0) or job.reason is Reason.UNKNOWN_RUN
            known = self.kept_at.get(run.run_id, 0.0) > (job.closed_at or 0)
            self.check("nothing paid is lost", late and (not known or self._newer_delivered(job)), job)
            return
        dropped = job.state is State.SUPERSEDED and job.reason is Reason.NEWER_DELIVERED
        self.check("nothing paid is lost", job.state is State.DELIVERED or dropped, run.run_id, job)

    def _newest(self) -> None:
        simulation = self._simulation
        newest: dict[str, Job] = {}
        for job in simulation.jobs.jobs.values():
            if job.state is State.DELIVERED:
                best = newest.get(job.upload.key)
                if best is None or _later(job, best):
                    newest[job.upload.key] = job
        for job in newest.values():
            self.check("newest wins", bool(job.outputs), job)
            for key in job.outputs:
                there = simulation.photos.outputs.get(key)
                self.check(
                    "newest wins", there is not None and there.metadata[JOB_ID] == job.job_id, key, job.job_id, there
                )

    def _reported(self) -> None:
        """Events, records, log lines."""
        simulation = self._simulation
        ends: dict[str, set[State]] = {}
        for write in simulation.jobs.writes:
            if write.after.state.terminal:
                ends.setdefault(write.after.job_id, set()).add(write.after.state)
        published = {(detail["job_id"], detail["state"]) for _, detail in simulation.events.published}
        for job in simulation.jobs.jobs.values():  # what a repair has overtaken need not be published any more
            if job.state in DETAIL_TYPES:
                self.check("events", (job.job_id, job.state.value) in published, "none for", job)
        stored = {put.metadata.get(JOB_ID) for _, put in simulation.photos.puts}
        for job_id, state in published:
            true = state in ends.get(job_id, ()) or (state == State.DELIVERED and job_id in stored)
            self.check("events", true, "false", job_id, state)
        written = {key for key in simulation.photos.outputs if key.startswith(RECORDS)}
        for job in simulation.jobs.jobs.values():
            key = record_key(job.upload.key, job.job_id)
            if job.state in RECORDED:
                self.check("records", key in written, "none for", job)
            if any(state in RECORDED for state in ends.get(job.job_id, ())):
                written.discard(key)
        self.check("records", not written, "of no failure", sorted(written))
        for line in simulation.telemetry.lines:
            text = line.message + " ".join(str(value) for value in line.fields.values())
            safe = "X-Amz-" not in text and "whsec_" not in text and "rf_live_" not in text and "://" not in text
            self.check("no secret logged", safe, text)

    def digest(self) -> list[Any]:
        """All that a repeated message must not change. A job's version may: what is pending is published again."""
        simulation = self._simulation
        jobs = [replace(job, version=0) for _, job in sorted(simulation.jobs.jobs.items())]
        outputs = sorted((key, one.data, str(one.metadata)) for key, one in simulation.photos.outputs.items())
        day_budgets = [(day, used_images(budget)) for day, budget in sorted(simulation.jobs.day_budgets.items())]
        return [jobs, outputs, day_budgets, sorted(simulation.jobs.charges), len(simulation.runflow.sent)]


class _NewestUploads(dict[tuple[str, str], str]):
    """The newest uploads' sequencers; reports each that is written."""

    def __init__(self, written: Callable[[tuple[str, str], str], None]) -> None:
        super().__init__()
        self._report_write = written

    def __setitem__(self, place: tuple[str, str], sequencer: str) -> None:
        super().__setitem__(place, sequencer)
        self._report_write(place, sequencer)


def _is_fair(why: str) -> bool:
    """Whether a message of the upload queue may come back for this: nothing could be written down."""
    return why.startswith(("its process", "DynamoDB")) or why == "the item is contended"


def _short(thing: object) -> str:
    """A job by what matters of it; anything else as it is."""
    if not isinstance(thing, Job):
        return str(thing)
    place = f"{thing.state}/{thing.reason} v{thing.version}"
    what = f"{thing.job_id[:8]} {place} run {thing.run_id} no {thing.submission_no}"
    return f"[{what} of {thing.upload.key[:30]}]"


def _later(one: Job, other: Job) -> bool:
    return sequencer_rank(one.upload.sequencer) > sequencer_rank(other.upload.sequencer)
