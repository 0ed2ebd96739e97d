"""The job: one uploaded version of one photo, and every move it may make.

Times are seconds since the epoch (float, UTC). A transition is a pure function from a job to the next job: it raises
`Illegal` when the move is not in the table, and numbers the result `version + 1`. The store writes the result only
while the item still has the `version` that the transition started from, so of two workers that move the same job, one
wins and the other reads the item again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache, wraps
from typing import Any, Concatenate, Final, ParamSpec

from detag.domain import waits
from detag.domain.picture import Output
from detag.domain.reasons import INTAKE_REASONS, Group, Reason
from detag.domain.reopening import Request, Way
from detag.domain.runs import asked_ratio
from detag.domain.values import dataclass

DAY_SECONDS: Final = 86_400
RETENTION_SECONDS: Final = 90 * DAY_SECONDS
"""How long the item of a closed job is kept, and how old an event may be before it is refused: so an old message that
is redriven never pays again.
"""


class State(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    SUPERSEDED = "superseded"

    @property
    def terminal(self) -> bool:
        """Whether the job is closed."""
        return self not in OPEN_ORDER


OPEN_ORDER: Final = (State.WAITING, State.SUBMITTING, State.SUBMITTED)
CLOSED_ORDER: Final = (State.DELIVERED, State.FAILED, State.CANCELLED, State.SKIPPED, State.SUPERSEDED)


class Trouble(StrEnum):
    """What may prevent a run's result from being delivered, in the order in which these problems arise."""

    UNREADABLE = "unreadable"
    """Runflow could not be asked."""
    UNKNOWN = "unknown"
    """Runflow does not know the run."""
    NO_OUTPUT = "no_output"
    """The run succeeded but shows no output."""
    NOT_STORED = "not_stored"
    """An output could not be fetched or stored."""


MAX_UNKNOWN: Final = 8
"""So many runs that Runflow does not show are kept on an item: no more than a few requests have no clear answer."""

DUE_SHARDS: Final = 8
"""Shards of the due index. One partition of an index takes 1,000 writes a second (DynamoDB Developer Guide,
"Partitions").
"""


CLOSED_AGAIN: Final = "closed as before"
"""The decision by which a reopened job ends as it had ended before."""

MAX_SAID: Final = 500
"""Characters of Runflow's own words that are kept."""

NAMES_REQUESTS: Final = (Reason.REFUSED_UNCONFIRMED, Reason.NOT_CONFIRMED)
"""Why a job was closed for submissions that may have made runs."""
MAX_NAMED: Final = 8
"""Submissions that are named to a person: of 45 characters at most, which leaves space for Runflow's own words."""


class Illegal(Exception):
    """A move that is not in the table of transitions: a bug in the caller."""


