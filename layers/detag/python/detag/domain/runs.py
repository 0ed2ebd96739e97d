"""What Runflow sends, under every reading of its contract: run records, callbacks, output URLs, failures."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Context, Decimal, InvalidOperation, Overflow, Underflow
from enum import Enum, StrEnum
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final
from urllib.parse import unquote, unquote_plus, urlsplit

from detag.domain.redaction import redacted
from detag.domain.values import dataclass

APP: Final = "detag"
PHOTO_TYPES: Final = {
    "JPEG": ("image/jpeg",),
    "PNG": ("image/png",),
    "WebP": ("image/webp",),
    "HEIC": ("image/heic", "image/heif"),
    "AVIF": ("image/avif",),
    "TIFF": ("image/tiff",),
}
"""What the parameter PhotoTypes may name, and the content types that each stands for. Runflow has no list of what it
takes and charges nothing for a run that fails, so an operator may let through what nobody has tried.
"""
MODEL: Final = "runflow/tag-removal"
_RUN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")  # contract section 2
_JOB_ID: Final = re.compile(r"[0-9a-f]{32}\Z")


def names_of_key(key: str, answer: object) -> tuple[str, ...]:
    """What the account of an API key is known by: a hash of the key, and one of the organisation that `answer`, the
    JSON of `GET /v1/auth/me`, says the key is of.

    No page describes the answer: only what can mean nothing but the organisation counts. A person's id does not, since
    one person may have keys of two organisations. Where it names several organisations, all of them must be equal.
    A key is long and random, so that nobody can find it by trying; the hash is cut, so that it confirms no guess.
    """
    organisations = sorted(set(_organisations(answer)))
    named = (f"organisation {_short_hash(json.dumps(organisations))}",) if organisations else ()
    return (f"key {_short_hash(key)}", *named)


def _short_hash(text: str) -> str:
    return hashlib.sha256(f"detag/account/{text}".encode()).hexdigest()[:16]


def _organisations(answer: object) -> Iterator[str]:
    record = _object(answer)
    for place in (record, *(_object(record.get(name)) for name in ("data", "key", "api_key"))):
        for name in ("organization", "organisation", "org"):
            whole = place.get(name)
            for value in (place.get(f"{name}_id"), whole.get("id") if isinstance(whole, Mapping) else whole):
                if isinstance(value, (str, int)) and not isinstance(value, bool) and value:
                    yield str(value)


def same_account(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether two API keys are seen to be of one account, by what each one's is known by."""
    return not set(one).isdisjoint(other)


class RunStatus(StrEnum):
    """A run's status, one spelling each."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial_succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """A word that no page lists: not terminal, and counted (contract section 3)."""

    @property
    def terminal(self) -> bool:
        """Whether the run has ended."""
        return self not in (RunStatus.RUNNING, RunStatus.UNKNOWN)


_PERMANENT: Final = re.compile(r"(?i)valid|unsupported|moderat|nsfw|polic|too_large|corrupt|format")


def permanent(code: str | None) -> bool:
    """Whether a failure's code says that the same photo would fail again. Runflow publishes one code only,
    `INPUT_VALIDATION_FAILED` (contract section 6); others are judged by their words.
    """
    return code is not None and _PERMANENT.search(code) is not None


_STATUSES: Final = {
    "queued": RunStatus.RUNNING,
    "dispatching": RunStatus.RUNNING,
    "running": RunStatus.RUNNING,
    "succeeded": RunStatus.SUCCEEDED,
    "completed": RunStatus.SUCCEEDED,  # from the event's name
    "partial_succeeded": RunStatus.PARTIAL,
    "failed": RunStatus.FAILED,
    "errored": RunStatus.FAILED,  # defended against by official code (contract section 3)
    "timeout": RunStatus.FAILED,
    "canceled": RunStatus.CANCELLED,  # both spellings (contract 13.1)
    "cancelled": RunStatus.CANCELLED,
}


def status_of(word: object) -> RunStatus:
    """The status that a word of Runflow's means; `UNKNOWN` for any other value."""
    return _STATUSES.get(word.lower(), RunStatus.UNKNOWN) if isinstance(word, str) else RunStatus.UNKNOWN


