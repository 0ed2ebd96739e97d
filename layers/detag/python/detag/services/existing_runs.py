"""The search for a run that a request without a clear answer may have made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from detag.domain import waits
from detag.domain.decisions import DOWN_AFTER, OTHER_ACCOUNT, Unanswered
from detag.domain.job import Job
from detag.domain.runs import Run, same_account
from detag.domain.search import MAX_TO_ASK, NOT_PROVED, Proof, RunSearch, Search, proof
from detag.ports.clock import Clock
from detag.ports.errors import Transient
from detag.ports.photos import PhotoStore
from detag.ports.runs import NotConfigured, OtherAccount, Runs, Unauthorized
from detag.ports.telemetry import Telemetry

MAX_PAGES: Final = 40
MAX_ASKED: Final = 100
"""Runs that one search asks for by id; the next goes on with the others."""


class ExistingRuns:
    """Pages Runflow's list of runs, and asks for what an entry does not tell."""

    def __init__(self, *, runs: Runs, photos: PhotoStore, clock: Clock, telemetry: Telemetry) -> None:
        self._runs, self._photos, self._clock, self._telemetry = runs, photos, clock, telemetry

    def find_existing_run(self, job: Job, deadline: float) -> Search:
        """Every run of a job that Runflow shows, back to its claim.

        What is newer than a search's first page cannot be ours: the time for confirmation was over by then. Nothing is
        asked for beyond `deadline`, on the monotonic clock.
        """
        search = RunSearch(job, self._photo_url(job))
        try:
            self._look(search, deadline)
        except (Transient, Unauthorized, NotConfigured) as error:
            return search.result(str(error))
        finally:
            for run_id, why in search.strangers:
                self._telemetry.warning(why, job_id=job.job_id, run_id=run_id)
        return search.result()

    def known_runs(self, job: Job, deadline: float) -> Sequence[Run] | Unanswered:
        """What Runflow tells of every run of a job, newest first; and of those that it finds under the names of
        submissions without a clear answer. What else bears a name of the job is not its own: the run of an answered
        submission is known by its id. A key of another account cannot show that such a POST made no run.
        """
        found: list[Run] = []
        try:
            for run_id in job.runs:
                if self._clock.monotonic() > deadline:
                    return Unanswered("too little time is left")
                if (run := self._runs.get(run_id, account=job.account)) is not None:
                    found.append(run)
            foreign = bool(job.awaited) and not same_account(self._runs.account(), job.account)
            photo_url = self._photo_url(job)
            for run, is_named in self._other_runs(job):
                told = proof(run, job, photo_url)
                if told is Proof.OURS:
                    found.append(run)
                elif told is Proof.UNTOLD and (is_named or job.awaited):
                    return Unanswered(f"run {run.run_id} names our job and {NOT_PROVED}")
        except (Transient, Unauthorized, NotConfigured, OtherAccount) as error:
            return Unanswered(str(error))
        return found if found or not foreign else Unanswered(OTHER_ACCOUNT)

    def _other_runs(self, job: Job) -> Iterator[tuple[Run, bool]]:
        """The records of runs that may be a job's: of its missing runs, and of those that Runflow's filter finds under
        the name of a submission without a clear answer, and whether it is one of the latter. Raises `Transient` for a
        missing run that is not known: that is no proof that it was not charged.
        """
        for run_id in job.missing_runs:
            run = self._runs.get(run_id, account=job.account)
            if run is None:
                raise Transient(f"Runflow does not know run {run_id}, which is said to be the job's")
            yield run, False
        for name in job.awaited:
            for entry in self._named(name):
                other = entry.run_id in job.runs or entry.client_ref not in (None, name)
                run = None if other else self._runs.get(entry.run_id)
                if run is not None and run.client_ref == name:
                    yield run, True

    def _photo_url(self, job: Job) -> str:
        upload = job.upload
        return self._photos.presign(upload.bucket, upload.key, upload.version_id, int(waits.COMPARED_URL.seconds))

    def _look(self, search: RunSearch, deadline: float) -> None:
        if search.is_new:
            search.judge(self._named(search.client_ref))
            self._ask(search, deadline)
        self._read_list(search, deadline)
        outage = self._ask(search, deadline)
        if outage is not None:
            raise outage

    def _named(self, client_ref: str) -> Sequence[Run]:
        """What Runflow's filter finds. It is a second witness beside the list: it may not be understood."""
        try:
            return self._runs.named(client_ref)
        except (Transient, Unauthorized):
            return ()

    def _ask(self, search: RunSearch, deadline: float) -> Transient | Unauthorized | None:
        """Ask for what entries do not tell. A record that cannot be read does not tell either, and the others are asked
        for; what the last of several in a row failed with is returned.
        """
        failures = 0
        for _ in range(MAX_ASKED):
            if not search.to_ask or self._clock.monotonic() > deadline:
                break
            try:
                run, failures = self._runs.get(search.to_ask[0]), 0
            except (Transient, Unauthorized) as error:
                run, failures = None, failures + 1
                if failures == DOWN_AFTER:
                    search.answered(None)
                    return error
            search.answered(run)
        return None

    def _read_list(self, search: RunSearch, deadline: float) -> None:
        for number in range(MAX_PAGES):
            if search.is_read or len(search.to_ask) >= MAX_TO_ASK or self._clock.monotonic() > deadline:
                return
            try:
                page = self._runs.page(search.cursor, search.account)
            except Transient:
                if number == 0:  # the cursor may be at fault: the next search begins at the top
                    search.restart()
                    raise
                return
            search.read(page.runs, page.next, page.without_id, foreign=page.foreign)
