"""Requests to reopen a closed job: nothing leaves a closed state but by one, or by a paid result that comes late."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from detag.domain import waits
from detag.domain.redaction import redacted
from detag.domain.values import dataclass


class Way(StrEnum):
    """How a job is reopened."""

    ASK = "ask"
    """Ask Runflow about its runs once more, and deliver what is there. Nothing is sent."""
    UNPAID = "unpaid"
    """Try again what was not charged: what kept it from being done is fixed."""
    PAID = "paid"
    """Pay for a new run, whatever was paid before."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request to reopen a job, as the job keeps it."""

    request_id: str
    """Its own id: the same request is carried out once, however often it comes."""
    how: Way
    by: str
    """Who asked, in words."""
    at: float
    """When it was asked for."""

    @property
    def time(self) -> str:
        """When it was asked for, as people write it, UTC."""
        return datetime.fromtimestamp(self.at, UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Reopen:
    """A message that asks for a job to be reopened: by the job's id, or by its photo's key."""

    request: Request
    job_id: str | None
    bucket: str | None = None
    """Of `key`, where it is named."""
    key: str | None = None
    version_id: str | None = None
    """The version of `key`; None for what is at the key now."""


class Refusal(Exception):
    """A request that is not carried out; the text says why, for a person."""


MAX_REQUESTS: Final = 50
"""Of one job: none of its requests is ever forgotten, so there cannot be any number of them."""
_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}\Z")
_JOB_ID: Final = re.compile(r"[0-9a-f]{32}\Z")


_DEEPEST: Final = 5
"""In how many objects, lists and texts of JSON, one inside of the other, a request is looked for: an envelope of SNS,
EventBridge or SQS takes three.
"""


def asks_to_reopen(message: Mapping[str, Any]) -> bool:
    """Whether a message of the upload queue is a request, well-formed or not, or has one inside: no other there says
    how, or by whom. What tells of an upload as well is none, unless it says so itself, or only in what it names
    reopen: no upload may be lost.
    """
    if _says_how(message):
        return True
    if set(message) == {"job_id"}:  # detag's own, to go on with a job
        return not isinstance(message["job_id"], str)
    objects = list(_objects(message, _DEEPEST))
    asks = any(_says_how(one) or "job_id" in one for one in objects)
    return asks and not any(map(_tells_of_upload, objects))


def _says_how(fields: Mapping[str, Any]) -> bool:
    return not {_REOPEN, "how", "by", "way", "action", "mode"}.isdisjoint(map(_plain, fields))


_REOPEN: Final = "reopen"


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _tells_of_upload(fields: Mapping[str, Any]) -> bool:
    return any(isinstance(fields.get(name), Mapping) for name in ("bucket", "object", "s3", "listed"))


def _objects(value: object, depth: int) -> Iterator[Mapping[str, Any]]:
    """The objects in a value of JSON, also in texts that are JSON; none of what is named reopen: that is a request."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "[", '"'):
        try:
            value = [json.loads(value)]
        except (ValueError, RecursionError):
            return
    if isinstance(value, Mapping):
        yield value
    if depth and isinstance(value, Mapping | list):
        named = value.items() if isinstance(value, Mapping) else (("", one) for one in value)
        for name, one in named:
            if _plain(name) != _REOPEN:
                yield from _objects(one, depth - 1)


def read_reopen(message: Mapping[str, Any], now: float) -> Reopen:
    """What the value of `reopen` in a message asks for. Raises `Refusal`.

    A request as old as the items of closed jobs is refused: it may have been carried out by a job that has expired.
    """
    asked = message.get("reopen")
    if not isinstance(asked, Mapping):
        raise Refusal("malformed: the message has no object named reopen")
    request_id, by, how = _text(asked, "id"), _text(asked, "by"), _text(asked, "how")
    if not _ID.match(request_id):
        raise Refusal("malformed: id is 1 to 64 letters, digits, dots, colons, hyphens and underscores")
    if len(by) > 100 or not by.isprintable():
        raise Refusal("malformed: by is at most 100 printable characters")
    if how not in tuple(Way):
        raise Refusal("unknown way: how is ask, unpaid or paid")
    at = _time(_text(asked, "at"))
    if not now - waits.REMEMBERED.seconds <= at <= now + waits.REQUEST_AHEAD.seconds:
        raise Refusal("at is too long ago, or in the future")
    request = Request(request_id, Way(how), redacted(by, 100), at)
    if "job_id" in asked:
        job_id = _text(asked, "job_id")
        if not _JOB_ID.match(job_id):
            raise Refusal("malformed: job_id is 32 hex digits")
        return Reopen(request, job_id)
    version_id = _text(asked, "version_id") if asked.get("version_id") else None
    bucket = _text(asked, "bucket") if "bucket" in asked else None
    return Reopen(request, None, bucket, _text(asked, "key"), None if version_id == "null" else version_id)


def ids_of(message: Mapping[str, Any]) -> dict[str, str]:
    """The ids in a request, as far as they are well-formed: all of it that a log may hold whatever it is."""
    asked = message.get("reopen")
    fields = asked if isinstance(asked, Mapping) else {}
    named = {"request_id": fields.get("id"), "job_id": fields.get("job_id")}
    return {name: text for name, text in named.items() if isinstance(text, str) and _ID.match(text)}


def _text(asked: Mapping[str, Any], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or not value:
        raise Refusal(f"malformed: {name} is missing")
    return value


def _time(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise Refusal("malformed: at is no time such as 2026-11-26T09:30:00Z") from None
