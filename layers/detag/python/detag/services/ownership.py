"""The URL by which a run shows whose photo it was made for."""

from __future__ import annotations

from detag.domain.job import Job
from detag.ports.photos import PhotoStore


def photo_url(job: Job, photos: PhotoStore) -> str:
    """A URL of the job's own photo."""
    upload = job.upload
    return photos.presign(upload.bucket, upload.key, upload.version_id, 60)
