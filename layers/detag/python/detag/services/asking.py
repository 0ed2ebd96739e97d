"""A reopened job: what became of its runs is found out before anything is sent again."""

from __future__ import annotations

from dataclasses import replace

from detag.domain.backoff import Uniform
from detag.domain.decisions import Adopt, UseRun, after_asking, stands_for, uncounted
from detag.domain.job import Job
from detag.domain.reasons import Reason
from detag.ports.clock import Clock
from detag.ports.photos import Archived, Denied, Missing, PhotoStore, PreconditionFailed
from detag.services.budget import Budget
from detag.services.existing_runs import ExistingRuns
from detag.services.sending import Sending
from detag.services.steps import Steps
from detag.services.submission import POST_SECONDS


class Asking:
    """From a reopened job to one of its runs, to the next submission, or back to where it was closed."""

    def __init__(
        self,
        *,
        existing: ExistingRuns,
        photos: PhotoStore,
        sending: Sending,
        steps: Steps,
        budget: Budget,
        clock: Clock,
        uniform: Uniform,
    ) -> None:
        self._existing, self._photos, self._sending = existing, photos, sending
        self._steps, self._budget, self._clock, self._uniform = steps, budget, clock, uniform

    def ask_for_runs(self, job: Job, deadline: float) -> None:
        """Ask Runflow about a job's runs, and take the step that the answers lead to. Raises `Conflict` or
        `Transient`.
        """
        found = self._existing.known_runs(job, deadline - POST_SECONDS)
        for run in uncounted(job, found):
            self._budget.charge_unmatched(job, run)
        decided = after_asking(job, found, now=self._clock.now(), uniform=self._uniform)
        if isinstance(decided, Adopt):
            self._budget.adopt_found(self._with_metadata(job), decided)
            return
        if isinstance(decided, UseRun):
            job = self._with_metadata(job)
            if not stands_for(job, decided.run):
                self._budget.charge_unmatched(job, decided.run)
            decided = decided.step
        after = self._steps.take(job, decided)
        if after.reason is Reason.READY:
            self._sending.send_photo(after, deadline)

    def _with_metadata(self, job: Job) -> Job:
        """The job with its photo's own metadata, for its outputs: once delivered, it does not keep it."""
        upload = job.upload
        try:
            head = self._photos.read_head(upload.bucket, upload.key, upload.version_id, 1, upload.etag or None)
        except (Missing, Denied, Archived, PreconditionFailed):
            return job
        return replace(job, source_metadata=tuple(sorted(head.metadata.items())))
