"""The end of a job, published as an event and a record."""

from __future__ import annotations

from typing import Any, Final

from detag.domain.decisions import still_pending
from detag.domain.job import Job, State
from detag.domain.records import NOT_A_PHOTO, advised, decides_record
from detag.domain.reopening import Request
from detag.ports.clock import Clock
from detag.ports.errors import Transient
from detag.ports.events import Events
from detag.ports.telemetry import Telemetry
from detag.services.records import Records

EVENT: Final = "event"
RECORD: Final = "record"
SCHEMA: Final = 1
"""The version of the schemas in `events/schemas/` that events follow."""
DETAIL_TYPES: Final = {
    State.DELIVERED: "Photo Delivered",
    State.FAILED: "Photo Failed",
    State.CANCELLED: "Photo Cancelled",
    State.SKIPPED: "Photo Skipped",
    State.SUPERSEDED: "Photo Superseded",
}


class Outbox:
    """Publishes the end of a job, at least once, whatever crashes.

    A delivery is published first and saved second: the output is there already. Any other end is saved first, with what
    must be published pending on the item: another worker may deliver the photo in this very moment.
    """

    def __init__(self, *, records: Records, events: Events, clock: Clock, telemetry: Telemetry) -> None:
        self._records, self._events, self._clock, self._telemetry = records, events, clock, telemetry

    def prepare(self, after: Job) -> Job:
        """Publish a delivery; returns the closed job to save, with what is pending."""
        pending = pending_for(after)
        if is_certain(after):
            pending = self.publish(after, pending)
        return still_pending(pending, now=self._clock.now()).of(after) if pending else after

    def publish(self, job: Job, pending: tuple[str, ...]) -> tuple[str, ...]:
        """Publish so much about a closed job; returns what could not be."""
        failed = []
        for what in pending:
            try:
                if what == RECORD:
                    self._records.publish(job)
                else:
                    self._events.publish(DETAIL_TYPES[job.state], summary(job))
            except Transient as error:
                self._telemetry.warning("publish failed, will retry", job_id=job.job_id, what=what, error=str(error))
                failed.append(what)
        return tuple(failed)


def is_certain(job: Job) -> bool:
    """Whether the end of a job is true before it is saved: its output is there."""
    return job.state is State.DELIVERED


def pending_for(job: Job) -> tuple[str, ...]:
    """What has to be published about a job that was just closed: nothing of what nobody meant as a photo, and no
    delivery where nothing was delivered since.
    """
    if job.reason in NOT_A_PHOTO:
        return ()
    return (RECORD,) * decides_record(job) + (EVENT,) * (not job.is_delivered_before)


def summary(job: Job) -> dict[str, Any]:
    """A closed job as its event and its record have it: plain JSON values, nothing secret; if it was not delivered, in
    plain words what that means and what to do.
    """
    reason = job.reason
    return {
        "schema": SCHEMA,
        "job_id": job.job_id,
        "bucket": job.upload.bucket,
        "key": job.upload.key,
        "version_id": job.upload.version_id,
        "state": job.state.value,
        "reason": reason.value if reason else None,
        "detail": advised(job, job.detail),
        "decision": job.decision,
        "code": job.code,
        "run_id": job.run_id,
        "cost": job.cost,
        "reused_from": job.reused_from,
        "not_reused": job.not_reused,
        "partial": job.partial,
        "outputs": list(job.outputs),
        "leftovers": list(job.leftovers),
        "means": reason.means if reason else None,
        "what_to_do": advised(job, reason.do if reason else None),
        "earlier_runs": list(job.earlier_runs),
        "total_cost": format(job.total_cost, "f"),
        "reopened": reopened(job.requests[-1]) if job.requests else None,
    }


def reopened(request: Request) -> dict[str, Any]:
    """A job's latest request as its event has it."""
    return {"request": request.request_id, "how": request.how.value, "by": request.by, "at": request.time}