def run_id_of(value: object) -> str | None:
    """A run id that is safe to put in a key or a URL, or None."""
    return value if isinstance(value, str) and _RUN_ID.match(value) else None


@dataclass(frozen=True, slots=True)
class Run:
    """A run record (contract section 2), reduced to what detag decides by."""

    run_id: str
    status: RunStatus
    output_urls: tuple[str, ...] = ()
    cost: Decimal | None = None
    client_ref: str | None = None
    """None too where it may be what was left of another, by what its metadata says."""
    hides_name: bool = False
    """Whether neither of its names is among what is shown of it."""
    job_id: str | None = None
    image_url: str | None = None
    aspect_ratio: str | None = None
    """What was asked for; None for the photo's own, and where the record leaves `input` out."""
    failure_code: str | None = None
    failure_message: str | None = None
    created_at: float | None = None
    more_outputs: int = 0
    """How many outputs it gave besides, whose URLs were left out of the message about its callback."""
    is_record: bool = True
    """Whether Runflow's own record says so; False: its callback alone, while the record cannot be read."""

    @property
    def charged(self) -> bool:
        """Whether money was or may have been taken: a failed run without a cost is free (contract section 11)."""
        if self.cost is not None and self.cost > 0:
            return True
        return self.status in (RunStatus.SUCCEEDED, RunStatus.PARTIAL, RunStatus.CANCELLED)

    @property
    def may_give_output(self) -> bool:
        """Whether it has given an output, or may still."""
        return not self.status.terminal or self.status in (RunStatus.SUCCEEDED, RunStatus.PARTIAL)


def read_run(record: object) -> Run | None:
    """A run record as `Run`, or None where it is no object with a usable id. Unknown fields are ignored."""
    if not isinstance(record, Mapping):
        return None
    run_id = run_id_of(record.get("id")) or run_id_of(record.get("run_id"))
    if run_id is None:
        return None
    metadata, sent = _object(record.get("metadata")), _object(record.get("input"))
    code, message = failure_of(record)
    return Run(
        run_id=run_id,
        status=status_of(record.get("status_code") or record.get("status")),
        output_urls=output_urls_of(record.get("output")),
        cost=_decimal(record.get("cost")),
        client_ref=_name_of(record, metadata),
        hides_name="client_ref" not in record and "metadata" not in record,
        job_id=_job_id(metadata),
        image_url=_text(sent.get("image_url")),
        aspect_ratio=_text(_object(sent.get("config")).get("aspect_ratio")),
        failure_code=code,
        failure_message=message,
        created_at=_time(record.get("created_at")),
    )


def _name_of(record: Mapping[str, Any], metadata: Mapping[str, Any]) -> str | None:
    """The name that was sent, and sent again in the metadata (contract 13.23): of either, unless they tell that it was
    cut off or spelt anew.
    """
    name, again = _text(record.get("client_ref")), _text(metadata.get("client_ref"))
    if name and again and name != again and metadata.get("app") == APP and _letters(again).startswith(_letters(name)):
        return None
    return name or again


def read_entry(entry: object) -> Run | None:
    """An entry of the run list: a record or a part of it, bare or under a name of its own, or a run's id alone, which
    tells nothing else. None where no id can be read: then an entry is there, and whose it is cannot even be asked for.
    """
    inner = [entry.get(name) for name in _WRAPPERS] if isinstance(entry, Mapping) else []
    for one in (entry, *inner):
        run_id = run_id_of(one)
        run = Run(run_id, RunStatus.UNKNOWN) if run_id else read_run(one)
        if run is not None:
            return run
    return None


_WRAPPERS: Final = ("run", "record", "item", "data", "node")


