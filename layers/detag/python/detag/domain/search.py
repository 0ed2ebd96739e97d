"""The search for a run that a request without a clear answer may have made: when it is proved that none exists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from detag.domain import waits
from detag.domain.decisions import AskedElsewhere, Found, NoneFound, Proof, Search, Unanswered, Unfinished, proof
from detag.domain.job import Job
from detag.domain.runs import Run

MAX_CURSOR: Final = 2_048
MAX_TO_ASK: Final = 1_000
"""Of 64 characters at most. With keys of 1,024 bytes these keep an item below 250 KB: it may have 400 (DynamoDB
Developer Guide, "Quotas").
"""
ORDERED: Final = 2_000
"""Runs in a row that have to be older than the claim before all that follow are taken to be: a list that is newest
first in each of several groups looks in order until its first group ends.
"""


class RunSearch:
    """How far a search has come, and what it has found."""

    def __init__(self, job: Job, photo_url: str) -> None:
        self._job, self._photo_url = job, photo_url
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
        self.to_ask = list(dict.fromkeys([*ours, *self.to_ask]))

    def answered(self, run: Run | None) -> None:
        """Take in the record of the first run of `to_ask`; None where Runflow does not know it, or cannot show it."""
        run_id = self.to_ask.pop(0)
        told = Proof.UNTOLD if run is None else self._proof(run)
        if told is Proof.UNTOLD:
            self._untold.append(run_id)
            return
        self._told.add(run_id)
        if told is Proof.OURS and run is not None:
            self._found[run_id] = run

    def _proof(self, run: Run) -> Proof:
        told = proof(run, self._job, self._photo_url)
        if told is Proof.OURS and run.client_ref not in self._job.awaited:
            return Proof.FOREIGN
        if told is not Proof.OURS and (run.client_ref in self._job.awaited or run.job_id == self._job.job_id):
            why = "run names our job and " + ("is not ours" if told is Proof.FOREIGN else "does not show our photo")
            self.strangers.append((run.run_id, why))
        return told

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
            return Unanswered(f"{len(self._untold)} runs do not tell whose they are, such as {self._untold[0]}")
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
