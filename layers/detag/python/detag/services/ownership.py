"""Whether a run is ours. Callback secret and run list belong to the whole organisation: others can name our jobs."""

from __future__ import annotations

from detag.domain.decisions import Proof, proof
from detag.domain.job import Job
from detag.domain.runs import Run
from detag.ports.photos import PhotoStore


def belongs_to(run: Run, job: Job, photos: PhotoStore) -> bool:
    """Whether a run's record shows that a submission of the job made it."""
    return proof(run, job, photo_url(job, photos)) is Proof.OURS


def photo_url(job: Job, photos: PhotoStore) -> str:
    """A URL of the job's own photo."""
    upload = job.upload
    return photos.presign(upload.bucket, upload.key, upload.version_id, 60)
