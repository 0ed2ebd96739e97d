"""Patch to how an object is sent."""

import functools
from typing import Any

from ministack.services import s3

from .hooks import hook, still_needed

ENABLED = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"


def a_version_is_sent_as_the_url_says() -> None:
    """Apply ``response-content-type`` and the like to a version too, as S3 does (S3 API, GetObject).

    MiniStack does it only where no version is named.
    """
    original = hook(s3, "_get_object", "bucket_name key headers query_params")
    override = hook(s3, "_apply_response_overrides", "resp_headers query_params")

    @functools.wraps(original)
    def get_object(bucket: str, key: str, headers: dict[str, Any], query: dict[str, Any] | None = None) -> Any:
        status, sent, body = original(bucket, key, headers, query)
        if status in (200, 206):
            override(sent, query or {})
        return status, sent, body

    still_needed(_sent_as(original) != "image/png", "a version is sent as its URL says")
    s3._get_object = get_object


def _sent_as(get_object: Any) -> str:
    """The content type of a version that was stored without one."""
    bucket, key = "tried-out", "key"
    s3._create_bucket(bucket, b"", {})
    try:
        s3._put_bucket_versioning(bucket, ENABLED)
        _, stored, _ = s3._put_object(bucket, key, b"x", {})
        asked = {"versionId": stored["x-amz-version-id"], "response-content-type": "image/png", "X-Amz-Signature": "s"}
        _, sent, _ = get_object(bucket, key, {}, asked)
        return str(sent["Content-Type"])
    finally:
        del s3._buckets[bucket], s3._bucket_versioning[bucket], s3._object_versions[bucket, key]
