"""The search for a run that a request without a clear answer may have made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from detag.domain import waits
from detag.domain.decisions import Found, NoneFound, Proof, Search, Unanswered, Unfinished, proof
from detag.domain.job import Job
from detag.domain.runs import Run
from detag.ports.clock import Clock
from detag.ports.errors import Transient
from detag.ports.items import MAX_CURSOR, MAX_TO_ASK
from detag.ports.photos import PhotoStore
from detag.ports.runs import NotConfigured, RunPage, Runs, Unauthorized
from detag.ports.telemetry import Telemetry
from detag.services.ownership import photo_url

MAX_PAGES: Final = 40
MAX_ASKED: Final = 100
"""Runs that one search asks for by id; the next goes on with the others."""
ORDERED: Final = 2_000
"""Runs in a row that have to be older than the claim before all that follow are taken to be: a list that is newest
first in each of several groups looks in order until its first group ends.
"""


class ExistingRuns:
    """Pages Runflow's list of runs, and asks for what an entry does not tell."""

    def __init__(self, *, runs: Runs, photos: PhotoStore, clock: Clock, telemetry: Telemetry) -> None:
        self._runs, self._photos, self._clock, self._telemetry = runs, photos, clock, telemetry

    def find_existing_run(self, job: Job, deadline: float) -> Search:
        """Every run of a job that Runflow shows, back to its claim.

        What is newer than a search's first page cannot be ours: the time for confirmation was over by then. Nothing is
        asked for beyond `deadline`, on the monotonic clock.
        """
        search = _Search(job, photo_url(job, self._photos), self._telemetry)
        try:
            if search.is_new:
                search.judge(self._named(job))
                self._ask(search, deadline)
            self._read_list(search, deadline)
            self._ask(search, deadline)
        except (Transient, Unauthorized, NotConfigured) as error:
            return search.result(str(error))
        return search.result()

    def _named(self, job: Job) -> Sequence[Run]:
        """What Runflow's filter finds. It is a second witness beside the list: it may not be understood."""
        try:
            return self._runs.named(job.client_ref)
        except (Transient, Unauthorized):
            return ()

    def _ask(self, search: _Search, deadline: float) -> None:
        for _ in range(MAX_ASKED):
            if not search.to_ask or self._clock.monotonic() > deadline:
                return
            search.answered(self._runs.get(search.to_ask[0]))

    def _read_list(self, search: _Search, deadline: float) -> None:
        for number in range(MAX_PAGES):
            if search.is_read or len(search.to_ask) >= MAX_TO_ASK or self._clock.monotonic() > deadline:
                return
            try:
                page = self._runs.page(search.cursor)
            except Transient:
                if number == 0:  # the cursor may be at fault: the next search begins at the top
                    search.restart()
                    raise
                return
            search.read(page)


class _Search:
    """How far a search has come, and what it has found."""

    def __init__(self, job: Job, photo: str, telemetry: Telemetry) -> None:
        self._job, self._photo, self._telemetry = job, photo, telemetry
        self.cursor = job.search_from
        self.to_ask = list(job.to_ask)
        """By id, in this order."""
        self.is_new = job.search_from is None and not job.to_ask
        self.is_read = job.search_from is None and bool(job.to_ask)
        """Whether nothing is left of the list."""
        self._untold: list[str] = []
        self._without_id = 0
        self._told: set[str] = set()
        self._found: dict[str, Run] = {}
        self._order = _Order()

    def restart(self) -> None:
        """Begin at the top the next time."""
        self.cursor, self.to_ask, self._untold = None, [], []

    def read(self, page: RunPage) -> None:
        """Take in a page of the list."""
        earliest = self._job.claimed_at - waits.LIST_SKEW.seconds
        self._order.read((entry.created_at for entry in page.runs), earliest)
        self.judge(page.runs)
        self._without_id += page.without_id
        self.cursor = page.next
        self.is_read = page.next is None or self._order.is_beyond

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
        """Take in the record of the first run of `to_ask`; None where Runflow does not know it."""
        run_id = self.to_ask.pop(0)
        told = Proof.UNTOLD if run is None else self._proof(run)
        if told is Proof.UNTOLD:
            self._untold.append(run_id)
            return
        self._told.add(run_id)
        if told is Proof.OURS and run is not None:
            self._found[run_id] = run

    def _proof(self, run: Run) -> Proof:
        told = proof(run, self._job, self._photo)
        if told is Proof.OURS and run.client_ref not in self._job.awaited:
            return Proof.FOREIGN
        if told is not Proof.OURS and (run.client_ref in self._job.awaited or run.job_id == self._job.job_id):
            why = "run names our job and " + ("is not ours" if told is Proof.FOREIGN else "does not show our photo")
            self._telemetry.warning(why, job_id=self._job.job_id, run_id=run.run_id)
        return told

    def result(self, trouble: str = "") -> Search:
        """What the search has come to. `trouble`: why Runflow did not tell."""
        found = list(self._found.values())
        is_over = self.is_read and not self.to_ask and not trouble
        if any(run.may_give_output for run in found) or (found and is_over and not (self._untold or self._without_id)):
            return Found(found)
        if self._without_id:  # nothing to ask for by: next from the top
            return Unanswered(trouble or f"{self._without_id} entries of the run list have no id")
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
        self._last = math.inf
        self._older = 0
        self._holds = True

    def read(self, times: Iterable[float | None], since: float) -> None:
        """Take in the times of the entries of a page; a run that was made before `since` is older than the claim."""
        for time in times:
            if time is None:
                continue
            self._holds = self._holds and time <= self._last
            self._older = self._older + 1 if time < since else 0
            self._last = time

    @property
    def is_beyond(self) -> bool:
        """Whether all that follows is taken to be older."""
        return self._holds and self._older >= ORDERED
