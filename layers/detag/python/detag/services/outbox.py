"""The end of a job, published as an event and a record."""

from __future__ import annotations

import json
from typing import Any, Final

from detag.domain.decisions import still_pending
from detag.domain.job import Job, State
from detag.domain.naming import record_key
from detag.ports.clock import Clock
from detag.ports.errors import Transient
from detag.ports.events import Events
from detag.ports.jobs import JobStore
from detag.ports.photos import PhotoStore
from detag.ports.telemetry import Telemetry

EVENT: Final = "event"
RECORD: Final = "record"
DETAIL_TYPES: Final = {
    State.DELIVERED: "Photo Delivered",
    State.FAILED: "Photo Failed",
    State.CANCELLED: "Photo Cancelled",
}
RECORDED: Final = (State.FAILED, State.CANCELLED)


class Outbox:
    """Publishes the end of a job, at least once, whatever crashes.

    A delivery is published first and saved second: the output is there already. A failure is saved first, with what
    must be published pending on the item: another worker may deliver the photo in this very moment.
    """

    def __init__(
        self, *, jobs: JobStore, photos: PhotoStore, events: Events, clock: Clock, telemetry: Telemetry
    ) -> None:
        self._jobs, self._photos, self._events = jobs, photos, events
        self._clock, self._telemetry = clock, telemetry

    def prepare(self, before: Job, after: Job) -> Job:
        """Publish what is certain about a job that is being closed; returns the job to save, with what is pending."""
        certain = after.state not in RECORDED
        pending = self.publish(after, pending_for(after)) if certain else pending_for(after)
        repaired = before.state in RECORDED
        if repaired:  # only once it is saved: until then the failure's record is true
            pending += (RECORD,)
        return still_pending(pending, now=self._clock.now()).of(after) if pending else after

    def publish(self, job: Job, pending: tuple[str, ...]) -> tuple[str, ...]:
        """Publish so much about a closed job; returns what could not be."""
        failed = []
        for what in pending:
            try:
                if what == RECORD and job.state not in RECORDED:
                    self._photos.remove(record_key(job.upload.key, job.job_id))
                elif what == RECORD:
                    self._photos.put_record(record_key(job.upload.key, job.job_id), record(job))
                else:
                    self._events.publish(DETAIL_TYPES[job.state], summary(job))
            except Transient as error:
                self._telemetry.warning("publish failed, will retry", job_id=job.job_id, what=what, error=str(error))
                failed.append(what)
        return tuple(failed)

    def withdraw_record(self, job: Job) -> None:
        """A worker that repaired the job meanwhile may have removed its record before this one wrote it."""
        present = self._jobs.get(job.job_id) if RECORD in job.pending else None
        if present is not None and present.state not in RECORDED:
            self._photos.remove(record_key(job.upload.key, job.job_id))


def follows(before: Job, after: Job) -> bool:
    """Whether the end of a job is published after it was saved: a failure, or the repair of one."""
    return before.state in RECORDED or after.state in RECORDED


def pending_for(job: Job) -> tuple[str, ...]:
    """What has to be published about a job that was just closed."""
    return (RECORD,) * (job.state in RECORDED) + (EVENT,) * (job.state in DETAIL_TYPES)


def summary(job: Job) -> dict[str, Any]:
    """A closed job as its event and its record have it: plain JSON values, nothing secret; if it was not delivered, in
    plain words what that means and what to do.
    """
    reason = job.reason
    return {
        "job_id": job.job_id,
        "bucket": job.upload.bucket,
        "key": job.upload.key,
        "version_id": job.upload.version_id,
        "state": job.state.value,
        "reason": reason.value if reason else None,
        "detail": job.detail,
        "decision": job.decision,
        "code": job.code,
        "run_id": job.run_id,
        "cost": job.cost,
        "partial": job.partial,
        "outputs": list(job.outputs),
        "leftovers": list(job.leftovers),
        "means": reason.means if reason else None,
        "what_to_do": reason.do if reason else None,
    }


def record(job: Job) -> bytes:
    """What is written to `_failed/`: the summary, as UTF-8 JSON."""
    return json.dumps(summary(job), ensure_ascii=False, indent=2).encode()
