"""Recovers uploads that no event told of."""

from __future__ import annotations

from typing import Final

from detag.domain.job import Upload
from detag.domain.metrics import Metric
from detag.domain.missed_uploads import (
    PAGE,
    Place,
    Scan,
    after_page,
    first_scan,
    is_overtaken,
    scan_of,
    scan_over,
    taken_up,
)
from detag.domain.uploads import by_encoded_key, read_upload
from detag.ports.clock import Clock
from detag.ports.errors import Conflict, Transient, Unreadable
from detag.ports.jobs import JobStore
from detag.ports.photos import Listing
from detag.ports.queue import Queue
from detag.ports.telemetry import Telemetry

NEEDED_SECONDS: Final = 25.0
"""Left before the deadline when a page is begun: up to `PAGE` jobs are looked for."""


class MissedUploads:
    """Scans the input bucket, one page at a time."""

    def __init__(
        self,
        *,
        place: Place,
        jobs: JobStore,
        listing: Listing,
        uploads: Queue,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._place = place
        self._jobs, self._listing, self._uploads = jobs, listing, uploads
        self._clock, self._telemetry = clock, telemetry
        self._next_at = 0.0

    def recover(self, deadline: float) -> int:
        """Send what one page of the input bucket holds and no job has to `submit`; how many that were.

        Sending one twice does no harm: the version is the job's identity, as it is for its event. No page is begun
        with too little time left before `deadline`, on the monotonic clock. A failure is logged: the next minute tries
        again.
        """
        if self._clock.now() < self._next_at or self._clock.monotonic() > deadline - NEEDED_SECONDS:
            return 0
        try:
            return self._page()
        except (Transient, Conflict) as error:
            self._telemetry.warning("the input bucket could not be scanned", error=str(error))
            return 0

    def state(self) -> Scan | None:
        """Where the scan stands; None before the first. Raises `Transient` or `Unreadable`."""
        return self._jobs.scan()

    def _page(self) -> int:
        now = self._clock.now()
        scan = self._scan(now)
        if now < scan.next_at:
            self._next_at = scan.next_at
            return 0
        bucket = self._place.bucket
        page = self._listing.versions(bucket, self._place.prefix, scan.after, PAGE)
        old_enough = (one.message(bucket) for one in page.latest if taken_up(scan, one, now=now))
        missed = [message for message in old_enough if self._is_missed(read_upload(message))]
        self._uploads.send(missed)
        after = after_page(scan, page, now=now)
        self._jobs.save_scan(scan, after)
        self._next_at = after.next_at
        if missed:
            self._telemetry.count(Metric.UPLOAD_RECOVERED, float(len(missed)))
            self._telemetry.info("uploads without an event found", uploads=len(missed))
        return len(missed)

    def _scan(self, now: float) -> Scan:
        """Where the scan stands. One that starts anew is saved first, as it has to go on from this time also where no
        page is read now.
        """
        try:
            stored = self._jobs.scan()
        except Unreadable as error:
            self._telemetry.count(Metric.UNREADABLE_ITEM)
            self._telemetry.warning("scan of the input bucket cannot be read, starting over", error=str(error))
            over = scan_over(self._place, self._jobs.created_at(), now=now)
            self._jobs.save_scan(None, over)
            return over
        if stored is None:
            return first_scan(self._place, self._jobs.created_at())
        scan = scan_of(self._place, stored, now=now)
        if scan.version != stored.version:
            self._jobs.save_scan(stored, scan)
            self._telemetry.info("scan of the input bucket starts anew in another place", place=scan.place)
        return scan

    def _is_missed(self, upload: Upload) -> bool:
        """Whether an upload has no job, and no newer one of its name is known. What cannot be read is there."""
        if any(self._has_job(one) for one in (upload, by_encoded_key(upload))):
            return False
        try:
            newest = self._jobs.newest_upload(upload.bucket, upload.key)
        except Unreadable:
            return False
        if is_overtaken(upload, newest):
            self._telemetry.warning("no event yet, and another upload of the name is known", job_id=upload.job_id)
            return False
        return True

    def _has_job(self, upload: Upload) -> bool:
        try:
            return self._jobs.get(upload.job_id) is not None
        except Unreadable:
            return True