@lru_cache(maxsize=1_024)  # a photo's id is asked for some fifty times while it is worked on
def _hashed(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Upload:
    """One version of one object, as the event named it."""

    bucket: str
    """The input bucket."""
    key: str
    """The photo's key, not URL-encoded."""
    version_id: str | None
    """S3's id of the version; None in a bucket without versioning."""
    sequencer: str
    """S3's hexadecimal text that orders the uploads of one key."""
    etag: str
    """Without quotes; empty where the event has none."""
    size: int
    """Bytes."""
    uploaded_at: float
    """The time of the event."""
    event_key: str | None = None
    """The key as the event gave it, where that was URL-encoded: the job stays known by it."""

    @property
    def job_id(self) -> str:
        """Thirty-two hex digits of a hash of bucket, key and version; of the sequencer where there is no version.

        Not of the ETag: uploading A, B and A again would make the third look like a repeat of the first.
        """
        tail = ("version", self.version) if self.version else ("sequencer", self.sequencer)
        return _hashed(self.bucket, self.event_key or self.key, *tail)

    @property
    def version(self) -> str | None:
        """The version's id, if it is one: where S3 keeps no versions, it calls the only one null."""
        return self.version_id if self.version_id not in ("", "null") else None

    @property
    def unversioned_etag(self) -> str:
        """Where S3 keeps no versions, what tells its bytes from others under its key; empty where it does."""
        return "" if self.version else self.etag

    @property
    def rank(self) -> str:
        """The sequencer in a form that compares as text: right-padded with zeros (S3 User Guide, "Event message
        structure").
        """
        return sequencer_rank(self.sequencer)

    @property
    def is_folder_marker(self) -> bool:
        """Whether the object is only a folder as a console creates it. With bytes in it, a file may be meant."""
        return self.key.endswith("/") and self.size == 0

    @property
    def is_addressable(self) -> bool:
        """Whether a URL can name the object: clients remove the segments . and .. from a URL's path before fetching it
        (RFC 3986, section 5.2.4), however they are written.
        """
        return not {".", ".."} & set(self.key.split("/"))


def sequencer_rank(sequencer: str) -> str:
    """A sequencer in a form that compares as text (see `Upload.rank`)."""
    return sequencer.upper().ljust(64, "0")


def sequencer_above(rank: str) -> str:
    """A sequencer right above a rank: S3 gives none that is between the two."""
    return rank + "1"


@dataclass(frozen=True, slots=True)
class Reservation:
    """Money from a day's budget: the price, from before a run is paid for until its cost is known."""

    day: str
    """The day whose budget the money counts against, as YYYY-MM-DD, UTC."""
    usd: Decimal
    """How much, in US dollars."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What an earlier run of a reopened job cost, or may have: it stays counted on its day."""

    run_id: str
    """Of the run; or the name of a submission that may have made one."""
    reservation: Reservation


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerEnd:
    """How a job was closed before it was reopened."""

    state: State
    reason: Reason | None
    detail: str | None
    code: str | None
    cost: str | None
    run_id: str | None
    reserved_run: str | None
    ask_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job, as one item of the job table keeps it."""

    upload: Upload
    state: State = State.WAITING
    """Where the job stands."""
    reason: Reason | None = Reason.READY
    """Why the job waits, or why it was closed without a delivery."""
    detail: str | None = None
    """What happened, for a person: never a URL or a body."""
    code: str | None = None
    """Runflow's own code for a failure."""
    decision: str | None = None
    """The last decision about the job, and why: "not tried again: charged"."""
    version: int = 0
    """Incremented by each transition; 0 for a job without an item. A write replaces only the version it read."""
    created_at: float = 0.0
    """When detag first saw the upload."""
    not_before: float = 0.0
    """The time before which a waiting job must not continue."""
    due_at: float | None = None
    """When reconcile handles the job. For a job that waits for the intake, the time of its upload: such jobs are
    released in that order. None for a closed job with nothing left to publish or to ask for."""
    lease_until: float = 0.0
    """Until when the job belongs to the worker that claimed it."""
    submission_no: int = 0
    """The number of the latest submission; each has its own body, name and idempotency key."""
    attempt: int = 1
    """The number of the attempt, from 1. Each failed run begins another, unless it failed because its URL expired."""
    expired_urls: int = 0
    """How many runs failed because the photo's URL had expired."""
    tries: int = 0
    """How many times in a row the job has been put off since it last made progress; the waits grow with it."""
    unclear_posts: int = 0
    """How many of its requests in a row had no clear answer, while Runflow let others through. Hours of 429 count as
    one."""
    limited: int = 0
    """How many times in a row Runflow answered 429 to it."""
    body: str | None = None
    """The exact bytes of the POST (ASCII JSON), with a presigned URL, kept while they may have to be sent again."""
    url_expires_at: float = 0.0
    """When the presigned URL in the latest body expires."""
    claimed_at: float = 0.0
    """When the latest submission was claimed: the search for an existing run goes back this far."""
    account: tuple[str, ...] = ()
    """What the Runflow account of the latest submission is known by, as hashes; empty if that was not recorded."""
    maybe_submitted: bool = False
    """Whether a POST of this job had no clear outcome and was followed by another, so an unmatched run may exist."""
    search_from: str | None = None
    """Where a search for an existing run continues that was too long for one process: a cursor of the run list."""
    to_ask: tuple[str, ...] = ()
    """Runs found by the search whose entries in the list do not say whose they are: to be asked for by id. If there is
    no cursor as well, the whole list has been read."""
    search_since: float = 0.0
    """When the search for an existing run was first put off for another reason than a pause, moved on by the time of
    every pause since; 0 if it never was."""
    unaccounted: tuple[tuple[str, str], ...] = ()
    """Submissions with no clear answer, whose runs may still appear: the name of each, and the aspect ratio that it
    asked for, empty for the photo's own."""
    content_type: str | None = None
    """The photo's type, according to its first bytes."""
    source_metadata: tuple[tuple[str, str], ...] = ()
    """The photo's own user metadata, name and value, for its outputs, also for those that may come late. At most 2 KB,
    as S3 allows."""
    run_id: str | None = None
    """Runflow's id of the job's run."""
    submitted_at: float = 0.0
    """When the latest run was accepted or adopted."""
    earlier_runs: tuple[str, ...] = ()
    """The runs of this job that another one followed: they failed, or the job was reopened. Oldest first."""
    unknown_runs: tuple[str, ...] = ()
    """Runs that are said to be the job's, by their callbacks or by the answer to a POST that came too late, while
    Runflow did not show whose they are: once the job is closed they are asked for, like a late result."""
    troubles: tuple[tuple[Trouble, float], ...] = ()
    """What prevents delivery of the run's result, and since when: each deadline counts from its own problem, and moves
    while another one hides it."""
    callback_asked_at: float = 0.0
    """When Runflow was last asked to send a run's callback again, because no other road led to the outputs; else 0."""
    reservation: Reservation | None = None
    reserved_run: str | None = None
    """What the reservation is for, if it is not the job's own run: the id of a run, or the name of a submission that
    may have made one."""
    done: tuple[str, ...] = ()
    """What has become of the run's outputs so far, in order: the key of each, empty if it was not safe to store. The
    next invocation continues after them."""
    done_run: str | None = None
    """Whose outputs `done` is about, if they are not those of the job's own run."""
    outputs: tuple[str, ...] = ()
    """The keys of the outputs in the output bucket, the first 64."""
    leftovers: tuple[str, ...] = ()
    """Outputs of older versions, under other names, that were not removed because they could not be restored."""
    cost: str | None = None
    """What the run cost in US dollars, as Runflow gave it."""
    picture: str | None = None
    """What the job's picture is known by, since it was first claimed or met; None where that cannot be told."""
    picture_version: int = 0
    """The version of the picture's item that the latest claim wrote; 0 if that was of another picture."""
    picture_run: str | None = None
    """The run whose answer, name or record showed that it is of the submission that was claimed last: what it makes is
    of the job's picture.
    """
    picture_until: float = 0.0
    """When another job may pay for the same picture, whatever has become of this one; 0 where results are not reused:
    then each job pays for itself, and what it makes of the picture is known all the same."""
    not_reused: str | None = None
    """Why a result that was known is not used, and the photo is paid for."""
    reused_from: str | None = None
    """The key of the output that the job's own is a copy of, or which it found in its place."""
    stored: tuple[Output, ...] = ()
    """The outputs exactly as they were delivered, the first 16."""
    partial: bool = False
    """Whether Runflow made only some of the outputs, or some of them were rejected."""
    pending: tuple[str, ...] = ()
    """What is still to be published about a closed job: "event", "record"."""
    closed_at: float | None = None
    """When the job was closed; after a repair, the time of the repair."""
    ask_at: float | None = None
    """When Runflow is asked again about a closed job's run, whose result or cost may come late; None: never again."""
    requests: tuple[Request, ...] = ()
    """Every request that reopened the job, oldest first: who asked, when and how."""
    closed_as: FormerEnd | None = None
    """How the job was closed before the latest request, while it is open again."""
    spent: tuple[Spent, ...] = ()
    """What its earlier runs cost or may have cost, where that was reserved by the job."""
    replaced_runs: tuple[str, ...] = ()
    """Runs whose results are known, and were asked to be replaced by those of new ones: they are not used any more."""
    told_costs: tuple[tuple[str, str], ...] = ()
    """Runs that an earlier end of the job has told of, and what each cost: it was spent once, however often it ends."""
    again: str | None = None
    """The id of the latest request for a new run, until the job is to be sent unpaid: what is known of the picture is
    not used for this job.
    """

    @property
    def job_id(self) -> str:
        """Thirty-two hex digits that identify bucket, key and version."""
        return self.upload.job_id

    @property
    def client_ref(self) -> str:
        """What the run is called at Runflow: one name per submission."""
        return f"{self.job_id}.{self.submission_no}"

    @property
    def unconfirmed(self) -> bool:
        """Whether the job waits until it is known whether its latest POST made a run."""
        return self.state is State.WAITING and self.reason in (Reason.UNCONFIRMED, Reason.OTHER_ACCOUNT)

    @property
    def is_unanswered(self) -> bool:
        """Whether a POST of the latest submission had no clear answer: what is refused now says nothing of that one."""
        return self.client_ref in dict(self.unaccounted)

    @property
    def awaited(self) -> dict[str, str]:
        """The submissions whose POST is unaccounted for, so a run may belong to them: name and aspect ratio of each.

        A job that was reopened may be unconfirmed because of an older one, the latest having been refused.
        """
        awaited = dict(self.unaccounted)
        of_older = bool(self.requests and self.unaccounted)
        if self.state is State.SUBMITTING or (self.unconfirmed and not of_older):
            awaited.setdefault(self.client_ref, asked_ratio(self.body) or "")
        return awaited

    def keeps_money_from(self, client_ref: str | None) -> bool:
        """Whether what is reserved stays for the latest request where a run of another one, `client_ref`, becomes the
        job's: the latest may have made one too.
        """
        other = client_ref is not None and client_ref != self.client_ref
        return other and self.reservation is not None and self.client_ref in self.awaited

    @property
    def names_requests(self) -> bool:
        """Whether a person is told which submissions may have made runs: it was closed for those."""
        return self.reason in NAMES_REQUESTS and bool(self.unaccounted)

    @property
    def reserved_unconfirmed(self) -> bool:
        """Whether what is reserved is for a request of which no run is known, though it may have made one."""
        return self.run_id is None and self.reserved_run in dict(self.unaccounted)

    def has_submission(self, client_ref: str) -> bool:
        """Whether a name is that of a submission of the job."""
        name, _, number = client_ref.rpartition(".")
        known = name == self.job_id and re.fullmatch(r"[1-9][0-9]{0,11}", number) is not None
        return known and int(number) <= self.submission_no

    @property
    def idempotency_key(self) -> str:
        """64 hex digits, one per submission (contract section 8)."""
        return hashlib.sha256(f"detag/{self.client_ref}".encode()).hexdigest()

    @property
    def shares_picture(self) -> bool:
        """Whether the job was claimed to pay for its picture on behalf of all equal photos."""
        return self.picture is not None and self.picture_until > 0.0

    @property
    def holds_picture(self) -> bool:
        """Whether the job pays for its picture, or may have: no other pays for an equal one meanwhile."""
        sent = self.state in (State.SUBMITTING, State.SUBMITTED)
        return self.shares_picture and (sent or self.unconfirmed)

    @property
    def waits_for_intake(self) -> bool:
        """Whether the job waits until the intake releases it."""
        return self.state is State.WAITING and self.reason in INTAKE_REASONS

    @property
    def repairable(self) -> bool:
        """Whether a late paid result of the job's run may still be delivered."""
        return self.state in (State.FAILED, State.CANCELLED) and self.reason is not None and self.reason.repairable

    @property
    def reservations(self) -> tuple[Reservation, ...]:
        """All money that the job stands for: of its run, and of earlier ones."""
        own = () if self.reservation is None else (self.reservation,)
        return (*own, *(one.reservation for one in self.spent))

    @property
    def total_cost(self) -> Decimal:
        """What all runs of the job cost, in US dollars; what is reserved, where Runflow has not said."""
        total = sum((one.reservation.usd for one in self.spent), Decimal(0))
        elsewhere = self.reservation is None or self.reserved_run is not None
        if self.reservation is not None:
            total += self.reservation.usd
        if self.cost is not None and elsewhere and all(one.run_id != self.run_id for one in self.spent):
            total += _amount(self.cost)
        return total

    @property
    def cost_since(self) -> Decimal:
        """What a closed job cost beyond what its earlier ends have told, in US dollars."""
        told = dict(self.told_costs).get(self.run_id or "", "0")
        return max(_amount(_cost_of(self, self.run_id, self.cost)) - _amount(told), Decimal(0))

    @property
    def runs(self) -> tuple[str, ...]:
        """Every run of the job that is known by its id, newest first."""
        return tuple(dict.fromkeys((*filter(None, (self.run_id,)), *reversed(self.earlier_runs))))

    @property
    def missing_runs(self) -> tuple[str, ...]:
        """Runs that are said to be the job's and have not been shown to be."""
        return tuple(run_id for run_id in self.unknown_runs if run_id not in self.runs)

    @property
    def only_asks(self) -> bool:
        """Whether the job was reopened to ask for what is there: then nothing is sent."""
        return self.closed_as is not None and self.requests[-1].how is Way.ASK

    @property
    def is_delivered_before(self) -> bool:
        """Whether a delivered job was reopened for nothing: the decision that closed it again stays with it."""
        return self.state is State.DELIVERED and (self.decision or "").startswith(CLOSED_AGAIN)

    def may_be_released(self, now: float) -> bool:
        """Whether it waits for the intake, and Runflow asked for no longer pause."""
        return self.waits_for_intake and now >= self.not_before

    @property
    def due_shard(self) -> str | None:
        """The shard of the due index that the job is in, `held#<n>` while it waits for the intake, else `due#<n>`.

        None for a closed job with nothing left to publish or to ask for.
        """
        if self.due_at is None:
            return None
        return f"{'held' if self.waits_for_intake else 'due'}#{int(self.job_id[:8], 16) % DUE_SHARDS}"

    @property
    def expires_at(self) -> int | None:
        """When DynamoDB may delete the item (TTL, whole seconds); None while the job is open, anything is pending, or a
        late result is asked for.
        """
        if self.closed_at is None or self.due_at is not None:
            return None
        return int(self.closed_at + RETENTION_SECONDS)


@dataclass(frozen=True, slots=True)
class Transition:
    """A line of the table of transitions, from which `docs/states.md` is generated."""

    name: str
    sources: tuple[State, ...]
    target: State | None
    """None if the state stays the same, or is one of several."""
    by: str
    when: str
    targets: tuple[State, ...] = ()
    """The states that it may lead to, where there are several."""


TRANSITIONS: Final[dict[str, Transition]] = {}

P = ParamSpec("P")
Function = Callable[Concatenate[Job, P], Job]


def transition(
    *sources: State, to: State | tuple[State, ...] | None, by: str, when: str
) -> Callable[[Function[P]], Function[P]]:
    """Enter a function in the table, refuse it from any other state, and number its result `version + 1`. Where it may
    lead `to` several states, the function itself sets the one.
    """
    target, targets = (None, to) if isinstance(to, tuple) else (to, ())

    def enter(function: Function[P]) -> Function[P]:
        TRANSITIONS[function.__name__] = Transition(function.__name__, sources, target, by, when, targets)

        @wraps(function)
        def move(job: Job, /, *args: P.args, **kwargs: P.kwargs) -> Job:
            if job.state not in sources:
                raise Illegal(f"{function.__name__}: job {job.job_id} is {job.state}")
            moved = function(job, *args, **kwargs)
            return replace(moved, version=job.version + 1, state=target or moved.state)

        return move

    return enter


@dataclass(frozen=True, slots=True)
class Move:
    """A transition with its arguments, decided on but not yet made."""

    transition: Callable[..., Job]
    arguments: tuple[object, ...]
    named: Mapping[str, object]

    @property
    def name(self) -> str:
        """The transition's name in the table."""
        return self.transition.__name__

    def of(self, job: Job) -> Job:
        """The job after the move. Raises `Illegal`."""
        return self.transition(job, *self.arguments, **self.named)


def move(transition: Function[P], /, *arguments: P.args, **named: P.kwargs) -> Move:
    """A move, for whichever job it is decided."""
    return Move(transition, arguments, named)


def _require(condition: bool, what: str, job: Job) -> None:
    if not condition:
        raise Illegal(f"{what}: job {job.job_id} is {job.state} ({job.reason})")


def _amount(cost: str) -> Decimal:
    """What Runflow said that a run cost; nothing where that is no amount."""
    try:
        amount = Decimal(cost)
    except ArithmeticError:
        return Decimal(0)
    return amount if amount.is_finite() else Decimal(0)


def new(upload: Upload, now: float) -> Job:
    """A job that has no item yet: `version` 0, waiting, ready. The first save creates the item."""
    return Job(upload=upload, created_at=now, due_at=now)


# Before paying


@transition(State.WAITING, to=State.WAITING, by="submit", when="a new photo, or a secret, cannot be read at the moment")
def defer(job: Job, not_before: float) -> Job:
    """Save a job that has no item yet: from now on its own due time brings it back, not its message."""
    _require(job.version == 0, "defer", job)
    return replace(job, not_before=not_before, due_at=not_before)


@transition(State.WAITING, to=State.WAITING, by="submit", when="the photo cannot be read, or not yet")
def read_again(job: Job, reason: Reason, not_before: float, detail: str) -> Job:
    """Read the photo again later: new permissions take a while to reach S3, and AWS may fail."""
    _require(not job.unconfirmed, "read_again", job)
    tries = job.tries + 1 if job.reason in (Reason.ACCESS_DENIED, Reason.INTERRUPTED) else 1
    waits = _unsent(job, reason, not_before=not_before, due_at=not_before)
    return replace(waits, tries=tries, detail=detail)


@transition(State.WAITING, to=State.WAITING, by="submit", when="the intake is paused, or older photos go first")
def wait_for_intake(job: Job, reason: Reason) -> Job:
    """Wait, in upload order, until the intake releases the job. Its reservation is returned."""
    _require(reason in INTAKE_REASONS and not job.unconfirmed, "wait_for_intake", job)
    return _unsent(job, reason, not_before=0.0, due_at=job.upload.uploaded_at)


@transition(
    State.WAITING, to=State.WAITING, by="reconcile", when="the intake drains, oldest first; or the job is its probe"
)
def release(job: Job, now: float, due_at: float) -> Job:
    """Stop waiting: the job may be claimed at once, and is due again if its message is lost."""
    _require(job.waits_for_intake, "release", job)
    at = max(now, job.not_before)  # Runflow may have asked for a longer pause
    return replace(job, reason=Reason.READY, not_before=at, due_at=max(due_at, at), limited=0)


@transition(State.WAITING, to=State.WAITING, by="submit", when="an equal photo is being paid for, or stored")
def wait_for_picture(job: Job, due_at: float, picture: str | None = None) -> Job:
    """Wait until the job that pays for an equal photo has ended. `picture`: have the job woken by it."""
    _require(not job.unconfirmed, "wait_for_picture", job)
    tries = job.tries + 1 if job.reason is Reason.SAME_PICTURE else 1
    waits = _unsent(job, Reason.SAME_PICTURE, not_before=0.0, due_at=due_at)
    claimed = job.picture_version if picture == job.picture else 0
    return replace(waits, tries=tries, picture=picture, picture_version=claimed)


@transition(
    State.WAITING, to=State.WAITING, by="submit, deliver", when="the job that paid for an equal photo has ended"
)
def wake(job: Job, due_at: float) -> Job:
    """Stop waiting for an equal photo: the job is due."""
    _require(job.reason is Reason.SAME_PICTURE, "wake", job)
    return replace(job, due_at=due_at)


@transition(
    State.WAITING, to=State.DELIVERED, by="submit", when="an equal photo was delivered, and its output is still there"
)
def deliver_copy(
    job: Job,
    outputs: tuple[str, ...],
    now: float,
    *,
    picture: str,
    reused_from: str,
    stored: tuple[Output, ...],
    partial: bool = False,
    leftovers: tuple[str, ...] = (),
) -> Job:
    """Close a job with copies of what was delivered of an equal photo, for nothing."""
    _require(not job.unconfirmed and not job.only_asks, "deliver_copy", job)
    closed = replace(_closed(job, None, None, now, "0"), outputs=outputs, leftovers=leftovers, stored=stored)
    return replace(closed, code=None, not_reused=None, picture=picture, reused_from=reused_from, partial=partial)


@transition(
    State.WAITING, to=State.SUBMITTING, by="submit", when="the photo is good, and the day budget covers its price"
)
def claim(
    job: Job,
    *,
    submission_no: int,
    body: str,
    reservation: Reservation,
    content_type: str,
    source_metadata: tuple[tuple[str, str], ...],
    now: float,
    lease_until: float,
    url_expires_at: float,
    account: tuple[str, ...] = (),
    picture: str | None = None,
    picture_version: int = 0,
    picture_until: float = 0.0,
    not_reused: str | None = None,
) -> Job:
    """Begin a submission: its body, its key's account and the picture that it takes are saved before it is sent."""
    _require(submission_no == job.submission_no + 1, "claim out of turn", job)
    _require(not job.only_asks, "claim to ask", job)
    return replace(
        job,
        reason=None,
        submission_no=submission_no,
        body=body,
        reservation=reservation,
        content_type=content_type,
        source_metadata=source_metadata,
        claimed_at=now,
        url_expires_at=url_expires_at,
        account=account,
        lease_until=lease_until,
        due_at=lease_until,
        picture=picture,
        picture_version=picture_version,
        picture_until=picture_until,
        not_reused=not_reused,
        **_NO_RESULT,
    )


_NO_RESULT: Final[dict[str, Any]] = {"picture_run": None, "reused_from": None, "stored": ()}


@transition(
    State.WAITING, to=State.SUBMITTING, by="submit", when="no run exists after the wait, and the URL is still valid"
)
def resend(job: Job, *, lease_until: float) -> Job:
    """Send the same bytes with the same key once more, under a new lease."""
    _require(job.unconfirmed and job.body is not None and not job.only_asks, "resend", job)
    return replace(
        job,
        reason=None,
        maybe_submitted=True,
        unaccounted=tuple(job.awaited.items()),  # earlier versions of detag did not write it before
        lease_until=lease_until,
        due_at=lease_until,
        **_NO_SEARCH,
    )


@transition(State.SUBMITTING, to=State.WAITING, by="submit", when="nothing was sent: too little time was left")
def abandon_claim(job: Job, now: float) -> Job:
    """Undo a claim that was not used. Safe only for the worker that holds the lease and knows that it sent nothing."""
    if job.is_unanswered:  # what became of an earlier POST of the same bytes is still unknown
        return _unconfirmed(job, now, now)
    return _unsent(job, Reason.READY, not_before=now, due_at=now)


@transition(
    State.SUBMITTING, to=State.WAITING, by="submit", when="refused for now: 402, 401, 403, 404 or 429; no run was made"
)
def back_off(job: Job, reason: Reason, not_before: float, *, counts: bool = False) -> Job:
    """Wait after a refusal. The submission is over: the next one has a new number, body and key. `counts`: it is one of
    the unclear ones.
    """
    limited = job.limited + 1 if reason in (Reason.RATE_LIMITED, Reason.TOO_MANY_REQUESTS) else 0
    job = replace(job, limited=limited, unclear_posts=job.unclear_posts + counts)
    if job.is_unanswered:  # the refusal speaks of this POST, not of the one before it
        return replace(_unconfirmed(job, not_before, not_before), tries=job.tries + 1)
    if reason in INTAKE_REASONS:
        return _unsent(job, reason, not_before=not_before, due_at=job.upload.uploaded_at)
    return replace(_unsent(job, reason, not_before=not_before, due_at=not_before), tries=job.tries + 1)


@transition(State.SUBMITTING, to=State.WAITING, by="submit", when="the POST may have made a run, or the lease expired")
def await_confirmation(job: Job, not_before: float, *, counts: bool = False) -> Job:
    """Wait until a run, if there is one, must be visible at Runflow. Body, key and reservation stay; and its
    name, until the same bytes are accepted or its run is found: what is refused later says nothing of this POST.
    `counts`: it is one of the unclear ones.
    """
    unclear = job.unclear_posts + counts
    waits = _unconfirmed(job, not_before, not_before)
    return replace(waits, unaccounted=tuple(job.awaited.items()), unclear_posts=unclear, limited=0)


@transition(State.WAITING, to=State.WAITING, by="submit", when="the search did not finish, or Runflow is down")
def keep_unconfirmed(
    job: Job,
    not_before: float,
    search_from: str | None = None,
    to_ask: tuple[str, ...] = (),
    since: float = 0.0,
    reason: Reason = Reason.UNCONFIRMED,
) -> Job:
    """Search again later, from the top of the run list or from where this search stopped. `since`: when the search was
    first put off.
    """
    _require(job.unconfirmed, "keep_unconfirmed", job)
    kept = _unconfirmed(job, not_before, not_before)
    return replace(kept, reason=reason, tries=job.tries + 1, search_from=search_from, to_ask=to_ask, search_since=since)


@transition(
    State.WAITING,
    to=State.WAITING,
    by="submit",
    when="no run exists after the wait; the URL has expired, intake is paused, or another day has begun",
)
def start_over(job: Job, now: float) -> Job:
    """Give up a submission and return its money; the next claim makes a new one. The old one's run may still appear."""
    _require(job.unconfirmed, "start_over", job)
    given_up = job.unaccounted or tuple(job.awaited.items())  # an older item may not have the name yet
    unsent = _unsent(job, Reason.READY, not_before=now, due_at=now)
    return replace(unsent, maybe_submitted=True, unaccounted=given_up, again=_again(job))


_NO_SEARCH: Final[dict[str, Any]] = {"search_from": None, "to_ask": (), "search_since": 0.0}


def _unconfirmed(job: Job, not_before: float, due_at: float) -> Job:
    return replace(job, reason=Reason.UNCONFIRMED, not_before=not_before, due_at=due_at, lease_until=0.0, **_NO_SEARCH)


def _unsent(job: Job, reason: Reason, *, not_before: float, due_at: float) -> Job:
    return replace(
        job,
        reason=reason,
        not_before=not_before,
        due_at=due_at,
        body=None,
        reservation=None,
        reserved_run=None,
        lease_until=0.0,
        **_NO_SEARCH,
    )


# The run


@transition(State.SUBMITTING, to=State.SUBMITTED, by="submit", when="2xx with an id")
def accept(job: Job, run_id: str, now: float, due_at: float) -> Job:
    """The run exists. A callback or reconcile moves the job on."""
    left = tuple(one for one in job.unaccounted if one[0] != job.client_ref)
    return replace(_submitted(job, run_id, now, due_at, job.client_ref), unaccounted=left)


@transition(
    State.WAITING,
    State.SUBMITTING,
    to=State.SUBMITTED,
    by="submit, deliver",
    when="a run is proved to be the job's, and the job has none",
)
def adopt(
    job: Job,
    run_id: str,
    reservation: Reservation,
    now: float,
    due_at: float,
    *,
    client_ref: str | None = None,
    latest_is_shown: bool = False,
) -> Job:
    """Take over a run that a search found, or whose callback arrived before the run was saved. It is charged to the
    day budget unless the job has a reservation. `client_ref`: the submission it belongs to, by default the latest; if
    that may have made a run too, the run was charged by its id, and what is reserved stays for the latest; unless the
    latest one's run is shown as well: that was charged then.
    """
    _require(job.run_id is None and run_id not in job.earlier_runs, "adopt", job)
    left = tuple(one for one in job.awaited.items() if one[0] != (client_ref or job.client_ref))
    adopted = _submitted(job, run_id, now, due_at, client_ref)
    if job.reservation is None:  # an earlier end may have put its money away
        adopted = replace(adopted, **_spent_on(job, run_id, client_ref or job.client_ref))
    kept = job.keeps_money_from(client_ref) and not latest_is_shown
    kept_for = job.client_ref if kept else adopted.reserved_run
    paid = adopted.reservation or reservation
    return replace(adopted, reservation=paid, reserved_run=kept_for, unaccounted=left)


@transition(
    State.WAITING,
    to=State.SUBMITTED,
    by="submit, deliver",
    when="another run of the photo, believed failed or missing, turns out to have succeeded",
)
def take_over(job: Job, run_id: str, now: float, due_at: float, *, client_ref: str | None = None) -> Job:
    """Use a run that already exists instead of paying for another. It was charged by its id, or its money is still on
    the item, by its id or by its name, `client_ref`; if an unconfirmed submission may have made a run too, what was
    reserved stays for that one.
    """
    known = run_id in job.earlier_runs or job.maybe_submitted or job.reason is Reason.REOPENED
    _require(job.run_id is None and known, "take_over", job)
    others = tuple(one for one in job.earlier_runs if one != run_id)
    unsure = job.reservation is not None
    money = {"reserved_run": job.client_ref} if unsure else _spent_on(job, run_id, client_ref)
    taken = replace(_submitted(job, run_id, now, due_at, client_ref), earlier_runs=others, code=None, **money)
    maybe = job.maybe_submitted or job.unconfirmed
    return replace(taken, maybe_submitted=maybe, unaccounted=tuple(job.awaited.items()))


def _submitted(job: Job, run_id: str, now: float, due_at: float, client_ref: str | None) -> Job:
    return replace(
        job,
        reason=None,
        run_id=run_id,
        picture_run=run_id if client_ref == job.client_ref else job.picture_run,
        body=None,  # a live bearer URL, and never sent again: the run has an id
        submitted_at=now,
        due_at=due_at,
        not_before=0.0,
        lease_until=0.0,
        tries=0,
        unclear_posts=0,
        limited=0,
        troubles=(),
        done=(),
        done_run=None,
        **_NO_SEARCH,
    )


@transition(
    State.SUBMITTED,
    to=State.SUBMITTED,
    by="reconcile, deliver",
    when="still running, or the result cannot be stored yet",
)
def poll_later(
    job: Job,
    due_at: float,
    detail: str | None = None,
    troubles: tuple[tuple[Trouble, float], ...] = (),
    done: tuple[str, ...] = (),
) -> Job:
    """Ask for the run again later. `done`: what has become of its outputs so far; it never shrinks."""
    done = max(done, job.done, key=len)
    return replace(job, due_at=due_at, tries=job.tries + 1, detail=detail, troubles=troubles, done=done)


@transition(
    State.SUBMITTED, to=State.WAITING, by="deliver", when="the run failed free of charge and may be tried again"
)
def retry(job: Job, *, not_before: float, url_expired: bool, detail: str | None, code: str | None) -> Job:
    """Try again with a new run. A run that failed because the photo's URL had expired is not counted as an attempt."""
    _require(job.run_id is not None, "retry", job)
    return replace(
        _unsent(job, Reason.RETRY, not_before=not_before, due_at=not_before),
        attempt=job.attempt + (not url_expired),
        expired_urls=job.expired_urls + url_expired,
        run_id=None,
        earlier_runs=(*job.earlier_runs, job.run_id or ""),
        detail=detail,
        code=code,
        tries=0,
    )


# The end


@transition(
    State.WAITING, to=State.SKIPPED, by="submit", when="the upload is not to be sent to Runflow; nothing was paid"
)
def skip(job: Job, reason: Reason, detail: str, now: float) -> Job:
    """Close a job whose upload is not a photo that detag handles."""
    _require(reason.group is Group.SKIPPED, f"skip as {reason}", job)
    return _with_metadata(job, _closed(job, reason, detail, now))


@transition(
    State.WAITING,
    State.SUBMITTED,
    to=State.SUPERSEDED,
    by="submit, deliver",
    when="the photo is gone, or a newer version was uploaded or delivered",
)
def supersede(
    job: Job, reason: Reason, detail: str, now: float, *, cost: str | None = None, ask_at: float | None = None
) -> Job:
    """Close a job whose photo is gone or was replaced by a newer one. What was paid stays counted. `ask_at`: when to
    ask what its run cost.
    """
    _require(reason.group is Group.SUPERSEDED, f"supersede as {reason}", job)
    return _with_metadata(job, _closed(job, reason, detail, now, cost, ask_at))


@transition(
    State.WAITING,
    State.SUBMITTING,
    State.SUBMITTED,
    to=State.FAILED,
    by="submit, deliver",
    when="it cannot be done, and a person may want to know",
)
def fail(
    job: Job,
    reason: Reason,
    detail: str,
    now: float,
    *,
    code: str | None = None,
    free: bool,
    cost: str | None = None,
    ask_at: float | None = None,
) -> Job:
    """Close a job that cannot be done. `free`: nothing was or will be charged, so the reservation is returned.
    `ask_at`: when to ask for a late result.
    """
    _require(reason.group is Group.FAILED, f"fail as {reason}", job)
    _require(free or job.state is not State.WAITING or job.unconfirmed, "fail unpaid", job)
    _require(ask_at is None or reason.repairable, "ask for a late result", job)
    closed = _closed(job, reason, detail, now, cost, ask_at)
    if not free and job.unconfirmed:  # whether its POST made a run is still not known
        closed = replace(closed, unaccounted=job.unaccounted or tuple(job.awaited.items()))
    if not free and job.run_id is None and job.reserved_run is None:  # the money is for the latest that is not known
        closed = replace(closed, reserved_run=closed.unaccounted[-1][0] if closed.unaccounted else None)
    if closed.names_requests:
        closed = replace(closed, detail=_naming(closed, detail))
    returned = free and job.reserved_run is None
    closed = replace(closed, code=code, reservation=None if returned else closed.reservation)
    return _with_metadata(job, closed)


@transition(
    *CLOSED_ORDER,
    to=None,
    by="deliver",
    when="a late result, or what a run of the job costs, was asked for and is not there yet",
)
def ask_again(job: Job, ask_at: float | None, done: tuple[str, ...] = (), *, run_id: str | None = None) -> Job:
    """Ask again for the late result of a repairable job, for its other runs, or for the cost of the run that money is
    reserved for; with None, stop asking. `done` as in `poll_later`; `run_id`: another run of the job, which `done` is
    about, and which is to be asked for as well.
    """
    others = bool(job.unknown_runs or job.earlier_runs)
    _require(job.state is not State.FAILED or job.repairable or others, "ask_again", job)
    asked = replace(job, ask_at=ask_at, tries=job.tries + 1)
    if done:
        kept = job.done if job.done_run == run_id else ()
        asked = replace(asked, done=max(done, kept, key=len), done_run=run_id)
    if run_id is not None and run_id not in job.earlier_runs:
        asked = replace(asked, earlier_runs=(*job.earlier_runs, run_id))
    return replace(asked, due_at=job.due_at if job.pending else ask_at)


@transition(
    *OPEN_ORDER,
    *CLOSED_ORDER,
    to=None,
    by="submit, deliver",
    when="a callback, or a late answer, names a run that Runflow does not show",
)
def note_run(job: Job, run_id: str, ask_at: float | None) -> Job:
    """Keep the id of a run that may be the job's. `ask_at`: when to ask for it, if the job is closed. The worker that
    is sending the photo then finds that its item has changed, and goes by that.
    """
    fits = len(job.unknown_runs) < MAX_UNKNOWN
    _require(fits and run_id not in (*job.unknown_runs, *job.runs), "note_run", job)
    noted = replace(job, unknown_runs=(*job.unknown_runs, run_id))
    if not job.state.terminal:
        return noted
    return replace(noted, ask_at=ask_at, due_at=job.due_at if job.pending else ask_at)


@transition(
    State.WAITING,
    State.SUBMITTED,
    *CLOSED_ORDER,
    to=None,
    by="deliver",
    when="Runflow shows whose a run is that it did not show before",
)
def match_run(job: Job, run_id: str, ask_at: float | None, *, missing: bool) -> Job:
    """A run is not unknown any more: an earlier one of the job's from now on if it was `missing`, else none of the
    job's, or one that was counted. `ask_at`: when to ask for the others.
    """
    earlier = dict.fromkeys((*job.earlier_runs, *((run_id,) if missing else ())))
    left = tuple(one for one in job.unknown_runs if one != run_id)
    matched = replace(job, unknown_runs=left, earlier_runs=tuple(earlier), ask_at=ask_at)
    if job.state.terminal:
        matched = _with_metadata(job, replace(matched, source_metadata=()))
    return replace(matched, due_at=job.due_at if job.pending or ask_at or not job.state.terminal else None)


@transition(
    State.SUBMITTED,
    State.FAILED,
    State.CANCELLED,
    to=None,
    by="deliver",
    when="no output URL that the run's record shows can be opened: its callback is asked for",
)
def ask_for_callback(job: Job, now: float) -> Job:
    """Record that Runflow is asked to send a run's callback again: before it is asked, so that no crash repeats it."""
    _require(job.state is State.SUBMITTED or job.repairable, "ask_for_callback", job)
    return replace(job, callback_asked_at=now)


@transition(State.SUBMITTED, to=State.CANCELLED, by="deliver", when="the run was cancelled at Runflow")
def cancel(job: Job, detail: str, now: float, *, cost: str | None, ask_at: float | None = None) -> Job:
    """Close a job whose run somebody cancelled. Runflow charges for the work done, so there is no automatic retry.
    `ask_at`: when to ask whether it has ended well all the same.
    """
    return _with_metadata(job, _closed(job, Reason.CANCELLED_AT_RUNFLOW, detail, now, cost, ask_at))


@transition(
    State.SUBMITTED,
    State.FAILED,
    State.CANCELLED,
    to=State.DELIVERED,
    by="deliver",
    when="the outputs are stored; of a closed job, only if it is repairable",
)
def deliver(
    job: Job,
    outputs: tuple[str, ...],
    now: float,
    *,
    cost: str | None,
    partial: bool,
    leftovers: tuple[str, ...] = (),
    ask_at: float | None = None,
    stored: tuple[Output, ...] = (),
    remembered: bool = True,
) -> Job:
    """Close a job with its outputs. Of a closed job, this is the repair: a paid result of the same run came late.

    `ask_at`: when to ask what the run costs, if Runflow does not say yet.
    `remembered`: they are surely outputs of this very picture, and may be delivered for an equal one.
    """
    _require(job.state is State.SUBMITTED or job.repairable, "deliver", job)
    closed = replace(_closed(job, None, None, now, cost, ask_at), outputs=outputs, leftovers=leftovers, stored=stored)
    return replace(closed, picture=job.picture if remembered else None, partial=partial, code=None)


@transition(
    State.SUBMITTED,
    State.FAILED,
    State.CANCELLED,
    State.SKIPPED,
    State.SUPERSEDED,
    to=State.DELIVERED,
    by="deliver",
    when="another paid run of the photo has succeeded, and its outputs are stored",
)
def deliver_other(
    job: Job,
    run_id: str,
    outputs: tuple[str, ...],
    now: float,
    *,
    cost: str | None,
    partial: bool,
    ask_at: float,
    reserved: bool,
    leftovers: tuple[str, ...] = (),
    stored: tuple[Output, ...] = (),
    remembered: bool = True,
) -> Job:
    """Close a job with the outputs of a run that was not its own. `reserved`: the reservation is for that run, and pays
    for it. Otherwise it stays with the run that the job had, or for the request that it was kept for. `ask_at`: when to
    ask what they cost, where Runflow does not say, and whether an earlier one was tried again.
    """
    _require(run_id != job.run_id, "deliver_other", job)
    others = tuple(one for one in (*job.earlier_runs, job.run_id or run_id) if one != run_id)
    stays = job.run_id is not None and job.reservation is not None and job.reserved_run is None
    closed = _closed(job, None, None, now, cost, ask_at if others or cost is None else None)
    if stays:
        closed = replace(closed, reservation=job.reservation, reserved_run=job.run_id)
    elif reserved:
        closed = replace(closed, reservation=_billed(job.reservation, cost), reserved_run=None)
    closed = replace(closed, outputs=outputs, leftovers=leftovers, partial=partial, code=None, stored=stored)
    picture = job.picture if remembered else None
    return replace(closed, run_id=run_id, earlier_runs=others, submitted_at=job.submitted_at or now, picture=picture)


@transition(
    State.SUBMITTED,
    State.DELIVERED,
    State.FAILED,
    State.CANCELLED,
    State.SUPERSEDED,
    to=None,
    by="deliver",
    when="the run that money is reserved for has ended, and Runflow says its cost",
)
def bill_reserved(job: Job, cost: str, run_id: str) -> Job:
    """Replace what was reserved for a run by what Runflow billed for it. Of a delivered job without other runs nothing
    else is asked.
    """
    _require(job.reservation is not None, "bill_reserved", job)
    billed = replace(job, reservation=_billed(job.reservation, cost))
    billed = replace(billed, reserved_run=None if run_id == job.run_id else run_id)
    if job.state is not State.DELIVERED or job.missing_runs or job.earlier_runs:
        return billed
    return replace(billed, ask_at=None, due_at=job.due_at if job.pending else None)


def _billed(reservation: Reservation | None, cost: str | None) -> Reservation | None:
    """What Runflow billed replaces what was reserved; if Runflow does not say, the reservation stays."""
    if reservation is None or cost is None:
        return reservation
    return replace(reservation, usd=max(Decimal(cost), Decimal(0)))


def _with_metadata(before: Job, closed: Job) -> Job:
    """A closed job keeps the photo's own metadata while another result of it may still be delivered."""
    late = (
        closed.unaccounted
        or closed.earlier_runs
        or closed.unknown_runs
        or (closed.reason is not None and closed.reason.repairable)
    )
    return replace(closed, source_metadata=before.source_metadata) if late else closed


def _closed(
    job: Job,
    reason: Reason | None,
    detail: str | None,
    now: float,
    cost: str | None = None,
    ask_at: float | None = None,
) -> Job:
    """The job, closed. `ask_at`: when to ask for a late result or a cost. Asked for anyway: what Runflow did not show,
    and whether it tried an earlier run again, and billed it.
    """
    if ask_at is None and (job.missing_runs or job.earlier_runs):
        ask_at = now + waits.LATE_POLL.seconds(0, max)
    spent = job.reservation if job.reserved_run else _billed(job.reservation, cost)
    return replace(
        job,
        cost=cost,
        reservation=spent,
        reason=reason,
        detail=detail,
        body=None,  # a live bearer URL
        source_metadata=(),
        due_at=ask_at,
        not_before=0.0,
        lease_until=0.0,
        tries=0,
        troubles=(),
        done=(),
        done_run=None,
        pending=(),
        closed_at=now,
        ask_at=ask_at,
        told_costs=_told(job),
        reused_from=None,
        closed_as=None,
        **_NO_SEARCH,
    )


def _told(job: Job) -> tuple[tuple[str, str], ...]:
    """What a job that is being closed has told of its runs' costs when it was closed before."""
    before = job if job.state.terminal else job.closed_as
    cost = _cost_of(job, before.run_id, before.cost) if before is not None else "0"
    if before is None or before.run_id is None or not _amount(cost):
        return job.told_costs
    return tuple((dict(job.told_costs) | {before.run_id: cost}).items())


def _cost_of(job: Job, run_id: str | None, cost: str | None) -> str:
    """What a run cost, in US dollars: what is reserved for it, where Runflow did not say."""
    if cost is not None or run_id is None:
        return cost or "0"
    own = job.reservation if run_id in (job.run_id, job.reserved_run) and job.reserved_run in (None, run_id) else None
    kept = (one.reservation for one in job.spent if one.run_id == run_id)
    reserved = own or next(kept, None)
    return format(reserved.usd, "f") if reserved is not None else "0"


# Reopened


@transition(*CLOSED_ORDER, to=State.WAITING, by="submit", when="somebody asks for it: to ask Runflow, unpaid, or paid")
def reopen(job: Job, request: Request, reason: Reason, now: float, due_at: float) -> Job:
    """Open a closed job again, once for each request. What was paid stays counted; the next run has a new number."""
    _require(all(one.request_id != request.request_id for one in job.requests), "reopen twice", job)
    _require(not job.pending, "reopen before its end is published", job)
    _require(reason in (Reason.READY, Reason.REOPENED, Reason.UNCONFIRMED), f"reopen as {reason}", job)
    known = job.state is State.DELIVERED or job.reason in _KNOWN_RESULTS
    replaced = (job.run_id,) if request.how is Way.PAID and known and job.run_id else ()
    end = {name: getattr(job, name) for name in FormerEnd.__dataclass_fields__}
    opened = replace(
        _put_away(job),
        reason=reason,
        requests=(*job.requests, request),
        closed_as=FormerEnd(**end),
        replaced_runs=(*job.replaced_runs, *replaced),
        again=request.request_id if request.how is Way.PAID else job.again,
        detail=None,
        code=None,
        cost=None,
        attempt=1,
        expired_urls=0,
        tries=0,
        unclear_posts=0,
        limited=0,
        not_before=now,
        due_at=due_at,
        closed_at=None,
        ask_at=None,
    )
    return replace(opened, again=_again(opened)) if reason is Reason.READY else opened


def _again(job: Job) -> str | None:
    """The request for a new run that a job goes by which is to be sent: none any more once somebody asked for it
    unpaid. A run that the older request has made is used before that, as the new run that it is.
    """
    return None if job.requests and job.requests[-1].how is Way.UNPAID else job.again


_KNOWN_RESULTS: Final = (Reason.BAD_OUTPUT, Reason.NO_OUTPUT, Reason.UNDELIVERABLE)
"""Why a job failed whose run had succeeded: its result is what it is."""


@transition(State.WAITING, to=State.WAITING, by="submit", when="somebody asks for a photo without an item, by its key")
def take_up(job: Job, request: Request, now: float, due_at: float) -> Job:
    """Make an item for a photo whose own has expired, or that had none. Its submissions are numbered from the hours
    since the epoch: an expired item counted from 1, or from an hour months ago, and no name or key comes twice.
    """
    _require(job.version == 0, "take_up", job)
    again, number = request.request_id if request.how is Way.PAID else None, int(now // _HOUR)
    return replace(job, requests=(request,), again=again, submission_no=number, not_before=now, due_at=due_at)


_HOUR: Final = 3_600


@transition(State.WAITING, to=State.WAITING, by="submit", when="Runflow cannot tell now what became of its runs")
def ask_later(job: Job, not_before: float, since: float) -> Job:
    """Ask about the runs of a reopened job again later. `since`: when that was first put off."""
    _require(job.reason is Reason.REOPENED, "ask_later", job)
    return replace(job, tries=job.tries + 1, not_before=not_before, due_at=not_before, search_since=since)


@transition(State.WAITING, to=State.WAITING, by="submit", when="no known run of it has a result or a charge")
def go_ahead(job: Job, reason: Reason, now: float) -> Job:
    """Let a reopened job be sent, or be searched for first where a POST of it is unaccounted for."""
    _require(job.reason is Reason.REOPENED and reason in (Reason.READY, Reason.UNCONFIRMED), "go_ahead", job)
    again = _again(job) if reason is Reason.READY else job.again
    return replace(job, reason=reason, again=again, tries=0, not_before=now, due_at=now, **_NO_SEARCH)


@transition(
    State.WAITING,
    State.SUBMITTED,
    to=CLOSED_ORDER,
    by="submit, deliver",
    when="nothing new is there for a reopened job, or it may not be sent after all",
)
def close_again(job: Job, now: float, *, cost: str | None = None, ask_at: float | None = None) -> Job:
    """Close a reopened job as it was closed before. `cost`: what its run cost, if it took one over in between;
    `ask_at`: when to ask for runs that failed in between, if nothing was to be asked for before.
    """
    was = job.closed_as
    if was is None:
        raise Illegal(f"close_again: job {job.job_id} was not reopened")
    own = job.run_id is not None and job.reserved_run is None
    away = _put_away(replace(job, reservation=_billed(job.reservation, cost)) if own else job)
    told = cost if own and cost is not None and job.run_id == was.run_id else was.cost
    closed = replace(_closed(away, was.reason, was.detail, now, told), state=was.state, reused_from=job.reused_from)
    named, _, said = (was.detail or "").partition(": ")
    if was.reason in NAMES_REQUESTS and named.startswith(f"{job.job_id}."):  # there may be more of them by now, or none
        closed = replace(closed, detail=_naming(closed, said))
    if was.run_id is not None:
        others = tuple(one for one in away.earlier_runs if one != was.run_id)
        closed = replace(closed, earlier_runs=others, **_spent_on(away, was.reserved_run or was.run_id))
    closed = replace(closed, run_id=was.run_id, reserved_run=was.reserved_run, code=was.code)
    ask_at = was.ask_at or (closed.ask_at if away.missing_runs else ask_at)
    replaced = tuple(one for one in closed.replaced_runs if one != was.run_id)  # it is its own again
    closed = replace(closed, ask_at=ask_at, due_at=ask_at, replaced_runs=replaced)
    return closed if was.state is State.DELIVERED else _with_metadata(job, closed)


def _naming(job: Job, said: str) -> str:
    """What a person is told of a job some of whose submissions may have made runs that nobody knows of: under their
    names those are found at Runflow. The newest are named, and how many more there are: they differ in the number.
    """
    names = [name for name, _ in job.unaccounted]
    if not names:
        return said
    older = f" and {len(names) - MAX_NAMED} older ones" if len(names) > MAX_NAMED else ""
    return f"{', '.join(names[-MAX_NAMED:])}{older}: {said}"[:MAX_SAID]


@transition(*CLOSED_ORDER, State.WAITING, State.SUBMITTED, to=None, by="deliver", when="an earlier run's cost is told")
def bill_earlier(job: Job, run_id: str, cost: str, *, known_as: str | None = None) -> Job:
    """Replace what an earlier run may have cost by what Runflow billed for it; `known_as`: its name, if the item does
    not have its id.
    """
    usd = max(Decimal(cost), Decimal(0))
    spent = (
        Spent(run_id, replace(one.reservation, usd=usd)) if one.run_id == (known_as or run_id) else one
        for one in job.spent
    )
    return replace(job, spent=tuple(spent))


def _put_away(job: Job) -> Job:
    """The job without its run: that is an earlier one now, and what it cost stays counted with it. What is reserved for
    a request of which no run is known stays: it is searched for first.
    """
    spent, run_id = job.spent, None if job.reserved_unconfirmed else job.reserved_run or job.run_id
    if job.reservation is not None and run_id is not None:
        spent, job = (*spent, Spent(run_id, job.reservation)), replace(job, reservation=None)
    earlier = tuple(dict.fromkeys((*job.earlier_runs, *filter(None, (job.run_id,)))))
    return replace(job, run_id=None, reserved_run=None, earlier_runs=earlier, spent=spent)


def _spent_on(job: Job, *names: str | None) -> dict[str, Any]:
    """A job's money where a run becomes its own again, which is known by its id or by its name."""
    found = next((one for one in job.spent if one.run_id in names), None)
    return {
        "reservation": None if found is None else found.reservation,
        "spent": tuple(one for one in job.spent if one is not found),
    }


# Bookkeeping


@transition(*OPEN_ORDER, to=None, by="reconcile", when="the job is due; before its message is sent")
def extend_due(job: Job, due_at: float) -> Job:
    """Extend the due time, so that the same message is not sent again in the next minute."""
    _require(not job.waits_for_intake, "extend_due", job)
    return replace(job, due_at=due_at)


@transition(
    *CLOSED_ORDER,
    to=None,
    by="submit, deliver, reconcile",
    when="an event or a record must still be published; by reconcile, before it requests that or a late result",
)
def keep_pending(job: Job, pending: tuple[str, ...], due_at: float) -> Job:
    """Record what must still be published, and when to try again."""
    return replace(job, pending=pending, due_at=due_at)


@transition(*CLOSED_ORDER, to=None, by="submit, deliver", when="what was pending has been published")
def published(job: Job) -> Job:
    """Nothing is pending any more: unless a late result is asked for, the item leaves the due index and may expire."""
    return replace(job, pending=(), due_at=job.ask_at)