def output_urls_of(output: object) -> tuple[str, ...]:
    """The output URLs in a run's output, the main one first; none for any other value (contract 13.3).

    The order is the official client's: `outputs[].url`, `image_urls[]`, `image.url`, `url`, `output_url`; then what
    other programs of Runflow's read: `images[]`, `image_url`, a bare string (contract 16.3). Entries may be strings or
    objects. Of one page, those with a type other than image are none; of another, nobody looks at the type: they are
    used where there are no others. The main one is that whose file name starts with `result_`, else the first (contract
    section 10).
    """
    urls = tuple(dict.fromkeys(_output_urls(output) or _output_urls(output, any_type=True)))
    main = next((url for url in urls if urlsplit(url).path.rpartition("/")[2].startswith("result_")), None)
    return urls if main is None else (main, *(url for url in urls if url != main))


def _output_urls(output: object, *, any_type: bool = False) -> list[str]:
    if not isinstance(output, Mapping):
        return [output] if isinstance(output, str) and _is_url(output) else []
    found: list[object] = []
    for name in ("outputs", "image_urls", "image", "url", "output_url", "images", "image_url"):
        entry = output.get(name)
        if isinstance(entry, list):
            found += entry
        elif name not in ("outputs", "image_urls", "images"):
            found.append(entry)
    urls = (_output_url(entry, any_type=any_type) for entry in found)
    return [url for url in urls if isinstance(url, str) and _is_url(url)]


def _output_url(entry: object, *, any_type: bool) -> object:
    if not isinstance(entry, Mapping):
        return entry
    is_image = entry.get("type") is None or str(entry["type"]).lower().startswith("image")
    return (entry.get("url") or entry.get("image_url")) if is_image or any_type else None


def _is_url(text: str) -> bool:
    try:
        return urlsplit(text).scheme in ("http", "https")
    except ValueError:
        return False


