"""The end of a job, told to whoever wants to know."""

from __future__ import annotations

import json
from typing import Any, Final

from detag.domain.job import Job, State, keep_pending, published
from detag.domain.naming import readable, record_key
from detag.domain.reasons import ADVICE
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
PUBLISH_RETRY_SECONDS: Final = 300.0


class Outbox:
    """Tells of the end of a job, at least once, whatever crashes.

    A delivery is told first and saved second: the picture is there already. A failure is saved first, with what must be
    told pending on the row: another worker may deliver the photo in this very moment.
    """

    def __init__(self, jobs: JobStore, photos: PhotoStore, events: Events, clock: Clock, telemetry: Telemetry) -> None:
        self._jobs, self._photos, self._events = jobs, photos, events
        self._clock, self._telemetry = clock, telemetry

    def close(self, before: Job, after: Job) -> Job:
        """Close a job for good. Raises `Conflict` where the row moved meanwhile, or `Transient`."""
        certain = after.state not in RECORDED
        unpaid = self._send(after, pending_for(after)) if certain else pending_for(after)
        if unpaid:
            after = keep_pending(after, unpaid, self._clock.now() + PUBLISH_RETRY_SECONDS)
        self._jobs.save(before, after)
        self._telemetry.count(after.state.value.title())
        self._telemetry.info(
            f"photo {after.state}",
            job_id=after.job_id,
            key=readable(after.upload.key),
            reason=after.reason,
            detail=after.detail,
        )
        return after if certain else self.pay(after)

    def pay(self, job: Job) -> Job:
        """Send what a closed job owes. Raises `Conflict` or `Transient`; what is still pending stays due."""
        unpaid = self._send(job, job.pending)
        if unpaid:
            paid = keep_pending(job, unpaid, self._clock.now() + PUBLISH_RETRY_SECONDS)
        else:
            paid = published(job)
        self._jobs.save(job, paid)
        return paid

    def _send(self, job: Job, pending: tuple[str, ...]) -> tuple[str, ...]:
        unpaid = []
        for debt in pending:
            try:
                if debt == RECORD:
                    self._photos.put_record(record_key(job.upload.key, job.job_id), record(job))
                else:
                    self._events.publish(DETAIL_TYPES[job.state], summary(job))
            except Transient as error:
                self._telemetry.warning("pending, to be sent later", job_id=job.job_id, debt=debt, error=str(error))
                unpaid.append(debt)
        return tuple(unpaid)


def pending_for(job: Job) -> tuple[str, ...]:
    """What has to be sent about a job that was just closed."""
    return (RECORD,) * (job.state in RECORDED) + (EVENT,) * (job.state in DETAIL_TYPES)


def summary(job: Job) -> dict[str, Any]:
    """A closed job as its event tells it: plain JSON values, nothing secret."""
    return {
        "job_id": job.job_id,
        "bucket": job.upload.bucket,
        "key": job.upload.key,
        "version_id": job.upload.version_id,
        "state": job.state.value,
        "reason": job.reason.value if job.reason else None,
        "detail": job.detail,
        "code": job.code,
        "run_id": job.run_id,
        "cost": job.cost,
        "partial": job.partial,
        "outputs": list(job.outputs),
    }


def record(job: Job) -> bytes:
    """What is written to `_failed/`: the summary, and in plain words what it means and what to do (UTF-8 JSON)."""
    advice = ADVICE[job.reason] if job.reason else None
    told = summary(job) | {"means": advice.means if advice else None, "what_to_do": advice.do if advice else None}
    return json.dumps(told, ensure_ascii=False, indent=2).encode()
