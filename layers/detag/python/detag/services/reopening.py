"""Opens closed jobs again, because somebody asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from detag.domain.decisions import Idle, Step, reopening, taking_up
from detag.domain.job import Job, Upload, new, sequencer_above
from detag.domain.metrics import Metric
from detag.domain.picture import MAX_KEY_BYTES
from detag.domain.reopening import Refusal, Reopen, Request, Way, ids_of, read_reopen
from detag.domain.uploads import by_encoded_key, sequencer_of
from detag.ports.clock import Clock
from detag.ports.errors import Conflict, Transient
from detag.ports.jobs import JobStore
from detag.ports.photos import Archived, Denied, Missing, PhotoStore
from detag.ports.telemetry import Telemetry
from detag.services.admission import Admission
from detag.services.steps import Steps

ROUNDS: Final = 5
RANK_LENGTH: Final = 64


class Reopening:
    """Handles the messages of the upload queue that ask for a job to be reopened."""

    def __init__(
        self,
        *,
        input_bucket: str,
        input_prefix: str,
        jobs: JobStore,
        photos: PhotoStore,
        admission: Admission,
        steps: Steps,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._input_bucket, self._input_prefix = input_bucket, input_prefix
        self._jobs, self._photos, self._admission, self._steps = jobs, photos, admission, steps
        self._clock, self._telemetry = clock, telemetry

    def open(self, message: Mapping[str, Any]) -> Job | None:
        """The job that a message asks for, open again; None where nothing is to be done, or may be.

        A request that is not carried out is said in the log and counted: nothing changes, and its message is done with.
        Raises `Transient` where it should be retried.
        """
        try:
            asked = read_reopen(message, self._clock.now())
            for _ in range(ROUNDS):
                try:
                    return self._open(asked)
                except Conflict:
                    self._telemetry.info("write conflict, re-reading job", request_id=asked.request.request_id)
        except Refusal as error:
            self._telemetry.count(Metric.REOPEN_REFUSED)
            self._telemetry.warning("reopen refused", why=str(error), **ids_of(message))
            return None
        raise Transient("job contended")

    def _open(self, asked: Reopen) -> Job | None:
        job, now, request = self._find(asked), self._clock.now(), asked.request
        decided: Step | Idle | Refusal
        if not job.version:
            versioned = job.upload.version is not None
            decided = taking_up(job.upload.uploaded_at, request, versioned=versioned, now=now)
        else:
            charged = request.how is Way.UNPAID and self._charged(job)
            decided = reopening(job, request, charged=charged, now=now)
            if isinstance(decided, Step):
                decided = self._refused(job, request) or decided
        match decided:
            case Refusal():
                raise decided
            case Idle(why):
                self._telemetry.info(why, job_id=job.job_id, request_id=request.request_id)
                return None
        self._claim(asked, job)
        return self._steps.take(self._with_metadata(self._published(job)), decided)

    def _claim(self, asked: Reopen, job: Job) -> None:
        """A key leads to another job once another upload is there, or none: a request is for one. Raises `Refusal`."""
        request_id, key = asked.request.request_id, asked.key
        if key is not None and not self._jobs.claim_request(request_id, job.upload.bucket, key, job.job_id):
            raise Refusal("this request was for another upload of the name: ask anew")

    def _refused(self, job: Job, request: Request) -> Refusal | None:
        """Why what has become of a job's photo forbids to reopen it."""
        if not _is_usable(job.upload):
            return Refusal("no URL can name its photo")
        return self._admission.refuse_photo(job, request)

    def _published(self, job: Job) -> Job:
        """The job once its end is published: nobody could tell of it any more after it was reopened."""
        if job.pending:
            job = self._steps.publish_pending(job)
        if job.pending:
            raise Transient("its end is not published yet")
        return job

    def _with_metadata(self, job: Job) -> Job:
        """The job with its photo's own metadata, which one that was delivered does not keep: a run that was missing may
        give an output before the photo is judged again.
        """
        return job if job.source_metadata or not job.submission_no else self._admission.with_metadata(job)

    def _charged(self, job: Job) -> bool:
        """Whether a run of the job was charged by its id."""
        return any((charge := self._jobs.charged(run_id)) is not None and charge.usd > 0 for run_id in job.runs)

    def _find(self, asked: Reopen) -> Job:
        """The job that is meant; a new one for a photo that is there and has no item. Raises `Refusal`."""
        if asked.job_id is not None:
            job = self._jobs.get(asked.job_id)
            if job is None:
                raise Refusal("no such job: if its item has expired, name the key of its photo")
            return job
        if asked.bucket not in (None, self._input_bucket):
            raise Refusal("the key is of another bucket")
        bucket, key = self._input_bucket, asked.key or ""
        if not key.startswith(self._input_prefix):
            raise Refusal("the key is outside of InputPrefix")
        named = Upload(bucket, key, asked.version_id, "", "", 0, 0.0)
        if not _is_usable(named):
            raise Refusal("no photo can have this key")
        if asked.version_id is not None and (job := self._known(named)) is not None:
            return job
        upload = self._there(bucket, key, asked.version_id)
        return self._known(upload) or new(upload, self._clock.now())

    def _known(self, upload: Upload) -> Job | None:
        """The job of an upload, by any of the ids that it may have."""
        if upload.version is not None:
            ids = [upload.job_id, by_encoded_key(upload).job_id]
        else:  # its item has the sequencer as S3 wrote it; as it is known here, zeros may have been added
            shortest = upload.sequencer.rstrip("0")
            written = (shortest.ljust(length, "0") for length in range(len(shortest), RANK_LENGTH + 1))
            ids = [replace(upload, sequencer=sequencer).job_id for sequencer in written]
        return next((job for job_id in ids if (job := self._jobs.get(job_id)) is not None), None)

    def _there(self, bucket: str, key: str, version_id: str | None) -> Upload:
        """What is at a key now, ranked as its newest upload: that is what it is. The newest that is known may be an
        older version, whose run still goes on. Raises `Refusal` where there is nothing, or another version than the one
        that is asked for.
        """
        try:
            head = self._photos.read_head(bucket, key, None, 1)
        except Missing:
            raise Refusal("no photo is at this key") from None
        except (Denied, Archived) as error:
            raise Refusal(f"the photo cannot be read: {error}") from None
        if version_id not in (None, head.version_id):
            raise Refusal("this version is gone, or a newer one has replaced it")
        newest = self._jobs.newest_upload(bucket, key)
        if not newest and head.version_id is None:
            raise Refusal("no upload of this name is known, and it has no version: name its job")
        if head.version_id is not None:
            newest = max(sequencer_above(newest) if newest else "", sequencer_of(head.modified))
        return Upload(bucket, key, head.version_id, newest, head.etag, head.size, head.modified)


def _is_usable(upload: Upload) -> bool:
    """Whether S3 and a URL can have the key: what they cannot would only fail later, again and again."""
    try:
        return len(upload.key.encode()) <= MAX_KEY_BYTES and upload.is_addressable
    except UnicodeEncodeError:
        return False
