"""The search for a run that a request without a clear answer may have made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from detag.domain import waits
from detag.domain.decisions import Found, NoneFound, Search, Unanswered, Unfinished
from detag.domain.job import Job
from detag.domain.runs import Run
from detag.ports.clock import Clock
from detag.ports.errors import Transient
from detag.ports.photos import PhotoStore
from detag.ports.runs import NotConfigured, RunPage, Runs, Unauthorized
from detag.ports.telemetry import Telemetry
from detag.services.ownership import belongs_to, client_ref_matches

MAX_PAGES: Final = 40


class ExistingRuns:
    """Pages Runflow's list of runs."""

    def __init__(self, *, runs: Runs, photos: PhotoStore, clock: Clock, telemetry: Telemetry) -> None:
        self._runs, self._photos, self._clock, self._telemetry = runs, photos, clock, telemetry

    def find_existing_run(self, job: Job, deadline: float) -> Search:
        """Every run of a job that the list shows back to its claim.

        What is newer than a search's first page cannot be ours: the time for confirmation was over by then. No page is
        asked for beyond `deadline`, on the monotonic clock.
        """
        try:
            return self._search(job, deadline)
        except (Transient, Unauthorized, NotConfigured) as error:
            return Unanswered(str(error))

    def _search(self, job: Job, deadline: float) -> Search:
        since, cursor = job.claimed_at - waits.LIST_SKEW.seconds, job.search_from
        found: list[Run] = []
        for number in range(MAX_PAGES):
            if self._clock.monotonic() > deadline:
                break
            try:
                page = self._runs.page(cursor)
            except Transient:
                if number == 0:  # the cursor may be at fault: the next search begins at the top
                    raise
                break
            found += self._proven(page, job)
            times = [run.created_at for run in page.runs if run.created_at is not None]
            cursor = page.next
            if cursor is None or (times and max(times) < since):
                return Found(found) if found else NoneFound()
        return Found(found) if found else Unfinished(cursor)

    def _proven(self, page: RunPage, job: Job) -> Iterator[Run]:
        """The runs of a page that name the job and prove to be its own; a list may show less of a run than its record.

        A record may leave `input` empty (contract section 2): then the name is enough: sending again could cost twice.
        """
        for listed in page.runs:
            if not _names(listed, job) or listed.run_id in job.earlier_runs:
                continue
            run = listed if listed.image_url and listed.client_ref else self._runs.get(listed.run_id)
            if run is None:
                raise Transient("a listed run cannot be read yet")
            if belongs_to(run, job, self._photos) or (run.image_url is None and client_ref_matches(run, job)):
                yield run
            else:
                self._telemetry.warning("run names our job and is not ours", job_id=job.job_id, run_id=run.run_id)


def _names(run: Run, job: Job) -> bool:
    return run.job_id == job.job_id or client_ref_matches(run, job)
