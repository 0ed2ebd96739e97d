"""Whether a run is ours. Callback secret and run list belong to the whole organisation: others can name our jobs."""

from __future__ import annotations

from detag.domain.job import Job
from detag.domain.runs import Run, same_place
from detag.ports.photos import PhotoStore


def belongs_to(run: Run, job: Job, photos: PhotoStore) -> bool:
    """Whether a run shows both the name that a submission of the job gives it, and the job's own photo."""
    upload = job.upload
    photo = photos.presign(upload.bucket, upload.key, upload.version_id, 60)
    return client_ref_matches(run, job) and same_place(run.image_url, photo)


def client_ref_matches(run: Run, job: Job) -> bool:
    """Whether a run has the name that a submission of the job gives it."""
    return (run.client_ref or "").startswith(job.job_id + ".")