def failure_of(record: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Failure code and message of a run record, an error body, or a callback's output: the first of each family that is
    set (contract 13.4, 13.6 and 13.7). Any field may be missing or of another type.
    """
    nested = record.get("error")
    error = _object(nested)
    code = _first(record.get("failure_code"), error.get("code"), record.get("code"))
    message = _first(
        record.get("failure_message"), error.get("message"), record.get("message"), record.get("failure_reason"), nested
    )
    detail = record.get("detail")
    if message is None and detail is not None:  # FastAPI's shape
        message = detail if isinstance(detail, str) else json.dumps(detail)
    return redacted(code, 100) if code else None, redacted(message) if message else None


@dataclass(frozen=True, slots=True)
class Callback:
    """A signed callback about one of our runs, reduced to what is worth a message."""

    job_id: str
    run_id: str
    event: str
    status: RunStatus
    output_urls: tuple[str, ...]
    left_out: int
    """How many output URLs there were besides."""


MAX_OUTPUT_URLS: Final = 16
"""So many outputs of a run are fetched and stored; the model makes one."""
MAX_OUTPUT_URLS_BYTES: Final = 131_072
"""Of all output URLs as ASCII JSON: half of what a message may hold (SQS Developer Guide, "Message quotas")."""


def read_callback(body: bytes) -> Callback | str:
    """A callback's body, already verified to be Runflow's; or why it is ignored, as a word for the log."""
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError):
        return "not_json"
    if not isinstance(envelope, dict):
        return "not_an_object"
    event = envelope.get("event")
    if envelope.get("batch_id") is not None or (isinstance(event, str) and event.startswith("batch.")):
        return "batch"
    run_id = run_id_of(envelope.get("run_id"))
    if run_id is None:
        return "no_run_id"
    metadata = _object(envelope.get("metadata"))
    job_id = _job_id(metadata)
    if job_id is None or metadata.get("app") != APP:
        return "not_ours"
    status = status_of(event.removeprefix("run.") if isinstance(event, str) and event.startswith("run.") else None)
    if status is RunStatus.UNKNOWN:  # the event decides, then the status (contract 13.1 and 13.5)
        status = status_of(envelope.get("status"))
    if status is RunStatus.UNKNOWN:
        return "unknown_event"
    urls = output_urls_of(envelope.get("output")) if status in (RunStatus.SUCCEEDED, RunStatus.PARTIAL) else ()
    sent_on = _first_that_fit(urls)
    left_out = len(urls) - len(sent_on)
    return Callback(job_id, run_id, event[:64] if isinstance(event, str) else "", status, sent_on, left_out)


def _first_that_fit(urls: tuple[str, ...]) -> tuple[str, ...]:
    """As many as a message may carry: the others are left to the record, whose own may be unsigned."""
    ends = accumulate(len(json.dumps(url)) + len(", ") for url in urls[:MAX_OUTPUT_URLS])
    return tuple(url for url, end in zip(urls, ends, strict=False) if end <= MAX_OUTPUT_URLS_BYTES)


@dataclass(frozen=True, slots=True)
class Result:
    """A message of the result queue: a run of this job may have ended."""

    job_id: str
    run_id: str | None
    status: RunStatus = RunStatus.UNKNOWN
    output_urls: tuple[str, ...] = ()
    left_out: int = 0
    sent_at: float = 0.0
    """When the message was put into the queue; 0 where it does not say."""


def result_message(callback: Callback, now: float) -> dict[str, Any]:
    """What `callback` enqueues: plain JSON values only."""
    return {
        "job_id": callback.job_id,
        "run_id": callback.run_id,
        "event": callback.event,
        "status": callback.status.value,
        "links": list(callback.output_urls),  # the key stays: messages under it may be in the queue during a deploy
        "left_out": callback.left_out,
        "sent_at": now,
    }


def read_result(message: Mapping[str, Any]) -> Result:
    """A message of the result queue. Raises ValueError, saying what is wrong, where no job is named."""
    job_id = message.get("job_id")
    if not isinstance(job_id, str) or not _JOB_ID.match(job_id):
        raise ValueError("a result message must name a job_id of 32 hex digits")
    urls, left_out, sent_at = (message.get(name) for name in ("links", "left_out", "sent_at"))
    return Result(
        job_id=job_id,
        run_id=run_id_of(message.get("run_id")),
        status=status_of(message.get("status")),
        output_urls=tuple(url for url in urls if isinstance(url, str)) if isinstance(urls, list) else (),
        left_out=left_out if isinstance(left_out, int) else 0,
        sent_at=float(sent_at) if isinstance(sent_at, (int, float)) else 0.0,
    )


_RATIO: Final = re.compile(r"[1-9][0-9]?:[1-9][0-9]?\Z")


def aspect_ratio(text: str | None) -> str | None:
    """A ratio as the model takes it, such as 4:3, or None for an empty text: the photo keeps its own.

    Raises ValueError, for a person, for any other text (contract section 12).
    """
    text = (text or "").strip()
    if not text:
        return None
    if not _RATIO.match(text):
        raise ValueError(
            f"{text[:40]!r} is not an aspect ratio: write two whole numbers with a colon, such as 1:1, 4:3 or 16:9"
        )
    return text


def create_body(
    *, image_url: str, callback_url: str, client_ref: str, job_id: str, key: str, aspect_ratio: str | None
) -> str:
    """The bytes (ASCII JSON) of the POST that creates a run. The caller stores them before they are sent.

    `config` is left out unless a ratio is asked for (contract section 12); metadata holds short plain strings only
    (contract 13.23 and 13.24).
    """
    sent: dict[str, Any] = {"image_url": image_url}
    if aspect_ratio:
        sent["config"] = {"aspect_ratio": aspect_ratio}
    return json.dumps(
        {
            "input": sent,
            "callback_url": callback_url,
            "client_ref": client_ref,
            "metadata": {"app": APP, "v": "1", "job_id": job_id, "client_ref": client_ref, "key": _plain(key)},
        }
    )


def _plain(key: str) -> str:
    """A key as a person would recognise it: at most 200 characters, and never something that looks like a URL."""
    return re.sub(r"(?i)\b(data|https?|runflow):", r"\1 ", key)[:200]


@lru_cache(maxsize=16)  # asked again for each entry of the run list that a request is looked for in
def asked_ratio(body: str | None) -> str | None:
    """The aspect ratio that a body made by `create_body` asks for; None for the photo's own."""
    sent = _object(_object(json.loads(body)).get("input")) if body else {}
    return _text(_object(sent.get("config")).get("aspect_ratio"))


_RUNFLOWS_HOST: Final = re.compile(r"(?i)runflow|(?:^|\.)r2\.cloudflarestorage\.com(?::\d+)?\Z")


class Shown(Enum):
    """What a run's record shows in place of the photo's URL that was sent."""

    PHOTO = "the photo, or nothing"
    OTHER = "surely another object"
    UNTOLD = "what may be another"


def shown_by(run: Run, photo_url: str) -> Shown:
    """Whether a run's record shows a photo, whose URL is given. An asset link may stand in its place."""
    if not run.image_url or same_place(run.image_url, photo_url) or _is_asset(run.image_url, photo_url):
        return Shown.PHOTO
    return Shown.OTHER if is_other_place(run.image_url, photo_url) else Shown.UNTOLD


def _is_asset(url: str, photo_url: str) -> bool:
    """Whether a URL leads to Runflow's own storage, whose hosts are not promised (contract sections 3, 10 and 16.5). A
    bucket's own name may look like Runflow's.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    is_runflows = parts.scheme == "runflow" or _RUNFLOWS_HOST.search(parts.netloc) is not None
    return is_runflows and not _same_host(url, photo_url)


def same_place(one: str | None, other: str | None) -> bool:
    """Whether two URLs name the same object: scheme and signature aside, the same host and path.

    However the path is escaped: a server that reads a URL and writes it again need not escape the same characters. To
    S3 a plus sign is a space; to others it is what %2B stands for.
    """
    a, b = _place_of(one), _place_of(other)
    if a is None or b is None or a[0] != b[0]:
        return False
    return not {unquote(a[1]), unquote_plus(a[1])}.isdisjoint((unquote(b[1]), unquote_plus(b[1])))


def _same_host(one: str | None, other: str | None) -> bool:
    """Whether two URLs lead to the same host: the bucket's, where S3 names it in the host."""
    a, b = _place_of(one), _place_of(other)
    return a is not None and b is not None and a[0] == b[0]


def is_other_place(one: str | None, other: str | None) -> bool:
    """Whether two URLs surely name two objects of one host: not where they might be spellings of one name, escaped
    twice or in another alphabet, or where `one` was cut off.
    """
    a, b = _place_of(one), _place_of(other)
    return a is not None and b is not None and a[0] == b[0] and not _letters(b[1]).startswith(_letters(a[1]))


_PORTS: Final = {"http": 80, "https": 443}


def _place_of(url: str | None) -> tuple[tuple[str, int | None], str] | None:
    """Host and port of a URL, and its path as it is escaped; None where it has none, or names a user."""
    try:
        parts = urlsplit(url or "")
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return None
    if not host or "@" in parts.netloc:
        return None
    return (host, None if port == _PORTS.get(parts.scheme) else port), parts.path


def _letters(text: str) -> str:
    """What every spelling of a name or a path has in common."""
    for _ in range(3):
        text = unquote(text)
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFC", text).casefold())


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _first(*values: object) -> str | None:
    return next((text for text in map(_text, values) if text), None)


def _job_id(metadata: Mapping[str, Any]) -> str | None:
    value = metadata.get("job_id")
    return value if isinstance(value, str) and _JOB_ID.match(value) else None


_USD: Final = Context(prec=12, Emin=-12, Emax=12, traps=[InvalidOperation, Overflow, Underflow])
"""No amount is longer than a few characters, whatever was sent; what is too small or too large is not understood."""


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        amount = _USD.create_decimal(str(value))
    except ArithmeticError:
        return None
    return amount if amount.is_finite() and amount >= 0 else None  # less than nothing is no cost


def _time(value: object) -> float | None:
    """Both `+00:00` and `Z` are met (contract 13.20). Without either it may be that of any place, and tells nothing."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.timestamp() if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
