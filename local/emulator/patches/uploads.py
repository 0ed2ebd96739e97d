"""Patches to what the event of an upload contains, and to what a copy overwrites."""

import functools
import json
from contextvars import ContextVar
from typing import Any

from ministack.services import eventbridge, s3

from .hooks import hook, still_needed

_version: ContextVar[str | None] = ContextVar("the version that the event being sent is about", default=None)


def an_event_names_the_version() -> None:
    """Put ``version-id`` into the EventBridge event of an object in a versioned bucket, as S3 does.

    MiniStack puts it into S3's own notifications only.
    """
    fire = hook(
        s3,
        "_fire_s3_event",
        "bucket_name key event_name size etag deletion_type restore_event_data version_id sequencer object_extra "
        "record_extra",
    )
    dispatch = hook(eventbridge, "_dispatch_event", "event view")

    @functools.wraps(fire)
    def fire_s3_event(*arguments: Any, **named: Any) -> None:
        token = _version.set(named.get("version_id"))
        try:
            fire(*arguments, **named)
        finally:
            _version.reset(token)

    @functools.wraps(dispatch)
    def dispatch_event(event: dict[str, Any], view: Any = None) -> Any:
        version = _version.get()
        if version and event.get("Source") == "aws.s3":
            detail = json.loads(event["Detail"])
            detail["object"]["version-id"] = version
            event = {**event, "Detail": json.dumps(detail)}
        return dispatch(event, view)

    still_needed(not _has_version(), "S3's EventBridge events name the version")
    s3._fire_s3_event = fire_s3_event
    eventbridge._dispatch_event = dispatch_event


def _has_version() -> bool:
    """Whether the event of a versioned object has its version when it is matched against the rules."""
    events: list[dict[str, Any]] = []
    kept = hook(eventbridge, "_pattern_event_view", "event")
    bucket = "tried-out"
    s3._bucket_notifications[bucket] = (
        "<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>"
    )

    def listen(event: dict[str, Any]) -> Any:
        events.append(event)
        return kept(event)

    eventbridge._pattern_event_view = listen
    try:
        s3._fire_s3_event(bucket, "key", "s3:ObjectCreated:Put", 1, "etag", version_id="v1", sequencer="1")
    finally:
        eventbridge._pattern_event_view = kept
        del s3._bucket_notifications[bucket]
    return bool(events) and json.loads(events[0]["Detail"])["object"].get("version-id") == "v1"


def a_copy_is_conditional() -> None:
    """Refuse a CopyObject whose If-Match or If-None-Match the object at its key does not meet, as S3 does.

    MiniStack takes these headers for a PutObject only.
    """
    copy = hook(s3, "_copy_object", "bucket_name dest_key headers")
    refuse = hook(s3, "_check_put_preconditions", "headers existing_obj")

    @functools.wraps(copy)
    def copy_object(bucket_name: str, dest_key: str, headers: dict[str, Any]) -> Any:
        there = (s3._ensure_bucket(bucket_name) or {}).get("objects", {}).get(dest_key)
        return refuse(headers, there) or copy(bucket_name, dest_key, headers)

    still_needed(not _copies_on_condition(), "CopyObject heeds If-None-Match")
    s3._copy_object = copy_object


def _copies_on_condition() -> bool:
    """Whether a copy onto an object is refused that must not overwrite any."""
    bucket = "tried-out"
    s3._buckets[bucket] = {"objects": {"key": {"body": b"", "etag": '"e"', "last_modified": "", "metadata": {}}}}
    try:
        answer = s3._copy_object(bucket, "key", {"x-amz-copy-source": "tried-out/none", "if-none-match": "*"})
    finally:
        del s3._buckets[bucket]
    return bool(answer[0] == 412)
