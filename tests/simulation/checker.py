"""What must be true of every simulation: after each effect, after each POST and each callback, and at the end.

Each invariant has a name; `broken` holds the name of each that did not hold, and what was seen. The checker reads the
fakes' insides, which no service can.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from detag.domain.job import Job, Reservation, State, Upload, sequencer_rank
from detag.domain.money import day_of
from detag.domain.naming import JOB_ID, RECORD_OF, REUSED_FROM, RUN_ID, SOURCE_KEY, source_of
from detag.domain.picture import Output
from detag.domain.reasons import Reason
from detag.domain.reopening import Way
from detag.domain.runs import same_account
from detag.domain.uploads import by_own_key
from detag.domain.waits import CLOCK_SKEW, RATE_LIMITED
from detag.ports.jobs_fake import Write
from detag.ports.photos_fake import Stored as StoredObject
from detag.ports.runs_fake import OTHER_ACCOUNT, FakeRun
from detag.services.callback import REREAD_SECONDS, signature_of
from tests.simulation.decided import AGAIN, belongs
from tests.simulation.photos import is_output, name_in
from tests.simulation.sqs import MAX_RECEIVES

if TYPE_CHECKING:
    from tests.simulation.runflow import Post
    from tests.simulation.simulation import Simulation

INVARIANTS: Final = {
    "due time": "every open job has a due time, at every moment",
    "decision on the item": "an item says which decision led to where its job stands",
    "no body at rest": "an item keeps a body only while it may have to be sent again",
    "one writer at a time": "a job, and the intake, only ever move forward from what the writer read",
    "terminal is final": "no job leaves a terminal state, except for a delivery where it had none, or on request",
    "reopened on request": "a closed job is opened again only by a request that was made, and once for each",
    "asked for what is there": "a request to ask sends nothing, and leaves the job as it was where nothing is there",
    "reopened as it was": "a job that was only asked for ends delivered, superseded, or as it was before",
    "replaced is replaced": "a result that was asked to be replaced is used again only if that is asked for",
    "unpaid is unpaid": "an unpaid request sends no photo of which Runflow has billed a run that detag could know of",
    "own run": "a job's run is one that detag itself created for that job",
    "daily spend limit": "no reservation, and no paid run, goes beyond the day's limit",
    "day budget": "what is spent on a day is the sum of the reservations and of what was charged beside them",
    "as billed": "what is spent on a photo is what Runflow billed for it, wherever its record says so",
    "paid from its own day": "a run is paid from the budget of the UTC day on which its request leaves",
    "maybe paid, counted": "a request that may have made a run stays counted, whatever a later one is answered",
    "lost budget": "nothing is claimed on a day whose budget is lost",
    "body stored first": "what is sent is what the item holds, and the job is claimed",
    "same key, same bytes": "an idempotency key never goes out with two bodies",
    "one key per submission": "a submission goes out under one idempotency key",
    "nothing reserved for an older upload": "no money is reserved for a photo once a newer one of its name was seen",
    "deleted is deleted": "no photo is sent once it was deleted, or something else had its name",
    "nothing superseded for nothing": "an unpaid photo is superseded only where it was gone, or a newer photo came",
    "judged on arrival": "only what was judged to be a photo, and made the newest of its name, waits for the intake",
    "one send per lease": "a claim sends once, and not after its lease",
    "time left to save": "a POST may last no longer than its process may live",
    "confirmation awaited first": "an unconfirmed photo is not sent again before its confirmation time is over",
    "search first": "an unconfirmed photo is not sent again before the run list was searched",
    "photo URL valid": "no photo is sent with a presigned URL that has expired",
    "Retry-After respected": "a photo waits for as long as Runflow asked",
    "judged by its bytes": "what can be cleaned is never skipped, and nothing else is sent",
    "dropped only once gone": "no photo ends as deleted while it is what its name leads to",
    "sent as what it is": "Runflow reads a photo as its own type, whatever its uploader said",
    "intake": "while the intake is paused only its probe is sent",
    "paid once": "at most one paid run for one photo, and one for each paid request; every paid run belongs to a job",
    "one run per picture": "no photo is claimed while an equal one is being paid for, or its output is still there, "
    "unless a new run was asked for",
    "already cleaned": "what detag delivered is never sent, unless a new run was asked for",
    "reused for nothing": "a reused result costs nothing, and is the output of an equal photo",
    "reused as it should be": "no result is reused that a person has rejected, deleted or overwritten",
    "free retries only": "only a run that failed free of charge is tried again, and only so often, whatever expired",
    "intake reopens": "two hours after every cause is gone the intake is open, and no photo waits for it",
    "no failure for a paused intake": "no photo fails because of a key, of credit, of the spend limit or of an outage",
    "answers": "a callback is answered as the design's table says",
    "durable before 200": "a callback of ours is answered 200 only once the queue has it",
    "one terminal state": "each version whose event arrived ends in exactly one terminal state",
    "missed uploads": "an upload that no event told of is found, if only older ones of its name were, in the same way",
    "nothing open": "at the end no job is open, nothing is pending, and the intake is open",
    "given up in time": "a run is given up only once its own trouble has lasted as long as was agreed, and never later",
    "nothing paid is lost": "a paid result is stored, or dropped because a newer version was delivered",
    "callback asked for rarely": "a run's callback is asked for once a day at most, if nothing its record shows opens",
    "newest wins": "at its key is the newest version that was delivered, and no older one under another name",
    "own output": "no output shows another photo's pixels",
    "own metadata": "an output has its photo's own metadata, however late it comes",
    "so many outputs": "no run has more than sixteen outputs stored",
    "own name": "no output overwrites another photo's",
    "events": "an event was sent for every end but that of what is no photo, and for nothing that did not happen",
    "records": "a record tells of the newest upload of its name, if that failed or was skipped, and of nothing else",
    "batches": "a batch is told of once nothing goes on, with what has ended, and never for fewer than ten",
    "dead letters explained": "an upload is a dead letter only if no process lived, or its item could not be read or "
    "written",
    "redriving is harmless": "at the end, repeating every message there ever was changes nothing",
    "no unexpected error": "no message fails for a bug",
    "set aside": "an item that cannot be read is told of about once a day, and not every minute",
    "no secret logged": "no log line holds a URL, a body, a key or a secret",
    "unmatched run charged once": "an unmatched paid run is charged to the day budget once, with an alarm at least",
}


FAILURES: Final = (State.FAILED, State.CANCELLED)
HOUR: Final = 3_600.0
COUNTED: Final = 300.0
"""So long after it an end is counted, when every worker that looked at its clock before has died."""
DAY: Final = 24 * HOUR
ASKED_FOR: Final = 6 * 86_400.0
"""For so long, at the least, a failed job's run is asked for: the last time is within a week of the failure."""
EXPIRED_URLS: Final = 5
"""How many runs of a photo may fail because its URL had expired, before such a failure counts as an attempt."""


