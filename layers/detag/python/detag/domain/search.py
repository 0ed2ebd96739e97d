"""The search for a run that a request without a clear answer may have made: whose run it is that Runflow shows, when it
is proved that none exists, and what is to be done about the job then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any, Final

from detag.domain import waits
from detag.domain.backoff import Uniform
from detag.domain.decisions import (
    GOOD,
    OTHER_ACCOUNT,
    SENT_AGAIN,
    Adopt,
    Step,
    Unanswered,
    closed_again,
    not_accepted,
    usefulness,
)
from detag.domain.job import CLOSED_AGAIN, Job, close_again, fail, keep_unconfirmed, move, resend, start_over
from detag.domain.money import day_of
from detag.domain.reasons import Reason
from detag.domain.runs import Run, Shown, shown_by
from detag.domain.values import dataclass

MAX_CURSOR: Final = 2_048
MAX_TO_ASK: Final = 1_000
"""Of 64 characters at most. With keys of 1,024 bytes these keep an item below 250 KB: it may have 400 (DynamoDB
Developer Guide, "Quotas").
"""
ORDERED: Final = 2_000
"""Runs in a row that have to be older than the claim before all that follow are taken to be: a list that is newest
first in each of several groups looks in order until its first group ends.
"""


# What it came to, and what that leads to


@dataclass(frozen=True, slots=True)
class Found:
    """Runs of the job, from the run list; at least one."""

    runs: Sequence[Run]


@dataclass(frozen=True, slots=True)
class NoneFound:
    """The run list was read back to the claim, and shows no run of the job."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The time was over before the list was read back to the claim, and every run asked for whose entry does not tell
    whose it is; it goes on at a cursor.
    """

    cursor: str | None
    to_ask: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AskedElsewhere:
    """The run list shows none, and was read with a key of another account than the photo was sent with, or of one that
    is not known: that proves nothing, and neither does where the list stopped.
    """


@dataclass(frozen=True, slots=True)
class NotSearched:
    """Intake is paused for a reason for which no search could succeed."""

    why: str


Search = Found | NoneFound | Unfinished | Unanswered | AskedElsewhere | NotSearched


def refuse_search(refusal: Reason | None) -> NotSearched | None:
    """Why a search could not succeed while intake refuses photos for a reason; None where it may. It costs nothing, and
    may find a paid output, so that it goes on while only money, or an operator, keeps intake paused.
    """
    match refusal:
        case Reason.RUNFLOW_DOWN | Reason.UNAUTHORIZED | Reason.NOT_CONFIGURED:
            return NotSearched(f"intake is paused: {refusal}")
    return None


def after_list(job: Job, search: Search, *, may_send: bool, now: float, uniform: Uniform) -> Step | Adopt:
    """What a search for the run of an unconfirmed job leads to. `may_send`: intake lets the job through."""
    match search:
        case NotSearched(why):
            pause = waits.SEARCH_AGAIN.seconds(job.tries, uniform)
            since = job.search_since + pause if job.search_since else 0.0  # this time does not count, what did stays
            return Step(move=move(keep_unconfirmed, now + pause, since=since), decision="unconfirmed", why=why)
        case Unanswered() | Unfinished() | AskedElsewhere():
            return _search_on(job, search, now, uniform)
        case NoneFound() if job.only_asks:
            return Step(move=move(close_again, now), decision=CLOSED_AGAIN, why="no run exists")
        case NoneFound() if job.unclear_posts >= waits.MAX_UNCLEAR:
            return not_accepted(f"{job.unclear_posts} requests, the latest {job.client_ref}", now)
        case NoneFound() if why_not := _why_not_again(job, may_send, now):
            return Step(move=move(start_over, now), decision="started over", why=f"no run exists, and {why_not}")
        case NoneFound():
            again = move(resend, lease_until=now + waits.LEASE.seconds)
            return Step(move=again, decision=SENT_AGAIN, why="no run exists")
        case Found(runs):
            first, *others = sorted(runs, key=usefulness)
            shown = any(run.client_ref == job.client_ref for run in runs)
            beside = runs if job.keeps_money_from(first.client_ref) and not shown else others
            paid = tuple(run for run in beside if run.charged or not run.status.terminal)
            return Adopt(first.run_id, paid, first.client_ref, latest_is_shown=shown)


def _why_not_again(job: Job, may_send: bool, now: float) -> str | None:
    """Why the same bytes are not sent again; None where they may be."""
    if not may_send:
        return "intake is paused"
    if job.body is None or job.url_expires_at - now <= waits.URL_MARGIN.seconds:
        return "the URL expires"
    if job.reservation is None or job.reservation.day != day_of(now):
        return "the day is over"
    if job.shares_picture and job.picture_until - now <= waits.LEASE.seconds:
        return "another may pay for an equal photo"  # the next claim finds that out
    return None


def _search_on(job: Job, search: Unanswered | Unfinished | AskedElsewhere, now: float, uniform: Uniform) -> Step:
    why, goes_on = OTHER_ACCOUNT, dict[str, Any](reason=Reason.OTHER_ACCOUNT)
    match search:
        case Unanswered(why, cursor, to_ask):
            goes_on = {"search_from": cursor, "to_ask": to_ask}
        case Unfinished(cursor, to_ask):
            why, goes_on = "the run list is long, the search goes on", {"search_from": cursor, "to_ask": to_ask}
    troubled = not isinstance(search, Unfinished)
    since = job.search_since or now
    if now - since >= waits.SEARCH.seconds and job.only_asks:
        return closed_again(why, now)
    if now - since >= waits.SEARCH.seconds:
        closed = move(fail, Reason.NOT_CONFIRMED, why, now, free=False)
        return Step(move=closed, decision="given up", why=Reason.NOT_CONFIRMED.value, warns=True)
    later = now + (waits.SEARCH_AGAIN.seconds(job.tries, uniform) if troubled else 0.0)
    again = move(keep_unconfirmed, later, since=since, **goes_on)
    return Step(move=again, decision="unconfirmed", why=why, warns=troubled)


# Whose run it is


NOT_PROVED: Final = "does not prove to be ours"


class Proof(Enum):
    """What the record of a run, or its entry in the list, tells of whose it is."""

    OURS = "a submission of the job made it"
    FOREIGN = "somebody else made it"
    UNTOLD = "it does not tell"


def proof(run: Run, job: Job, photo_url: str) -> Proof:
    """Whether a run is one of a job: by its name, its time, its photo and its configuration.

    Callback secret and run list belong to the whole organisation: others can name our jobs. A record may leave fields
    out, and show an asset link in place of the photo's URL (contract sections 2 and 16.5): then the others decide, for
    to take it for somebody else's could mean to pay twice. What a server may have written differently proves nothing
    against an awaited name: the URL of an unknown host, another configuration, another time.
    """
    ratio, named, in_time = job.awaited.get(run.client_ref or ""), run.client_ref is not None, _in_time(run, job)
    if run.job_id not in (None, job.job_id) or (named and not job.has_submission(run.client_ref or "")):
        return Proof.FOREIGN
    if ratio is None and not in_time:
        return Proof.FOREIGN
    shown = shown_by(run, photo_url)
    names_ours = ratio is not None or (not named and (run.job_id is not None or run.hides_name))
    if shown is Shown.OTHER or (shown is Shown.UNTOLD and not names_ours):
        return Proof.FOREIGN
    fits = ratio is None or (in_time and run.aspect_ratio in (ratio, None))
    return Proof.OURS if named and shown is Shown.PHOTO and fits else Proof.UNTOLD


def _in_time(run: Run, job: Job) -> bool:
    if run.created_at is None:
        return True
    latest = run.client_ref in (None, job.client_ref)
    earliest = (job.claimed_at if latest else job.created_at) - waits.LIST_SKEW.seconds
    return earliest <= run.created_at and (not latest or run.created_at <= job.url_expires_at + waits.LIST_SKEW.seconds)


class Whose(Enum):
    """What a run is to a job whose name it bears."""

    OWN = "it is the job's run"
    EARLIER = "it is an earlier run of the job: looked at like an unmatched one"
    NEW = "the job has no run, and the answer to the POST that the run bears the name of is not known: adopted"
    UNMATCHED = "unmatched, and charged to the day budget if Runflow charged it"
    UNTOLD = "it may be that of a POST whose answer is not known: kept on the item, and asked for"
    FOREIGN = "not proved to be the job's: counted, and left alone"


def own_run(job: Job, run_id: str, client_ref: str | None) -> Whose:
    """What a run that proved to belong to a job is to it; `client_ref`: the submission that made it."""
    if run_id == job.run_id:
        return Whose.OWN
    if run_id in job.earlier_runs:
        return Whose.EARLIER
    open_for_it = job.run_id is None and (not job.state.terminal or job.reason is Reason.NOT_CONFIRMED)
    return Whose.NEW if open_for_it and client_ref in job.awaited else Whose.UNMATCHED


def whose_run(job: Job, run_id: str, run: Run | None, photo_url: Callable[[], str]) -> Whose:
    """What a run that a message names is to a job; `run` is None where Runflow does not know it. `photo_url` gives a
    URL of the job's photo, for the proof that a run needs whose id is not on the item.
    """
    known = own_run(job, run_id, run.client_ref if run else None)
    if known in (Whose.OWN, Whose.EARLIER):
        return known
    if known is Whose.NEW and run is not None and not job.state.terminal:
        fails = run.status not in GOOD and run.client_ref != job.client_ref
        if fails or job.keeps_money_from(run.client_ref):
            known = Whose.UNMATCHED  # a failure would lead to a retry while the latest request is unconfirmed
    match Proof.FOREIGN if run is None else proof(run, job, photo_url()):
        case Proof.OURS:
            return known
        case Proof.UNTOLD if job.awaited:
            return Whose.UNTOLD
    return Whose.FOREIGN


# The search


class RunSearch:
    """How far a search has come, and what it has found."""

    def __init__(self, job: Job, photo_url: str) -> None:
        self._job, self._photo_url = job, photo_url
        self.client_ref = job.client_ref
        """The name of the submission that a run is looked for by first."""
        self.cursor = job.search_from
        self.to_ask = list(job.to_ask or (() if job.search_from else job.missing_runs))
        """By id, in this order: in a new search, at first the runs that are said to be the job's."""
        self.is_new = job.search_from is None and not job.to_ask
        self.is_read = job.search_from is None and bool(job.to_ask)
        """Whether nothing is left of the list."""
        self._untold: list[str] = []
        self._without_id = 0
        self.account = job.account
        """Whose list is to be read: of another's, what it shows counts, and what it does not show tells nothing."""
        self._foreign = False
        """Whether a page was another account's."""
        self._told: set[str] = set()
        self._found: dict[str, Run] = {}
        self._order = _Order()
        self.strangers: list[tuple[str, str]] = []
        """Runs that name the job and did not prove to be its own: the id of each, and why not."""

    def restart(self) -> None:
        """Begin at the top the next time."""
        self.cursor, self.to_ask, self._untold = None, [], []

    def read(self, runs: Sequence[Run], following: str | None, without_id: int = 0, *, foreign: bool = False) -> None:
        """Take in a page of the list, which `following` continues; `without_id`: entries whose id cannot be read;
        `foreign`: it may be another account's.
        """
        self._foreign = self._foreign or foreign
        earliest = self._job.claimed_at - waits.LIST_SKEW.seconds
        self._order.read((entry.created_at for entry in runs), earliest)
        self.judge(runs)
        self._without_id += without_id
        self.cursor = following
        self.is_read = following is None or self._order.is_beyond

    def judge(self, entries: Iterable[Run]) -> None:
        """Take in entries of the list. What they do not tell is asked for, those with a name of ours first."""
        ours: list[str] = []
        for entry in entries:
            if entry.run_id in self._told or entry.run_id in self._job.earlier_runs:
                continue
            match self._proof(entry):
                case Proof.OURS if entry.image_url:
                    self._found[entry.run_id] = entry
                case Proof.UNTOLD if entry.client_ref is None:
                    self.to_ask.append(entry.run_id)
                case Proof.OURS | Proof.UNTOLD:  # the record may tell more
                    ours.append(entry.run_id)
                case Proof.FOREIGN if self._is_cut(entry):
                    ours.append(entry.run_id)
        self.to_ask = list(dict.fromkeys([*ours, *self.to_ask]))

    def answered(self, run: Run | None) -> None:
        """Take in the record of the first run of `to_ask`; None where Runflow does not know it, or cannot show it."""
        run_id = self.to_ask.pop(0)
        told = Proof.UNTOLD if run is None else self._proof(run)
        if told is Proof.UNTOLD:
            self._untold += [] if run_id in self._untold else [run_id]
            return
        self._told.add(run_id)
        if told is Proof.OURS and run is not None:
            self._found[run_id] = run

    def _proof(self, run: Run) -> Proof:
        told = proof(run, self._job, self._photo_url)
        if told is Proof.OURS and run.client_ref not in self._job.awaited:
            return Proof.FOREIGN
        if told is not Proof.OURS and (run.client_ref in self._job.awaited or run.job_id == self._job.job_id):
            why = "run names our job and " + ("is not ours" if told is Proof.FOREIGN else NOT_PROVED)
            self.strangers.append((run.run_id, why))
        return told

    def _is_cut(self, entry: Run) -> bool:
        """Whether the name of an entry may be the beginning of one of ours, and nothing else tells."""
        return entry.job_id is None and any(name.startswith(entry.client_ref or "-") for name in self._job.awaited)

    def result(self, trouble: str = "") -> Search:
        """What the search has come to. `trouble`: why Runflow did not tell."""
        found = list(self._found.values())
        is_over = self.is_read and not self.to_ask and not trouble
        if any(run.may_give_output for run in found):
            return Found(found)
        if self._foreign:
            return AskedElsewhere()
        if found and is_over and not (self._untold or self._without_id):
            return Found(found)
        if self._without_id:  # nothing to ask for by: next from the top
            return Unanswered(trouble or f"entries of the run list without an id: {self._without_id}")
        if is_over and self._untold:  # next from the top: what the list does not show any more need not tell
            first, *others = self._untold
            more = f", nor do {len(others)} more" if others else ""
            return Unanswered(f"run {first} does not tell whose it is{more}")
        if is_over:
            return NoneFound()
        to_ask = tuple(dict.fromkeys([*self._found, *self.to_ask, *self._untold]))
        if not self.is_read and self.cursor is None:  # not one page was read
            to_ask = ()
        if len(self.cursor or "") > MAX_CURSOR or len(to_ask) > MAX_TO_ASK:
            return Unanswered(trouble or "the run list is too long to be read in parts")
        cursor = None if self.is_read else self.cursor
        return Unanswered(trouble, cursor, to_ask) if trouble else Unfinished(cursor, to_ask)


class _Order:
    """Whether a list comes newest first, as far as it was read: that is checked, and not believed."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._older = 0
        self._holds = True

    def read(self, times: Iterable[float | None], since: float) -> None:
        """Take in the times of the entries of a page; a run that was made before `since` is older than the claim."""
        for time in times:
            if time is None:
                continue
            self._holds = self._holds and (self._last is None or time <= self._last)
            self._older = self._older + 1 if time < since else 0
            self._last = time

    @property
    def is_beyond(self) -> bool:
        """Whether all that follows is taken to be older."""
        return self._holds and self._older >= ORDERED