class Checker:
    """Watches one simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.broken: list[tuple[str, str]] = []
        self.until: str | None = None
        """The invariant with whose first breach the simulation is over."""
        self.is_over = False
        self.names: dict[str, str] = {}
        self._goes_on_since: dict[str, float] = {}
        """Since when an open job does not wait for the intake, by its id."""
        self.last_end = 0.0
        """When the newest photo ended."""
        self.touched: dict[str, float] = {}
        """When a person last overwrote or deleted an output, by its key."""
        self.rejected: dict[tuple[str, str | None, str], float] = {}
        """When a person rejected an output, by its key, version and ETag."""
        self._copied_at: dict[str, float] = {}
        """When the first copy of an earlier result was stored, by job id."""
        self._pictures: dict[str, tuple[str, int, str | None]] = {}
        """By job id: what makes photos equal."""
        self._equal: defaultdict[tuple[str, int, str | None], dict[str, None]] = defaultdict(dict)
        """The ids of jobs of equal photos, in the order in which they were uploaded."""
        self._fed_back: set[str] = set()
        self._reused: set[str] = set()
        """The jobs that were delivered by what was known; reopened, they may have failed since."""
        self._known: dict[tuple[str, int, str | None], dict[frozenset[str], list[Job]]] = {}
        """By picture, and by the bytes of each result: the job whose run made it, and each that was delivered with the
        same.
        """
        self._deliveries: defaultdict[frozenset[str], list[Job]] = defaultdict(list)
        """Every job that was delivered with these bytes, by their ETags: no two runs make the same."""
        self._replaced_at: dict[frozenset[str], float] = {}
        """When another result of the same picture was delivered that somebody had asked for in place of this one."""
        self._metadata: dict[str, dict[str, str]] = {}
        """Of a photo, by job id."""
        self._not_sent: set[str] = set()
        """The name in a photo's pixels, by job id."""
        self._photos_of_key: dict[str, set[str]] = {}
        self._not_there: dict[str, float] = {}
        """Since when an upload is not what is at its key, by job id."""
        self._was_not_there: set[str] = set()
        self._back_since: dict[str, float] = {}
        """Since when it is there again, what came after it having been taken back."""
        self._written = 0
        self._writes_of: defaultdict[str, list[Write]] = defaultdict(list)
        """Those of each job that were seen so far, oldest first."""
        self._stored = self._removed = 0
        self._intake_version = 0
        self._intake_changed = 0.0
        self._bodies: dict[str, str] = {}
        self._keys: dict[str, str] = {}
        self._newest_seen: dict[tuple[str, str], float] = {}
        self._overtaken_by: dict[str, list[str]] = {}
        """What copies lay in the output bucket when a paid result was dropped for a newer one, by its job."""
        self._highest: dict[tuple[str, str], str] = {}
        simulation.jobs.newest_uploads = _NewestUploads(self._newer_upload)
        self._leases: set[tuple[str, int]] = set()
        self._posts: dict[str, list[Post]] = {}
        self._listed: dict[int, float] = {}
        self._looked_for: dict[str, float] = {}
        self._owners: dict[str, str] = {}
        self._outputs_of: dict[str, set[str]] = {}
        self._used: defaultdict[str, Decimal] = defaultdict(Decimal)
        self._charged: dict[str, Reservation] = {}
        self._reserved: dict[str, Decimal] = {}
        self.lost: set[str] = set()
        """Days whose budgets somebody deleted."""
        self._messages_of_unreadable: dict[str, list[float]] = {}
        """When a message of an item that cannot be read was sent, by job id."""
        self._delivered: set[str] = set()
        """Jobs that were ever delivered: a new run that fails leaves their outputs."""
        self._asked_at: dict[str, float] = {}
        """When the callback of a run was last asked for again."""
        self.kept_at: dict[str, float] = {}
        """When a callback of a run was last kept by the result queue for good."""
        self._looks: dict[str, Callable[[], None]] = {
            "jobs.save_intake": self._intake,
            "jobs.charge": self._charges,
            "events.publish": self._batch,
            "photos.put": self._output,
            "photos.copy_output": self._output,
            "photos.remove": self._remove,
            **{f"queue.{queue.name}.send": simulation.forward for queue in simulation.queues},
        }
        """What is looked at after an effect, by its name, besides the jobs that were written."""

    def check(self, name: str, holds: bool, *seen: object) -> None:
        """Note a breach of an invariant."""
        assert name in INVARIANTS
        if not holds:
            text = " ".join(_short(one) for one in seen)
            self._simulation.trace_line("BROKEN:", name, "-", text)
            self.broken.append((name, text))
            self.is_over = self.is_over or name == self.until

    # What happens

    def changed_by_hand(self, key: str) -> None:
        """A person deleted or overwrote an output: its name is free, or theirs."""
        self.touched[key] = self._simulation.time
        self._owners.pop(key, None)

    def fed_back(self, upload: Upload) -> None:
        """What was just uploaded is an output that a job has delivered."""
        self._fed_back |= {upload.job_id, by_own_key(upload).job_id}

    def uploaded(self, upload: Upload, data: bytes, *, sent: bool, again: str | None = None) -> None:
        """A photo was put into the bucket. `sent`: it can be cleaned; `again`: the word for a new run."""
        job_ids = {upload.job_id, by_own_key(upload).job_id}  # the scan knows it by the latter
        picture = (upload.etag, upload.size, again)
        self._pictures |= dict.fromkeys(job_ids, picture)
        self._equal[picture] |= dict.fromkeys(job_ids)
        if not sent:
            self._not_sent |= job_ids
        try:
            name = name_in(data)
        except ValueError:
            name = ""
        self.names |= dict.fromkeys(job_ids, name)
        there = self._simulation.photos.current(upload.bucket, upload.key)
        self._metadata |= dict.fromkeys(job_ids, dict(there[1].metadata) if there else {})
        self._photos_of_key.setdefault(upload.key, set()).add(name)

    def changed(self, key: str) -> None:
        """Another object is at a key, or none."""
        simulation = self._simulation
        there = simulation.photos.current("in", key)
        for upload in simulation.uploaded:
            if upload.key != key:
                continue
            is_there = there is not None and there[0] == (upload.version_id or "null") and there[1].etag == upload.etag
            for job_id in (upload.job_id, by_own_key(upload).job_id):
                if is_there:
                    if self._not_there.pop(job_id, None) is not None:
                        self._back_since[job_id] = simulation.time
                else:
                    self._not_there.setdefault(job_id, simulation.time)
                    self._was_not_there.add(job_id)

    def observe(self, name: str) -> None:
        """After each effect."""
        writes = self._simulation.jobs.writes
        while self._written < len(writes):
            write = writes[self._written]
            self._written += 1
            self._writes_of[write.after.job_id].append(write)
            self._item(write)
        looks = self._looks.get(name)
        if looks is not None:
            looks()

    def _intake(self) -> None:
        intake = self._simulation.intake
        self.check("one writer at a time", intake.version > self._intake_version, "the intake", intake)
        self._intake_version, self._intake_changed = intake.version, self._simulation.time
        if intake.reason is Reason.SPEND_LIMIT:
            self._simulation.profile.happens("spend limit reached")
        self._simulation.trace_line(
            "intake:", intake.reason, "draining" if intake.draining else "", intake.probe_job or ""
        )

    def _charges(self) -> None:
        for run_id, charge in self._simulation.jobs.charges.items():
            before = self._charged.get(run_id)
            if charge != before:
                if before is None and run_id in self._simulation.runflow.too_late:
                    self._simulation.profile.seen["unmatched paid run"] += 1
                self._charged[run_id] = charge
                self._spent((before,) if before else (), (charge,))

    def callback_asked_for(self, run_id: str) -> None:
        """detag asks Runflow to send a run's callback again. The clocks of two workers may be apart."""
        simulation = self._simulation
        now, before = simulation.time, self._asked_at.get(run_id, float("-inf"))
        self._asked_at[run_id] = now
        self.check("callback asked for rarely", now - before > DAY - 2 * CLOCK_SKEW, run_id, now - before)

    def _newer_upload(self, place: tuple[str, str], sequencer: str) -> None:
        if self._highest.get(place, "") < sequencer:
            self._highest[place], self._newest_seen[place] = sequencer, self._simulation.time

    def _item(self, write: Write) -> None:
        before, after = write.before, write.after
        if after.due_at is not None:
            self._simulation.wake(after.due_at)
        if before is None and after.upload.sequencer.startswith("0" * 40):
            self._simulation.profile.happens("upload recovered by the scan")
        if (
            after.state.terminal
            or after.waits_for_intake
            or after.reason in (Reason.OTHER_ACCOUNT, Reason.SAME_PICTURE)
        ):
            self._goes_on_since.pop(after.job_id, None)
        else:
            self._goes_on_since.setdefault(after.job_id, self._simulation.time)
        self.check("decision on the item", belongs(after), after.job_id[:8], after.state, after.reason, after.decision)
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
        if after.closed_at is not None and (before is None or before.closed_at != after.closed_at):
            self._simulation.wake(after.closed_at + COUNTED)  # for its batch
            if after.reason is not Reason.NOT_A_PHOTO:
                self.last_end = max(self.last_end, after.closed_at)
        if after.state.terminal:
            late = after.state is not State.DELIVERED and (
                after.repairable or after.earlier_runs or after.unaccounted or after.unknown_runs
            )
            self.check("no body at rest", after.body is None and bool(late or not after.source_metadata), after)
        else:
            self.check("due time", after.due_at is not None and after.due_shard is not None, after)
            if after.state is not State.SUBMITTING and not after.unconfirmed:
                self.check("no body at rest", after.body is None, after)
        if before is not None and before.state.terminal and after.state is not before.state:
            has_none = before.state is not State.DELIVERED and before.reason is not Reason.NEWER_DELIVERED
            other = after.run_id != before.run_id and has_none  # another paid run of the photo
            repaired = after.state is State.DELIVERED and (before.repairable or other)
            self.check("terminal is final", repaired or after.state is State.WAITING, before, after)
        self._reopened(before, after)
        if after.state is State.DELIVERED:
            self._delivered.add(after.job_id)
        if after.run_id is not None and (before is None or after.run_id != before.run_id):
            runflow = self._simulation.runflow
            made = runflow.runs.get(after.run_id)
            ours = made is not None and made.run_id not in runflow.foreign and runflow.made_for(made) == after.job_id
            self.check("own run", ours, after.job_id, after.run_id)
        if before is not None and after.reason is Reason.RETRY and len(after.earlier_runs) > len(before.earlier_runs):
            made = self._simulation.runflow.runs.get(after.earlier_runs[-1])
            again = made is not None and made.run_id in self._simulation.runflow.tried_again
            free = made is not None and made.ended and (not made.billed or again)
            self.check("free retries only", free and after.attempt <= self._simulation.max_attempts, after)
            self.check("free retries only", after.expired_urls <= EXPIRED_URLS, "expired", after)
        as_before = before is not None and before.closed_as is not None and after.reason is before.closed_as.reason
        if after.state is State.FAILED and not as_before and (before is None or before.state is not State.FAILED):
            self._given_up(after)
        self._picture(before, after)
        if after.state is State.SUBMITTING and (before is None or after.submission_no != before.submission_no):
            place = (after.upload.bucket, after.upload.key)
            newest = self._highest.get(place, "")
            overtaken = (
                newest > sequencer_rank(after.upload.sequencer)
                and self._simulation.time - self._newest_seen[place] > 60
                and (after.upload.version is None or after.job_id in self._not_there)
            )
            self.check("nothing reserved for an older upload", not overtaken, after)
        self._judged(before, after)
        worker = self._simulation.workers[-1]
        unconfirmed = before is not None and before.unconfirmed
        if worker is not None and before is not None and unconfirmed and not (before.search_from or before.to_ask):
            self._looked_for[after.job_id] = self._listed.get(worker.number, 0.0)
        if (
            worker is not None
            and worker.function == "deliver"
            and before is not None
            and not before.run_id
            and after.run_id
        ):
            self._simulation.profile.happens("callback before the response")
        if before is not None and before.state is State.SUBMITTING and before.maybe_submitted:
            unanswered = self._unanswered(before)
            if not after.state.terminal:  # the money of older ones went back when the search had found no run of them
                unanswered &= {before.client_ref}
            self.check("maybe paid, counted", after.reservation is not None or not unanswered, before, after)
        if before is not None:
            self._answers_lost(before, after)
            self._still_kept(before, after)
            self._kept_for_the_latest(before, after)
        if after.reason is Reason.REFUSED_UNCONFIRMED:
            self._named(after)
        if after.reason is Reason.NEWER_DELIVERED:
            self._overtaken_by.setdefault(after.job_id, self._copies())
        if (before.reservations if before else ()) != after.reservations:
            self._money(before, after)

    def _reopened(self, before: Job | None, after: Job) -> None:
        """A closed job is open again; or a photo that had no item has one, on request."""
        if before is None and after.requests:
            mine = after.upload
            jobs = [one for one in self._simulation.jobs.jobs.values() if one.job_id != after.job_id]
            others = [one for one in jobs if (one.upload.key, one.upload.rank) == (mine.key, mine.rank)]
            self.check("reopened on request", not others, "it has a job", after, *others)
        if before is not None and after.run_id is not None and after.run_id != before.run_id:
            old = after.run_id in after.replaced_runs and after.requests[-1].how is Way.PAID
            self.check("replaced is replaced", not old, before, after)
        was = before.closed_as if before is not None and before.only_asks and after.state.terminal else None
        if was is not None and was.run_id is not None:
            same = (after.state, after.reason, after.run_id) == (was.state, was.reason, was.run_id)
            good = after.state is State.DELIVERED or after.reason is Reason.NEWER_DELIVERED
            self.check("reopened as it was", same or good, before, after, was)
        if before is None or before.state.terminal == after.state.terminal:
            return
        ids = [request.request_id for request in after.requests]
        if before.state.terminal and after.state is State.WAITING:
            asked = self._simulation.requests.get(ids[-1], {}).get("reopen", {}) if ids else {}
            named = asked.get("job_id", after.job_id) == after.job_id
            named = named and asked.get("key", after.upload.key) == after.upload.key
            fair = bool(asked) and named and asked["how"] == after.requests[-1].how and len(set(ids)) == len(ids)
            self.check("reopened on request", fair and len(ids) == len(before.requests) + 1, before, after, ids)
            self._simulation.profile.happens("asked to reopen: carried out")
            kept = sorted((one.day, one.usd) for one in before.reservations) == sorted(
                (one.day, one.usd) for one in after.reservations
            )
            self.check("reopened on request", kept, "money moved", before, after)

    def _named(self, job: Job) -> None:
        """Of a photo that was refused, a person is told of the requests that may have made runs, and of no other."""
        shown = (job.detail or "").partition(": Runflow")[0].partition(" and ")[0]
        names = shown.split(", ")
        begun = self._begun(job)
        refused = self._surely_refused(job) & {*names}
        missing = self._unanswered(job) - {*names} if len(names) < 8 else set()  # so many are named
        told = {*names} <= {*begun} and not refused and not missing
        self.check("maybe paid, counted", told, names, "refused", refused, "missing", missing, job)

    def _begun(self, job: Job) -> list[str]:
        """The names of a job's requests, once for each time that one was begun or sent again."""
        return [
            write.after.client_ref
            for write in self._writes_of[job.job_id]
            if write.after.state is State.SUBMITTING
            if write.before is None or write.before.state is State.WAITING
        ]

    def _surely_refused(self, job: Job) -> set[str]:
        """The requests of a job that can have made no run: each was begun once, and refused; and no worker died with
        the answer.
        """
        outcomes, begun = self._outcomes(job), self._begun(job)
        refused = {name for name, seen in outcomes.items() if seen == ["Refused"] and begun.count(name) == 1}
        return refused - {
            write.after.client_ref
            for write in self._writes_of[job.job_id]
            if "was interrupted" in (write.after.decision or "")
        }

    def _unanswered(self, job: Job) -> set[str]:
        """The requests of a job that may have made runs, as far as detag can know: some of their POSTs had no clear
        answer, and none was accepted.
        """
        outcomes = self._outcomes(job)
        runs = self._simulation.runflow.runs
        known = {runs[run_id].request["client_ref"] for run_id in job.earlier_runs}
        return {name for name, seen in outcomes.items() if {*seen} - {"Refused"} and "Accepted" not in seen} - known

    def _outcomes(self, job: Job) -> defaultdict[str, list[str]]:
        """What each request of a job was answered: by its name, the first word of each POST's outcome."""
        outcomes: defaultdict[str, list[str]] = defaultdict(list)
        for one in self._posts.get(job.job_id, []):
            outcomes[str(json.loads(one.body)["client_ref"])].append(one.outcome.partition(" ")[0])
        return outcomes

    def _answers_lost(self, before: Job, after: Job) -> None:
        """Whoever sent a job had no time left to save the answer: nobody knows for how long Runflow asked."""
        if before.state is State.SUBMITTING and after.unconfirmed and self._simulation.time >= before.lease_until:
            for post in self._posts.get(after.job_id, ()):
                if post.at >= before.claimed_at:
                    post.retry_after = 0.0

    def _still_kept(self, before: Job, after: Job) -> None:
        """What was kept for a request without a clear answer is spent on, or freed by, a run of that very request."""
        names, kept = self._unconfirmed(before), self._unconfirmed(after)
        if not names or (kept and kept <= names and after.reservation == before.reservation):
            return
        if not after.state.terminal and after.reservations == before.reservations:
            return  # reopened: it is searched for
        run = self._simulation.runflow.runs.get(after.reserved_run or after.run_id or "")
        told = run is not None and run.request["client_ref"] in names
        self.check("maybe paid, counted", told, before, after, after.reserved_run)

    def _kept_for_the_latest(self, before: Job, after: Job) -> None:
        """What is reserved for a request without a clear answer pays for no run of an older one."""
        run = self._simulation.runflow.runs.get(after.run_id or "")
        if run is None or before.run_id is not None or before.state.terminal or before.reservation is None:
            return
        if run.request["client_ref"] == before.client_ref or before.client_ref not in self._unanswered(before):
            return
        runs, charged = self._simulation.runflow.runs, self._simulation.jobs.charges
        latest = (one for one in runs.values() if one.request["client_ref"] == before.client_ref)
        shown = any(one.run_id in charged or (one.ended and not one.billed) for one in latest)
        kept = shown or after.reserved_run == before.client_ref
        self.check("maybe paid, counted", kept, before, after)

    def _unconfirmed(self, job: Job) -> set[str]:
        """The requests that a closed job's reservation is kept for, because each may have made a run."""
        if job.reservation is None or not job.state.terminal:
            return set()
        if job.reserved_run is not None:
            return {job.reserved_run} - {*self._simulation.runflow.runs}
        return set() if job.run_id is not None else {*job.awaited}

    def _judged(self, before: Job | None, after: Job) -> None:
        """What a job that is sent, waits for the intake, or was superseded unpaid, must be."""
        place = (after.upload.bucket, after.upload.key)
        if after.state is State.SUBMITTING and (before is None or before.state is not State.SUBMITTING):
            gone = self._simulation.time - self._not_there.get(after.job_id, self._simulation.time)
            self.check("deleted is deleted", gone <= 60, after, "gone for", gone)
        if after.waits_for_intake:
            photo = after.job_id not in self._not_sent
            self.check("judged on arrival", photo and self._highest.get(place, "") >= after.upload.rank, after)
        if after.state is not State.SUPERSEDED or (before is not None and before.state.terminal):
            return
        if after.reason in (Reason.DELETED, Reason.REPLACED):
            self.check("nothing superseded for nothing", after.job_id in self._was_not_there, after)
        elif after.reason is Reason.NEWER_UPLOAD:
            kept = self._simulation.versioned  # else whatever is put there, photo or not, takes its place
            newer = any(
                (one.bucket, one.key) == place and one.rank > after.upload.rank
                for one in self._simulation.uploaded
                if not (kept and one.job_id in self._not_sent)
            )
            back = self._simulation.time - self._back_since.get(after.job_id, self._simulation.time)
            is_back = after.upload.version is not None and after.job_id not in self._not_there and back > 60
            fair = newer and (not is_back or self._newer_delivered(after))
            self.check("nothing superseded for nothing", fair, after)

    def _picture(self, before: Job | None, after: Job) -> None:
        """A photo is claimed, or delivered: what equal photos there are."""
        picture = self._pictures.get(after.job_id)
        if picture is None:
            return
        if after.reason is Reason.SAME_PICTURE:
            self._simulation.profile.happens("equal photo waited for")
        closes = after.state is State.DELIVERED and (before is None or before.state is not State.DELIVERED)
        if closes and after.stored != (before.stored if before else ()):  # else it is closed as it was before
            if after.reused_from is not None:
                self._simulation.profile.happens("result reused")
                self._reused.add(after.job_id)
                self.check("reused for nothing", after.cost == "0" and after.reservation is None, after)
                self._fit_for_reuse(after)
            self._deliveries[_bytes_of(after)].append(after)
            known = self._known.setdefault(picture, {})
            if _bytes_of(after) in known:
                known[_bytes_of(after)].append(after)
            elif after.reused_from is None and (after.picture is not None or self._is_of_latest(after)):
                if after.again is not None:
                    self._replaced_at |= dict.fromkeys(known, self._simulation.time)
                known[_bytes_of(after)] = [after]
        if after.state is not State.SUBMITTING or (before is not None and before.state is State.SUBMITTING):
            return
        self.check("already cleaned", after.again is not None or after.job_id not in self._fed_back, after)
        since = self._simulation.time - self._simulation.run_timeout_hours * HOUR + 2 * CLOCK_SKEW
        for job_id in self._equal[picture]:
            other = self._simulation.jobs.jobs.get(job_id)
            if other is not None and job_id != after.job_id and self._same_wishes(other, after):
                pays = other.state in (State.SUBMITTING, State.SUBMITTED) or other.unconfirmed
                lost = other.picture_version and other.claimed_at <= since  # it had its time
                taken = pays and other.state is not State.WAITING and other.claimed_at > since and not lost
                self.check("one run per picture", not taken, "being paid for", other, after)
        if after.again is None:
            there = self._usable_of(picture, after)
            self.check("one run per picture", not there, "delivered", *there, after, after.not_reused)

    def _is_of_latest(self, job: Job) -> bool:
        """Whether all of a result is known, and is of its job's picture: an earlier submission may have asked for
        another shape, and without versions the run may have read another photo.
        """
        run = self._simulation.runflow.runs.get(job.run_id or "")
        asked = run is not None and run.request["client_ref"] == job.client_ref
        return asked and self._simulation.versioned and len(job.stored) == len(job.outputs)

    def _same_wishes(self, one: Job, other: Job) -> bool:
        """Without versions, the metadata that is read may be that of a later upload of the same bytes."""
        return self._simulation.versioned or one.picture == other.picture

    def _fit_for_reuse(self, job: Job) -> None:
        """What was reused for a job is what it says it is, and was good enough when its worker began to look at it."""
        now, made = self._simulation.time - 35.0, self._deliveries[_bytes_of(job)]
        copied = min(self._copied_at.get(job.job_id, math.inf), self._simulation.time) - 35.0
        sources = [one for one in made if one.stored[0].key == job.reused_from]
        self.check("reused for nothing", bool(sources), "not made of that", job)
        if self._replaced_at.get(_bytes_of(job), math.inf) <= now:
            others = self._known[self._pictures[job.job_id]].items()
            newer = [one for name, made in others if name not in self._replaced_at for one in self._usable(made)]
            self.check("reused as it should be", not newer, "another result took its place", *newer, job)
        for output in (output for one in made for output in one.stored):
            at = self._rejected_at(output)
            self.check("reused as it should be", at > now, "rejected", output.key, job)
        fit = any(all(self._is_fit(output, one, copied) for output in one.stored) for one in sources)
        self.check("reused as it should be", fit, "changed by hand", *sources, job)

    def _is_fit(self, output: Output, delivered: Job, until: float) -> bool:
        """Whether nobody laid a hand on an output before that time. Nobody can tell where a newer output of the photo
        has taken its place since; or, where nothing is there, was delivered without one of that number. What a person
        put there can be told in any case.
        """
        touched = self.touched.get(output.key, math.inf)
        there = self._simulation.photos.outputs.get(output.key)
        replaced = there is not None and SOURCE_KEY in there.metadata
        return (
            touched > until
            or touched < (delivered.closed_at or 0.0)
            or replaced
            or (there is None and self._is_newer_delivered(delivered, touched))
        )

    def _is_newer_delivered(self, delivered: Job, since: float) -> bool:
        """Whether a newer upload of the same name has been delivered since."""
        key, rank = delivered.upload.key, delivered.upload.rank
        return any(
            one.upload.key == key and one.upload.rank > rank and (one.closed_at or 0.0) >= since
            for one in self._simulation.jobs.jobs.values()
            if one.state is State.DELIVERED
        )

    def _rejected_at(self, output: Output) -> float:
        """When a person rejected an output. Without versions its tags go with it."""
        if output.version_id is None and not self._is_shown(output):
            return math.inf
        return self.rejected.get((output.key, output.version_id, output.etag), math.inf)

    def _usable_of(self, picture: tuple[str, int, str | None], job: Job) -> list[Job]:
        """The same of all results of a picture that a job may have. One in whose place another was asked for is not
        used where any was rejected.
        """
        known = self._known.get(picture, {})
        rejected = any(self._was_rejected(made) for made in known.values())
        wanted = (made for name, made in known.items() if not (rejected and name in self._replaced_at))
        return [one for made in wanted if self._same_wishes(made[0], job) for one in self._usable(made)]

    def _usable(self, delivered: list[Job]) -> list[Job]:
        """Of jobs that were delivered with the same bytes those whose outputs are all there, and nobody has laid a hand
        on them; none where a person rejected any of the outputs.
        """
        if self._was_rejected(delivered):
            return []
        return [one for one in delivered if all(self._is_there(output) for output in one.stored)]

    def _was_rejected(self, delivered: list[Job]) -> bool:
        """Whether a person rejected one of these results; without versions nobody need know of it any more."""
        outputs = (output for one in delivered for output in one.stored)
        return any((output.key, output.version_id, output.etag) in self.rejected for output in outputs)

    def _is_there(self, output: Output) -> bool:
        """Whether an output can be read, and at most a newer output of the same photo took its place."""
        photos = self._simulation.photos
        kept = (output.key, output.version_id) in photos.older and output.key not in self.touched
        return (self._is_shown(output) or kept) and (photos.output_bucket, output.key) not in photos.archived

    def _is_shown(self, output: Output) -> bool:
        there = self._simulation.photos.outputs.get(output.key)
        return there is not None and (there.version_id, there.etag) == (output.version_id, output.etag)

    def _given_up(self, job: Job) -> None:
        """A run was given up. What was agreed stands here once more: the waits of detag may be wrong."""
        now, run = self._simulation.time, self._simulation.runflow.runs.get(job.run_id or "")
        if job.reason is Reason.NOT_ACCEPTED:
            asked = job.requests[-1].at if job.requests else 0.0
            posts = [post for post in self._posts.get(job.job_id, []) if post.at > asked]
            accepted = [number for number, post in enumerate(posts) if post.outcome.startswith("Accepted")]
            posts = posts[accepted[-1] + 1 :] if accepted else posts
            lasted = now - posts[0].at if posts else 0.0
            self.check("given up in time", lasted + 2 * CLOCK_SKEW >= 72 * HOUR, job, lasted)
        if job.reason is Reason.NOT_PREPARED:
            lasted = now - self._not_read_since(job)
            self.check("given up in time", lasted + 2 * CLOCK_SKEW >= 71 * HOUR, job, lasted)
        if run is None:
            return
        since = {
            Reason.UNKNOWN_RUN: self._simulation.runflow.unknown_since.get(run.run_id, now) + HOUR,
            Reason.TIMED_OUT: job.submitted_at + self._simulation.run_timeout_hours * HOUR,
            Reason.NO_OUTPUT: (run.completed_at or now) + HOUR,
            Reason.UNDELIVERABLE: self._undeliverable_at(run, now),
            Reason.BAD_OUTPUT: run.completed_at or math.inf,
        }
        if job.reason in since:
            self.check("given up in time", now >= since[job.reason] - 2 * CLOCK_SKEW, job)

    def _not_read_since(self, job: Job) -> float:
        """Since when nothing but failed reads was written down of a job that has just been given up for them. An hour
        of them may be for a missing right, which is tried more often.
        """
        since = math.inf
        for write in reversed(self._writes_of[job.job_id][:-1]):
            if write.after.reason not in (Reason.INTERRUPTED, Reason.ACCESS_DENIED):
                break
            since = write.at
        return since

    def _undeliverable_at(self, run: FakeRun, now: float) -> float:
        """When a run may be given up at the earliest: its record could not be read, or else its output not stored."""
        runflow = self._simulation.runflow
        if runflow.is_unreadable(run.run_id):
            return runflow.unread_since.get(run.run_id, now) + 7 * DAY
        return (run.completed_at or now) + 72 * HOUR

    def _money(self, job: Job | None, after: Job) -> None:
        """What is spent has changed with the job; a new reservation is within some limit in force."""
        self._spent(job.reservations if job else (), after.reservations)
        before = job.reservation if job else None
        if after.state is not State.SUBMITTING or after.reservation is None:
            return
        simulation, day = self._simulation, after.reservation.day
        if before is None or before.day != day:
            self._reserved[after.client_ref] = after.reservation.usd
            most = self._most(simulation.time - 60, simulation.time)
            self.check("daily spend limit", self._used[day] <= most, after, f"${self._used[day]} of ${most}")
            self.check("lost budget", day not in self.lost, after)

    def _spent(self, before: Iterable[Reservation], after: Iterable[Reservation]) -> None:
        for one in before:
            self._used[one.day] -= one.usd
        for one in after:
            self._used[one.day] += one.usd
        for day in sorted({one.day for one in (*before, *after)}):
            self._day_budget(day)

    def _day_budget(self, day: str) -> None:
        if day not in self.lost:
            spent = self._simulation.jobs.spent_on(day)
            self.check("day budget", spent == self._used[day], day, spent, self._used[day])

    def _whole_day_budgets(self) -> None:
        """From the items and the charges alone."""
        used: defaultdict[str, Decimal] = defaultdict(Decimal)
        for job in self._simulation.jobs.jobs.values():
            for reservation in job.reservations:
                used[reservation.day] += reservation.usd
        for charge in self._simulation.jobs.charges.values():
            used[charge.day] += charge.usd
        for day in sorted({*used, *self._used, *self._simulation.jobs.money}):
            self.check("day budget", used[day] == self._used[day], day, used[day], self._used[day])
            self._day_budget(day)

    def find_budget(self, day: str) -> None:
        """A person writes down what was spent on a day whose budget was lost."""
        self.lost.discard(day)
        self._simulation.jobs.money[day] = self._used[day]
        self._simulation.jobs.open_days.add(day)

    def _most(self, start: float, end: float) -> Decimal:
        """The highest limit in force in a span of time."""
        limits = self._simulation.limits
        before = [limit for at, limit in limits if at <= start]
        return max([*before[-1:], *(limit for at, limit in limits if start < at <= end)])

    def posted(self, post: Post) -> None:
        """A POST leaves."""
        simulation, now = self._simulation, self._simulation.time
        job = simulation.jobs.jobs.get(post.job_id)
        claimed = job is not None and job.state is State.SUBMITTING and job.body == post.body
        self.check("body stored first", claimed, job)
        if job is not None and job.requests:
            self._sent_as_asked(job)
        client_ref = str(json.loads(post.body)["client_ref"])
        self.check("one key per submission", self._keys.setdefault(client_ref, post.key) == post.key, client_ref)
        self.check("same key, same bytes", self._bodies.setdefault(post.key, post.body) == post.body, post.job_id)
        if job is not None and claimed:
            last = now + post.timeout if post.worker is None else min(now + post.timeout, post.worker.deadline)
            own_day = job.reservation is not None and job.reservation.day == day_of(now) == day_of(last)
            self.check("paid from its own day", own_day, now, job.reservation)
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
            asked = RATE_LIMITED.bounded(one.retry_after)
            self.check("Retry-After respected", now - one.at >= asked - CLOCK_SKEW, post.job_id)
        earlier.append(post)
        intake, paused = simulation.intake, simulation.jobs.operator.paused
        blocked = intake.reason is not None and not intake.draining and now - self._intake_changed > 31
        self.check("intake", not blocked or intake.probe_job == post.job_id, intake.reason, post.job_id)
        self.check("intake", not paused or now - simulation.paused_at <= 31, "paused", post.job_id)

    def _sent_as_asked(self, job: Job) -> None:
        """A POST leaves for a job that was reopened."""
        how = job.requests[-1].how
        self.check("asked for what is there", how is not Way.ASK or job.closed_as is None, job)
        runs = [self._simulation.runflow.runs[run_id] for run_id in job.runs]
        known = [run for run in runs if run.billed and run.ended and not run.lost]
        self.check("unpaid is unpaid", how is not Way.UNPAID or not self._before(known, job), job, *known)

    def _before(self, runs: list[FakeRun], job: Job) -> list[FakeRun]:
        """Of some runs those that had ended when the job was reopened the last time."""
        return [run for run in runs if (run.completed_at or 0.0) < job.requests[-1].at]

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
        if message.get("job_id") in self._simulation.jobs.unreadable and "run_id" not in message:
            sent = self._messages_of_unreadable.setdefault(message["job_id"], [])
            sent.append(self._simulation.time)
            last_day = [at for at in sent if at > self._simulation.time - 86_000]
            few = len(last_day) <= 3  # by two sweeps at once, or by an index that is behind
            self.check("set aside", few, message["job_id"], last_day)
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
            if REUSED_FROM in stored.metadata:
                self._copied_at.setdefault(stored.metadata[JOB_ID], self._simulation.time)
            of_run = self._outputs_of.setdefault(stored.metadata[JOB_ID] + stored.metadata[RUN_ID], set())
            of_run.add(key)
            self.check("so many outputs", len(of_run) <= 16, key, len(of_run))
            job_id = stored.metadata[JOB_ID]  # without an item, where a new upload is delivered at once
            good = job_id in self.names and is_output(stored.data)
            if good:
                names = {self.names[job_id]}
                if not self._simulation.versioned:
                    given = self._simulation.uploaded
                    uploads = [one for one in given if job_id in (one.job_id, by_own_key(one).job_id)]
                    names = {name for one in uploads for name in self._photos_of_key[one.key]}
                good = name_in(stored.data) in names
            self.check("own output", good, key, stored.metadata)
            wanted = self._metadata.get(stored.metadata[JOB_ID], {})
            own = {name: value for name, value in wanted.items() if not name.startswith("detag-")}
            job = self._simulation.jobs.jobs.get(job_id)
            gone = job is not None and bool(job.requests) and job_id in self._was_not_there  # when it was reopened
            self.check("own metadata", gone or own.items() <= stored.metadata.items(), key, own, stored.metadata)

    def _batch(self) -> None:
        """A batch is told of where there was one, and nothing went on for ten minutes."""
        kind, detail = self._simulation.events.published[-1]
        if kind != "Batch Finished":
            return
        self._simulation.profile.happens("batch finished")
        now, jobs = self._simulation.time, self._simulation.jobs
        enough = detail["photos"] + sum(detail["waiting"].values()) >= 10
        self.check("batches", enough and detail["photos"] == sum(detail["states"].values()), detail)
        for job_id, since in self._goes_on_since.items():
            recent = now - since < 2 * CLOCK_SKEW + jobs.lag + 60
            person = job_id == self._simulation.intake.probe_job or self._waits_for_a_key(jobs.jobs[job_id])
            self.check("batches", recent or person or job_id in jobs.unreadable, "still open", jobs.jobs[job_id])
        last: dict[str, Write] = {write.after.job_id: write for write in jobs.writes}
        for write in last.values():
            job = write.after
            if job.closed_at is not None and job.reason is not Reason.NOT_A_PHOTO and now - write.at > COUNTED + 60:
                long_ago = now - job.closed_at > COUNTED + 600 - 3 * CLOCK_SKEW
                self.check("batches", long_ago or job.job_id in jobs.unreadable, "just closed", job)

    def _waits_for_a_key(self, job: Job) -> bool:
        """Whether nobody looks for what a job may have paid for before somebody stores a key that works."""
        reason, paused = self._simulation.intake.reason, self._simulation.intake.state == "paused"
        asks = job.reason is Reason.REOPENED and reason is Reason.NOT_CONFIGURED
        without = reason in (Reason.NOT_CONFIGURED, Reason.UNAUTHORIZED)
        return paused and without and (asks or job.reason is Reason.UNCONFIRMED)

    def _remove(self) -> None:
        """Something was taken out of the output bucket: its name is free."""
        photos = self._simulation.photos
        for key, stored in photos.removed[self._removed :]:
            self._owners.pop(key, None)
            kept = photos.keeps_versions or SOURCE_KEY not in stored.metadata
            self.check("nothing paid is lost", kept, "removed for good", key)
        self._removed = len(photos.removed)

    def intake_is_open(self) -> None:
        """Faults ended long ago. What was set aside goes on within a day."""
        jobs = self._simulation.jobs
        waiting = [job for job in jobs.jobs.values() if job.waits_for_intake and job.job_id not in jobs.aside]
        self.check(
            "intake reopens", self._simulation.intake.reason is None and not waiting, self._simulation.intake, *waiting
        )

    # At the end

    def at_rest(self) -> None:
        """Faults have ended and nothing is left to happen."""
        simulation = self._simulation
        for upload in simulation.arrived.values():
            job = simulation.job_of(upload)
            self.check("one terminal state", job is not None and job.state.terminal, upload.key, job)
        newest = {upload.key: upload for upload in sorted(simulation.uploaded, key=lambda one: one.rank)}
        for upload in newest.values():
            job = simulation.job_of(upload)
            if job is not None and job.reason is Reason.DELETED and upload.version_id is not None:
                there = simulation.photos.current(upload.bucket, upload.key)
                self.check("dropped only once gone", there is None or there[0] != upload.version_id, job)
        self.check("missed uploads", not simulation.missed(), simulation.missed())
        for job in simulation.jobs.jobs.values():
            self.check("nothing open", job.state.terminal and not job.pending and job.due_at is None, job)
            self._job(job)
            fed_back = job.job_id in self._fed_back  # reopened as paid, and closed as before, or unpaid after that
            paid = any(request.how is Way.PAID for request in job.requests)
            unsent = job.job_id in self._not_sent or (fed_back and job.again is None and not paid)
            good = not job.submission_no if unsent else job.state is not State.SKIPPED or fed_back
            self.check("judged by its bytes", good, job)
            if fed_back and self._pictures[job.job_id][2] is None:
                asked = min((one.at for one in job.requests if one.how is Way.PAID), default=math.inf)
                early = [post for post in self._posts.get(job.job_id, []) if post.at < asked - CLOCK_SKEW]
                self.check("judged by its bytes", not early, job, early)
        for run in simulation.runflow.runs.values():
            self.check("sent as what it is", not (run.message or "").startswith("image_url is sent as"), run)
        intake = simulation.intake
        self.check("nothing open", intake.reason is None, intake)
        for queue in (simulation.uploads, simulation.results):
            self.check("nothing open", not queue.messages, queue.name, queue.messages)
            for message in queue.died:
                by_key = '"reopen"' in message.body  # it has no item yet, and S3 tells which photo it is
                fair = len(message.why) == MAX_RECEIVES and all(
                    _is_fair(why) or (by_key and why.startswith("S3")) for why in message.why
                )
                self.check("dead letters explained", fair or queue is simulation.results, message)
        failures = [line for line in simulation.telemetry.lines if line.message == "message failed"]
        self.check("no unexpected error", not failures, *(line.fields.get("error") for line in failures))
        self._bill()
        self._newest()
        self._reported()
        self._whole_day_budgets()
        alarms = simulation.telemetry.counts["UnmatchedPaidRun"]
        runflow, charges = simulation.runflow, simulation.jobs.charges
        beyond = runflow.tried_again | runflow.too_late
        again = {runflow.made_for(runflow.runs[run_id]) for run_id in beyond}
        theirs = {run_id for run_id, run in runflow.runs.items() if runflow.made_for(run) in again}
        others = [run_id for run_id in charges if run_id not in theirs | runflow.alike]
        fair = alarms >= len(charges) and len(others) == simulation.unmatched_runs
        self.check("unmatched run charged once", fair, alarms, charges)
        for run_id in sorted(beyond):
            self._counted(runflow.runs[run_id])

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
            fair = fair or self._never_shown(made, job) or self._misled(job) or self._refused(job) or self._denied(job)
            fair = fair or self._never_taken(job)
            self.check("no failure for a paused intake", fair, job)
        if job.reservation is not None:
            self._as_billed(job, job.reservation)
        for one in job.spent:
            earlier = self._run_known_as(one.run_id)
            if earlier is None:
                continue  # a POST without a clear answer made none
            later = self.kept_at.get(earlier.run_id, 0.0) > job.requests[-1].at + HOUR
            if later and self._told_of(earlier) and self._shown(earlier) and not earlier.lost:
                self.check("as billed", one.reservation.usd == earlier.billed, one, earlier.billed, job)
        made = simulation.runflow.runs.get(job.run_id or "")
        if made is not None and job.state is State.DELIVERED and made.ending.tells_cost and job.cost is not None:
            self.check("as billed", made.billed == Decimal(job.cost), made.billed, job)
        if job.reason is Reason.NEWER_DELIVERED:
            newer = self._newer_delivered(job) or self._gave_way(self._overtaken_by.get(job.job_id, []), job)
            self.check("nothing paid is lost", newer, "dropped for nothing", job)

    def _run_known_as(self, name: str) -> FakeRun | None:
        """The run that an item knows by its id, or by the name of the submission that may have made it."""
        runs = self._simulation.runflow.runs
        ours = (run for run in runs.values() if run.run_id not in self._simulation.runflow.foreign)
        return runs.get(name) or next((run for run in ours if run.request.get("client_ref") == name), None)

    def _as_billed(self, job: Job, reservation: Reservation) -> None:
        """Where detag could learn what the run cost that a closed job's reservation is for, it counts as billed."""
        runflow = self._simulation.runflow
        run = runflow.runs.get(job.reserved_run or job.run_id or "")
        if run is None:  # none of its runs is known
            names = self._unconfirmed(job)
            mine = [one for one in runflow.runs.values() if runflow.made_for(one) == job.job_id]
            mine = [one for one in mine if one.request["client_ref"] in names]
            mine = [one for one in mine if self._shown(one) and not one.lost]
            told = [one for one in mine if one.run_id not in runflow.foreign and self._told_of(one)]
            self.check("as billed", bool(names) and (self._misled(job) or not told), told, job)
            refused = names & self._surely_refused(job)
            self.check("as billed", not refused, "money is kept for what was refused", refused, job)
            return
        known = self._told_of(run) or self._asked_for(run, job)
        if known and run.ended and run.ending.tells_cost and self._shown(run) and not run.lost:
            self.check("as billed", reservation.usd == run.billed, reservation, run.billed, job)

    def _is_of_another_account(self, job: Job) -> bool:
        """Whether the stored key is of another account than a job, or was when the job was asked for the last time."""
        last = (line for line in self._simulation.telemetry.lines if line.message == "not asked again")
        return not same_account(job.account, self._simulation.runflow.account()) or any(
            line.fields["job_id"] == job.job_id and str(line.fields["why"]).endswith(OTHER_ACCOUNT) for line in last
        )

    def _never_shown(self, run: FakeRun | None, job: Job) -> bool:
        """Whether a job was given up because Runflow cannot show the record of its run."""
        unreadable = run is not None and self._simulation.runflow.is_unreadable(run.run_id)
        return unreadable and job.reason is Reason.UNDELIVERABLE

    def _denied(self, job: Job) -> bool:
        """Whether a callback told of a run of the job, of which Runflow says that there is none: it may have been paid,
        so nothing is sent again.
        """
        runflow = self._simulation.runflow
        mine = [run for run in runflow.runs.values() if runflow.made_for(run) == job.job_id]
        denied = any(run.run_id in runflow.unknown_since for run in mine)
        return denied and job.reason is Reason.NOT_CONFIRMED

    def _never_taken(self, job: Job) -> bool:
        """Whether S3 or Runflow failed for this one photo all the time."""
        if (job.upload.bucket, job.upload.key) in self._simulation.photos.failing:
            return job.reason is Reason.NOT_PREPARED
        return job.upload.key in self._simulation.runflow.rejected and job.reason is Reason.NOT_ACCEPTED

    def _refused(self, job: Job) -> bool:
        """Whether Runflow refused the photo for good; a job that was sent before without an answer says so."""
        refused = any(post.outcome == "Refused 422" for post in self._posts.get(job.job_id, []))
        return refused and job.reason in (Reason.REFUSED, Reason.REFUSED_UNCONFIRMED)

    def _misled(self, job: Job) -> bool:
        """Whether it could not be told what runs were made: somebody else's bears the name of a submission of the job,
        or Runflow cannot show the record of one, which may be another of the job's. That excuses nothing where a run of
        the job's own can be read and gave an output: the search had to find it.
        """
        if job.reason is not Reason.NOT_CONFIRMED:
            return False
        runflow = self._simulation.runflow
        names = {str(runflow.runs[run_id].request["client_ref"]) for run_id in runflow.foreign}
        others = {run_id: run for run_id, run in runflow.runs.items() if run_id not in job.earlier_runs}
        shown = {run_id for run_id in others if not runflow.is_unreadable(run_id)}
        missed = any(
            runflow.made_for(others[run_id]) == job.job_id
            and others[run_id].status in ("succeeded", "partial_succeeded")
            and runflow.output_is_good(others[run_id])
            for run_id in shown - runflow.foreign - runflow.too_late
        )
        untold = len(shown) < len(others) and not missed
        return untold or any(map(job.has_submission, names))

    def _counted(self, run: FakeRun) -> None:
        """Runflow billed a run that nobody waited for: it is counted, by its job's reservation or by a charge."""
        job = self._simulation.jobs.jobs.get(self._simulation.runflow.made_for(run))
        if job is None or not (self._told_of(run) or self._asked_for_earlier(run, job)) or not self._shown(run):
            return
        reserved = job.reservation is not None and (job.reserved_run or job.run_id) == run.run_id
        reserved = reserved or any(self._run_known_as(one.run_id) is run for one in job.spent)
        charge = self._simulation.jobs.charges.get(run.run_id)
        counted = reserved != (charge is not None) or not run.billed
        self.check("unmatched run charged once", counted, run, charge, job)
        if charge is not None and run.ending.tells_cost and not run.lost:
            self.check("as billed", charge.usd == run.billed, run, charge)

    def _asked_for_earlier(self, run: FakeRun, job: Job) -> bool:
        """Whether a run of a closed job that another one followed ended while it was asked for, and its record says
        what it cost: no callback is needed then.
        """
        closed = job.state.terminal
        told_at = (run.completed_at or math.inf) + run.ending.cost_after
        asked = run.run_id in job.earlier_runs and told_at < (job.closed_at or 0.0) + ASKED_FOR
        return closed and asked and run.ended and run.ending.tells_cost and not run.lost

    def _may_use(self, again: list[FakeRun], job: Job) -> bool:
        """Whether a job knows of one of these runs, and has to use its outputs. A second run of an answered request may
        be somebody else's.
        """
        runflow, known = self._simulation.runflow, (*job.earlier_runs, job.run_id)
        answered = {one.request["client_ref"] for one in runflow.runs.values() if one.run_id in known}
        good = [
            run
            for run in again
            if (self._told_of(run) or self._asked_for(run, job)) and runflow.output_is_good(run)
            if run.status in ("succeeded", "partial_succeeded")  # a cancelled one has none
            if run.run_id in known or run.request["client_ref"] not in answered
        ]
        has_none = job.reason is not Reason.NEWER_DELIVERED and job.reused_from is None
        return bool(good) and has_none and not self._newer_delivered(job)

    def _asked_for(self, run: FakeRun, job: Job) -> bool:
        """Whether a closed job's run ended while it was still asked for, or had before: no callback is needed then."""
        known = job.state in FAILURES and run.run_id in (*job.earlier_runs, job.run_id)
        known = known or (job.state is State.DELIVERED and run.run_id in (job.run_id, job.reserved_run))
        return known and self._shown(run) and (run.completed_at or 0.0) < (job.closed_at or 0.0) + ASKED_FOR

    def _shown(self, run: FakeRun) -> bool:
        """Whether every key that is ever stored shows a run, and its record can be read: what is asked for once a job
        is closed tells nobody that the key is of another account.
        """
        runflow = self._simulation.runflow
        return {*runflow.habits.accounts.values()} == {run.account} and not runflow.is_unreadable(run.run_id)

    def _told_of(self, run: FakeRun) -> bool:
        """Whether a callback of a run was kept once it had ended, and its record says what it cost."""
        tells_cost = run.ending.tells_cost and not self._simulation.runflow.is_unreadable(run.run_id)
        told_at = (run.completed_at or 0.0) + run.ending.cost_after
        return run.ended and tells_cost and self.kept_at.get(run.run_id, 0.0) >= told_at

    def _newer_delivered(self, job: Job, after: float = -math.inf) -> bool:
        return any(
            other.job_id in self._delivered
            and other.upload.key == job.upload.key
            and _later(other, job)
            and (other.closed_at is None or other.closed_at > after)
            for other in self._simulation.jobs.jobs.values()
        )

    def _bill(self) -> None:
        simulation = self._simulation
        paid: dict[str, list[FakeRun]] = {}
        days: defaultdict[str, Decimal] = defaultdict(Decimal)
        beyond = simulation.runflow.tried_again | simulation.runflow.too_late
        for run in simulation.runflow.runs.values():
            if run.billed and run.run_id not in simulation.runflow.foreign:
                paid.setdefault(simulation.runflow.made_for(run), []).append(run)
            if run.billed and run.run_id not in simulation.runflow.foreign | beyond:
                day = day_of(simulation.runflow.post_of(run).at)
                days[day] += min(run.billed, self._reserved[str(run.request["client_ref"])])
        for job_id, runs in paid.items():
            job = simulation.jobs.jobs.get(job_id)
            again = [run for run in runs if run.run_id in beyond]
            asked = sum(request.how is Way.PAID for request in job.requests) if job is not None else 0
            at_most = simulation.unmatched_runs + len(again) + 1 + asked
            self.check("paid once", len(runs) <= at_most, job_id, [run.run_id for run in runs])
            known = [run for run in runs if job is not None and job.run_id == run.run_id]
            earlier = [run for run in runs if job is not None and asked and run.run_id in job.earlier_runs]
            unused = len(again) == len(runs) and (job is None or not self._may_use(again, job))
            misled = job is not None and self._misled(job)
            found = len(known) == 1 or bool(earlier)
            told = all(run.status == "failed" and run.run_id in simulation.jobs.charges for run in runs)  # no output
            self.check("paid once", found or unused or misled or told, "a paid run of no job", job)
            for run in known:
                if job is not None:
                    self._result(run, job)
        for day, usd in days.items():
            start = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
            most = self._most(start - 60, start + 86_400)
            self.check("daily spend limit", usd <= most, f"${usd} paid for runs of {day}, of ${most}")

    def _result(self, run: FakeRun, job: Job) -> None:
        """A paid result was delivered, unless it could not be."""
        if run.status not in ("succeeded", "partial_succeeded") or not self._simulation.runflow.output_is_good(run):
            return
        if run.run_id in self._simulation.runflow.tried_again and not self._told_of(run):
            return  # it had failed, and nobody said that Runflow tried it again
        if run.lost and job.state in FAILURES:
            return  # Runflow's loss: it has neither the run nor the output any more
        if self._never_shown(run, job):
            return  # a person was told
        if job.state in FAILURES and self._is_of_another_account(job):
            return  # so it was, and the key of its own account was not stored again in time
        if job.state in FAILURES and (run.completed_at or 0.0) > (job.closed_at or 0.0) + ASKED_FOR:
            return  # so late that nobody asked any more
        if job.state in FAILURES and self._newer_delivered(job):
            return
        dropped = job.state is State.SUPERSEDED and job.reason is Reason.NEWER_DELIVERED
        self.check("nothing paid is lost", job.state is State.DELIVERED or dropped, run.run_id, job)

    def _newest(self) -> None:
        simulation = self._simulation
        newest: dict[str, Job] = {}
        for job in simulation.jobs.jobs.values():
            if job.job_id in self._delivered:
                best = newest.get(job.upload.key)
                if best is None or _later(job, best):
                    newest[job.upload.key] = job
        stored: defaultdict[str, list[tuple[str, Job]]] = defaultdict(list)
        for key, found in simulation.photos.outputs.items():
            made_by = simulation.jobs.jobs.get(found.metadata.get(JOB_ID, ""))
            if made_by is not None and made_by.state in (State.DELIVERED, State.SUPERSEDED):
                stored[made_by.upload.key].append((key, made_by))
        copies = self._copies()
        for job in newest.values():
            self.check("newest wins", bool(job.outputs), job)
            for key in job.outputs:
                there = simulation.photos.outputs.get(key)
                if key in self.touched or self._gave_way(copies, job):
                    continue
                shown = there is not None and self._shows(there.metadata[JOB_ID], job)
                self.check("newest wins", shown, key, job.job_id, there)
            self._alone(job, stored[job.upload.key])

    def _shows(self, job_id: str, job: Job) -> bool:
        """Whether an output that was stored for a job is one of another: its own, or found in its place."""
        if job_id == job.job_id:
            return True
        other = self._simulation.jobs.jobs.get(job_id)
        equal = self._pictures.get(job_id) == self._pictures.get(job.job_id)
        if other is not None and not self._simulation.versioned:
            equal = self._same_wishes(other, job)
        return job.job_id in self._reused and equal

    def _copies(self) -> list[str]:
        """The jobs of the copies that lie in the output bucket."""
        found = self._simulation.photos.outputs.values()
        return [one.metadata[JOB_ID] for one in found if REUSED_FROM in one.metadata]

    def _gave_way(self, copies: list[str], job: Job) -> bool:
        """Whether any of these copies is of a newer photo of the name, whose job could not be saved, and then gave way
        to a still newer one; or paid for a new result, because the copy's source was rejected meanwhile, and failed.
        """
        others = (self._simulation.jobs.jobs.get(job_id) for job_id in copies)
        return any(
            other is not None
            and other.state in (State.SUPERSEDED, *FAILURES)
            and other.upload.key == job.upload.key
            and _later(other, job)
            for other in others
        )

    def _alone(self, newest: Job, stored: list[tuple[str, Job]]) -> None:
        """No older version that was delivered lies beside the newest, under another name, unless that says so; nor any
        newer, unless it gave way after it was copied. `stored`: the outputs of the photo's name, by their keys.
        """
        copies = self._copies()
        for key, other in stored:
            gave_way = other.job_id in copies and self._gave_way([other.job_id], newest)
            if other is not newest and not gave_way and key not in newest.outputs:  # else found in its place
                self.check("newest wins", key in newest.leftovers, "beside it", key, other, newest)

    def _reported(self) -> None:
        """Events, records, log lines."""
        simulation = self._simulation
        self._events()
        batch = simulation.jobs._batch
        self.check("batches", batch is None or not batch.ends, "not told of", batch)
        self._records()
        for line in simulation.telemetry.lines:
            text = line.message + " ".join(str(value) for value in line.fields.values())
            safe = "X-Amz-" not in text and "whsec_" not in text and "rf_live_" not in text and "://" not in text
            self.check("no secret logged", safe, text)

    def _events(self) -> None:
        """Every end has its event; what a repair has overtaken need not be published any more."""
        simulation = self._simulation
        ends: dict[str, set[State]] = {}
        for write in simulation.jobs.writes:
            if write.after.state.terminal:
                ends.setdefault(write.after.job_id, set()).add(write.after.state)
        details = [one for _, one in simulation.events.published if "job_id" in one]
        published = {(one["job_id"], one["state"]) for one in details}
        answered = {(one["job_id"], one["state"], one["reopened"]["request"]) for one in details if one["reopened"]}
        for job in simulation.jobs.jobs.values():
            asked = (job.job_id, job.state.value, job.requests[-1].request_id) if job.requests else None
            as_before = job.state is State.DELIVERED and (job.decision or "").startswith(AGAIN)
            self.check("events", not as_before or asked not in answered, "of no delivery", job)
            told = asked is None or asked in answered or job.reason is Reason.NOT_A_PHOTO or as_before
            self.check("events", told or not job.state.terminal, "none for a request", job)
            has_one = (job.job_id, job.state.value) in published
            self.check("events", has_one or not job.state.terminal or job.reason is Reason.NOT_A_PHOTO, "none for", job)
            self.check("events", not has_one or job.reason is not Reason.NOT_A_PHOTO, "of what is no photo", job)
        stored = {put.metadata.get(JOB_ID) for _, put in simulation.photos.puts}
        # a result that was found in its place: nothing had to be stored
        stored |= {detail["job_id"] for detail in details if detail["reused_from"]}
        for one in details:
            ended = simulation.jobs.jobs[one["job_id"]]
            if (one["state"], one["reason"]) == (ended.state, ended.reason):
                self._told_of_money(ended, f"{one['means']} {one['what_to_do']}")
        for job_id, state in published:
            true = state in ends.get(job_id, ()) or (state == State.DELIVERED and job_id in stored)
            self.check("events", true, "false", job_id, state)

    def _records(self) -> None:
        """The record of a name is that of the newest upload that has ended, and speaks of it; nothing else has one, nor
        has an upload that was ever delivered. What was taken back has none once an older one ended that is there again.
        """
        simulation = self._simulation
        newest: dict[str, Job] = {}
        for job in filter(self._decides_record, simulation.jobs.jobs.values()):
            best = newest.get(job.upload.key)
            if best is None or _later(job, best):
                newest[job.upload.key] = job
        unsure = self._taken_back(newest)
        unclean = [job for job in newest.values() if job.job_id not in self._delivered]
        wanted = {(folder, job.upload.key): job for job in unclean if (folder := _record_in(job))}
        sources = {source_of("in", key): key for key in newest}
        for place, there in simulation.photos.outputs.items():
            if RECORD_OF not in there.metadata or there.metadata[RECORD_OF] in unsure:
                continue
            folder = f"{place.partition('/')[0]}/"
            told_of = wanted.pop((folder, sources.get(there.metadata[RECORD_OF], "")), None)
            right = told_of is not None and told_of.job_id in there.data.decode()
            best = newest.get(sources.get(there.metadata[RECORD_OF], ""))
            right = right or (told_of is None and best is not None and self._is_of_removed(best, folder, there))
            self.check("records", right, "false, or of another upload", place, told_of)
            if told_of is not None:
                self._told_of_money(told_of, there.data.decode().partition("\nPhoto:")[0])
        missing = [job for job in wanted.values() if source_of("in", job.upload.key) not in unsure]
        self.check("records", not missing, "none for", *missing)

    def _decides_record(self, job: Job) -> bool:
        gone = job.reason in (Reason.DELETED, Reason.REPLACED, Reason.ALREADY_CLEANED)
        return gone or job.job_id in self._delivered or _record_in(job) is not None

    def _is_of_removed(self, job: Job, folder: str, record: StoredObject) -> bool:
        """Whether a record is of a job that was delivered, reopened once its output was removed by hand, and failed."""
        removed = all(self.touched.get(output.key, math.inf) <= (job.closed_at or 0.0) for output in job.stored)
        mine = folder == _record_in(job) and job.job_id in record.data.decode()
        return mine and removed and bool(job.requests) and job.job_id in self._delivered

    def _taken_back(self, newest: dict[str, Job]) -> set[str]:
        """Of each name, let the upload that is there be the newest, if it surely ended after what came later was taken
        back. Returns the sources of which nobody can tell: one worker looks as another ends. What the scan has found
        has the lowest rank of its name, and is there.
        """
        unsure = set()
        for job in filter(self._decides_record, self._simulation.jobs.jobs.values()):
            best = newest[job.upload.key]
            since, ended = self._back_since.get(job.job_id, 0.0), job.closed_at or 0.0
            gone = self._not_there.get(job.job_id, math.inf)
            was_back = 0.0 < since <= ended < gone
            came_back = ended < since < min(gone, ended + 2 * HOUR)  # its record may have come when it was there
            if job.upload.version is None or not _later(best, job):
                continue
            if job.job_id in self._not_there and not was_back and not came_back:
                continue
            late = gone < ended + 2 * HOUR  # its record may have come when it was gone again
            if (was_back and (late or self._newer_delivered(job, after=since - HOUR))) or (
                came_back and gone < math.inf
            ):
                unsure.add(source_of("in", job.upload.key))
                continue
            if ended < since - HOUR and not job.requests:
                continue
            if ended > max(since, best.closed_at or 0.0) + HOUR and not job.requests:
                newest[job.upload.key] = job
            else:
                unsure.add(source_of("in", job.upload.key))
        return unsure

    def _told_of_money(self, job: Job, text: str) -> None:
        """Where money stays reserved, a person is told so before uploading the photo again, which pays once more."""
        spent = job.state in FAILURES and job.reservation is not None and job.reservation.usd > 0
        told = "charge" in text and "nothing was charged" not in text
        self.check("records", told or not spent, "silent about money", job, text)

    def digest(self) -> list[Any]:
        """All that a repeated message must not change. A job's version may: what is pending is published again. So may
        what it notes of runs that Runflow did not show before, and how often it asked for them.
        """
        simulation = self._simulation
        jobs = [replace(job, version=0, unknown_runs=(), tries=0) for _, job in sorted(simulation.jobs.jobs.items())]
        outputs = sorted((key, one.data, str(one.metadata)) for key, one in simulation.photos.outputs.items())
        money = sorted(simulation.jobs.money.items())
        return [jobs, outputs, money, sorted(simulation.jobs.charges), len(simulation.runflow.sent)]


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
    return why.startswith(("its ", "DynamoDB", "too little time")) or why == "the item is contended"


def _short(thing: object) -> str:
    """A job by what matters of it; anything else as it is."""
    if not isinstance(thing, Job):
        return str(thing)
    place = f"{thing.state}/{thing.reason} v{thing.version}"
    what = f"{thing.job_id[:8]} {place} run {thing.run_id} no {thing.submission_no}"
    return f"[{what} of {thing.upload.key[:30]}]"


def _record_in(job: Job) -> str | None:
    """Where the record of a job belongs: agreed here, not read from the code."""
    if job.state in FAILURES:
        return "_failed/"
    skipped = job.state is State.SKIPPED and job.reason not in (
        Reason.NOT_A_PHOTO,
        Reason.TOO_OLD,
        Reason.ALREADY_CLEANED,
    )
    return "_skipped/" if skipped else None


def _bytes_of(job: Job) -> frozenset[str]:
    """What tells the bytes that a job was delivered with from others."""
    return frozenset(output.etag for output in job.stored)


def _later(one: Job, other: Job) -> bool:
    return sequencer_rank(one.upload.sequencer) > sequencer_rank(other.upload.sequencer)
