"""The items of the job table: one table, whose key `pk` says what an item is.

    job#<job id>            a job
    head#<hash>             the newest upload of one bucket and key
    day#<YYYY-MM-DD>        a day's budget
    budget                  the newest day whose budget was opened
    run#<run id>            an unmatched run that was charged
    gate                    the intake
    scan                    where the scan of the input bucket stands
    batch                   what has ended since the last batch was finished
    override                what an operator wrote to override the parameters
    picture#<hash>          a picture: who pays for it, or what was delivered of it
    output#<hash>           bytes that were sent as a photo, or delivered as an output
    name#<hash>             a name in the output bucket that is a photo's for good
    request#<hash>          the job that a request to reopen by key is for

The tables of attributes say how each item is written and read, and `docs/data-model.md` is made from them. Stored names
stay as they are: items that were written under them, and the indexes over them, cannot be renamed in place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, Final

from detag.domain.batches import Batch
from detag.domain.intake import Intake, Override
from detag.domain.job import FormerEnd, Job, Reservation, Spent, State, Trouble, Upload, sequencer_rank
from detag.domain.missed_uploads import Scan
from detag.domain.money import day_of
from detag.domain.picture import Delivery, Output, Picture, Result
from detag.domain.reasons import Reason
from detag.domain.reopening import Request, Way
from detag.ports.items import LASTING_SECONDS, OUTPUT, kept, kept_batch, kept_intake, kept_scan
from detag.ports.jobs import Delivered

Item = dict[str, Any]
"""An item as DynamoDB's low-level API writes it: `{"rev": {"N": "3"}}`."""

INTAKE_PK: Final = "gate"
OVERRIDE_PK: Final = "override"
NEWEST_DAY_PK: Final = "budget"
SCAN_PK: Final = "scan"
BATCH_PK: Final = "batch"


# Types


class Type:
    """How values of one kind are stored."""

    __slots__ = ("means", "read", "symbol", "write")  # a plain class: to make a dataclass takes 0.5 ms of a cold start

    def __init__(self, symbol: str, means: str, write: Callable[[Any], Any], read: Callable[[Any], Any]) -> None:
        self.symbol, self.means, self.write, self.read = symbol, means, write, read


def _write_seconds(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _write_texts(value: Iterable[str]) -> list[dict[str, str]]:
    return [{"S": text} for text in value]


def _read_texts(value: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    return tuple(one["S"] for one in value)


def _write_pairs(value: Iterable[tuple[str, str]]) -> list[Item]:
    return [{"L": _write_texts(pair)} for pair in value]


def _read_pairs(value: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, ...], ...]:
    return tuple(_read_texts(one["L"]) for one in value)


def _write_times(value: Iterable[tuple[str, float]]) -> Item:
    return {name: {"N": _write_seconds(seconds)} for name, seconds in value}


_OUTPUT_FIELDS: Final = ("number", "key", "version_id", "etag", "size", "content_type")


def _write_outputs(value: Iterable[Output]) -> list[Item]:
    return [
        {
            "M": {
                name: {"N": str(field)} if isinstance(field, int) else {"S": field}
                for name in _OUTPUT_FIELDS
                if (field := getattr(one, name)) is not None
            }
        }
        for one in value
    ]


def _read_outputs(value: Iterable[Mapping[str, Any]]) -> tuple[Output, ...]:
    return tuple(
        Output(
            number=int(one["M"]["number"]["N"]),
            key=one["M"]["key"]["S"],
            version_id=one["M"]["version_id"]["S"] if "version_id" in one["M"] else None,
            etag=one["M"]["etag"]["S"],
            size=int(one["M"]["size"]["N"]),
            content_type=one["M"]["content_type"]["S"],
        )
        for one in value
    )


def _write_deliveries(value: Iterable[Delivery]) -> list[Item]:
    return [
        {"M": {"source_key": {"S": one.source_key}, "outputs": {"L": _write_outputs(one.outputs)}}} for one in value
    ]


def _read_deliveries(value: Iterable[Mapping[str, Any]]) -> tuple[Delivery, ...]:
    read = (one["M"] for one in value)
    return tuple(Delivery(one["source_key"]["S"], _read_outputs(one["outputs"]["L"])) for one in read)


def _read_troubles(value: Mapping[str, Mapping[str, str]]) -> tuple[tuple[Trouble, float], ...]:
    return tuple(sorted((Trouble(name), float(seconds["N"])) for name, seconds in value.items()))


def _write_requests(value: Iterable[Request]) -> list[Item]:
    return [{"L": _write_texts((one.request_id, one.how, one.by, _write_seconds(one.at)))} for one in value]


def _read_requests(value: Iterable[Mapping[str, Any]]) -> tuple[Request, ...]:
    read = (_read_texts(one["L"]) for one in value)
    return tuple(Request(request_id, Way(how), by, float(at)) for request_id, how, by, at in read)


def _write_spent(value: Iterable[Spent]) -> list[Item]:
    lines = ((one.run_id, one.reservation.day, format(one.reservation.usd, "f")) for one in value)
    return [{"L": _write_texts(line)} for line in lines]


def _read_spent(value: Iterable[Mapping[str, Any]]) -> tuple[Spent, ...]:
    read = (_read_texts(one["L"]) for one in value)
    return tuple(Spent(run_id, Reservation(day, Decimal(usd))) for run_id, day, usd in read)


# The methods of str and int, and not str() and repr(): they raise TypeError for any other value.
TEXT: Final = Type("S", "text", str.__str__, str)
STATE: Final = Type("S", "state", str.__str__, State)
REASON: Final = Type("S", "reason", str.__str__, Reason.of)
WHOLE: Final = Type("N", "whole number", int.__repr__, int)
SECONDS: Final = Type("N", "seconds since the epoch", _write_seconds, float)
USD: Final = Type("N", "US dollars", lambda value: format(value, "f"), Decimal)
FLAG: Final = Type("BOOL", "true or false", bool, bool)
TEXTS: Final = Type("L", "list of texts", _write_texts, _read_texts)
PAIRS: Final = Type("L", "list of pairs of texts", _write_pairs, _read_pairs)
OUTPUTS: Final = Type("L", "list of outputs: number, key, version, ETag, size and type", _write_outputs, _read_outputs)
DELIVERIES: Final = Type(
    "L", "list of deliveries: the photo's key, and its outputs", _write_deliveries, _read_deliveries
)
RESULTS: Final = Type(
    "L",
    "list of results: each with the attributes of the first",
    lambda value: [{"M": _written(RESULT_ATTRIBUTES, partial(getattr, one))} for one in value],
    lambda value: tuple(Result(**_fields(RESULT_ATTRIBUTES, one["M"])) for one in value),
)
TROUBLES: Final = Type("M", "map of troubles to seconds since the epoch", _write_times, _read_troubles)
REQUESTS: Final = Type("L", "list of requests: id, how, who asked, when", _write_requests, _read_requests)
SPENT_ON: Final = Type("L", "list of what a run cost: its id, the day, US dollars", _write_spent, _read_spent)


COUNTS: Final = Type(
    "M",
    "map of texts to whole numbers",
    lambda value: {name: {"N": int.__repr__(number)} for name, number in value},
    lambda value: tuple(sorted((name, int(number["N"])) for name, number in value.items())),
)


# Attributes


class Attribute:
    """One attribute of an item: its name as it is stored, the field that it keeps, and when the item has it.

    It is left out where the field is `absent`. `means` says what it is where the field has no docstring that does.
    """

    __slots__ = ("absent", "field", "means", "name", "type", "when")

    def __init__(
        self, name: str, field: str, type_: Type, when: str, absent: object = None, *, means: str = ""
    ) -> None:
        self.name, self.field, self.type, self.when = name, field, type_, when
        self.absent, self.means = absent, means


class Index:
    """A sparse index: of the items that have both of its keys it has these, `pk`, and what is `projected`."""

    __slots__ = ("name", "partition", "projected", "sort")

    def __init__(self, name: str, partition: str, sort: str, projected: tuple[str, ...]) -> None:
        self.name, self.partition, self.sort, self.projected = name, partition, sort, projected


ALWAYS: Final = "always"
NEVER: Final = object()
"""`absent` of an attribute that every item has: without it an item cannot be read."""
CLAIMED: Final = "since the first claim"
CLOSED: Final = "once closed"
DUE: Final = "while open, anything is pending, or a late result is asked for"
RESERVED: Final = "while money is reserved or spent"
TRUE: Final = "where true"

UPLOAD_ATTRIBUTES: Final = (
    Attribute("bucket", "bucket", TEXT, ALWAYS, NEVER),
    Attribute("key", "key", TEXT, ALWAYS, NEVER),
    Attribute("version_id", "version_id", TEXT, "where the bucket has versions"),
    Attribute("sequencer", "sequencer", TEXT, ALWAYS, NEVER),
    Attribute("etag", "etag", TEXT, "where the event has one", ""),
    Attribute("size", "size", WHOLE, ALWAYS, NEVER),
    Attribute("uploaded_at", "uploaded_at", SECONDS, ALWAYS, NEVER),
    Attribute("event_key", "event_key", TEXT, "where the event's key was URL-encoded"),
)
FORMER_END_ATTRIBUTES: Final = (
    Attribute("state", "state", STATE, ALWAYS, NEVER),
    Attribute("reason", "reason", REASON, "unless delivered"),
    Attribute("detail", "detail", TEXT, "where there was one"),
    Attribute("code", "code", TEXT, "where there was one"),
    Attribute("cost", "cost", TEXT, "where Runflow gave it"),
    Attribute("run_id", "run_id", TEXT, "where the run was known"),
    Attribute("reserved_run", "reserved_run", TEXT, "where there was one"),
    Attribute("ask_at", "ask_at", SECONDS, "where a late result was asked for"),
)
"""Of a job before it was reopened; each is what the job's own of that name is."""
FORMER_END: Final = Type(
    "M",
    "map of how it was closed",
    lambda value: _written(FORMER_END_ATTRIBUTES, partial(getattr, value)),
    lambda value: FormerEnd(**_fields(FORMER_END_ATTRIBUTES, value)),
)
JOB_ATTRIBUTES: Final = (
    Attribute("state", "state", STATE, ALWAYS, NEVER),
    Attribute("reason", "reason", REASON, "while waiting; once closed, unless delivered"),
    Attribute("detail", "detail", TEXT, "where something needs an explanation"),
    Attribute("code", "code", TEXT, "after a failure for which Runflow has one"),
    Attribute("decision", "decision", TEXT, "since the first decision"),
    Attribute("rev", "version", WHOLE, ALWAYS, NEVER),
    Attribute("created_at", "created_at", SECONDS, ALWAYS, NEVER),
    Attribute("not_before", "not_before", SECONDS, "after a wait, until the run is accepted", 0.0),
    Attribute("due_at", "due_at", SECONDS, DUE),
    Attribute("lease_until", "lease_until", SECONDS, "while submitting", 0.0),
    Attribute("submission_no", "submission_no", WHOLE, ALWAYS, NEVER),
    Attribute("attempt", "attempt", WHOLE, ALWAYS, NEVER),
    Attribute("expired_urls", "expired_urls", WHOLE, ALWAYS, NEVER),
    Attribute(
        "unclear_posts", "unclear_posts", WHOLE, "after requests without a clear answer, until there is a run", 0
    ),
    Attribute("limited", "limited", WHOLE, "after a 429, until another answer", 0),
    Attribute("tries", "tries", WHOLE, ALWAYS, NEVER),
    Attribute("body", "body", TEXT, "from the claim until the run is known, or the submission ends"),
    Attribute("url_expires_at", "url_expires_at", SECONDS, CLAIMED, 0.0),
    Attribute("claimed_at", "claimed_at", SECONDS, CLAIMED, 0.0),
    Attribute("account", "account", TEXTS, "since the first claim, where that recorded it", ()),
    Attribute("doubtful", "maybe_submitted", FLAG, TRUE, absent=False),
    Attribute("look_from", "search_from", TEXT, "while unconfirmed, where a search stopped half-way"),
    Attribute("to_ask", "to_ask", TEXTS, "while unconfirmed, where a search stopped half-way", ()),
    Attribute(
        "search_since", "search_since", SECONDS, "while unconfirmed or reopened, after a search that was put off", 0.0
    ),
    Attribute("unaccounted", "unaccounted", PAIRS, "after a submission without a clear answer", ()),
    Attribute("content_type", "content_type", TEXT, CLAIMED),
    Attribute(
        "source_metadata",
        "source_metadata",
        PAIRS,
        "from the claim until nothing more can be delivered, where there is any",
        (),
    ),
    Attribute("run_id", "run_id", TEXT, "once the run is known, unless it failed and another follows"),
    Attribute("submitted_at", "submitted_at", SECONDS, "since the first run", 0.0),
    Attribute("reserved_run", "reserved_run", TEXT, "where it is not the job's own run"),
    Attribute("earlier_runs", "earlier_runs", TEXTS, "after a run that another one followed or replaced", ()),
    Attribute("unknown_runs", "unknown_runs", TEXTS, "after a callback of a run that Runflow did not show", ()),
    Attribute("troubles", "troubles", TROUBLES, "while something keeps the result from being delivered", ()),
    Attribute("done", "done", TEXTS, "while some of a run's outputs are stored and others are not", ()),
    Attribute("done_run", "done_run", TEXT, "while `done` is about another run than the job's own"),
    Attribute("callback_asked_at", "callback_asked_at", SECONDS, "once a run's callback was asked for again", 0.0),
    Attribute("outputs", "outputs", TEXTS, "once delivered", ()),
    Attribute("leftovers", "leftovers", TEXTS, "once delivered, where older outputs were left", ()),
    Attribute("picture", "picture", TEXT, "since it was claimed or met an equal photo, where results are reused"),
    Attribute("picture_version", "picture_version", WHOLE, "since the claim that took that picture", 0),
    Attribute("picture_run", "picture_run", TEXT, "once a run is known to be of the latest claim"),
    Attribute("picture_until", "picture_until", SECONDS, "since the first claim that took a picture", 0.0),
    Attribute("not_reused", "not_reused", TEXT, "where a result was known and is not used"),
    Attribute("reused_from", "reused_from", TEXT, "once delivered as a copy"),
    Attribute("stored", "stored", OUTPUTS, "once delivered, exactly as S3 has them", ()),
    Attribute("cost", "cost", TEXT, "once closed, where Runflow gave it"),
    Attribute("partial", "partial", FLAG, TRUE, absent=False),
    Attribute("owed", "pending", TEXTS, "while anything is pending", ()),
    Attribute("closed_at", "closed_at", SECONDS, CLOSED),
    Attribute("ask_at", "ask_at", SECONDS, "while a late result, or what a run costs, is asked for"),
    Attribute("requests", "requests", REQUESTS, "once reopened", ()),
    Attribute("closed_as", "closed_as", FORMER_END, "while reopened"),
    Attribute("spent_before", "spent", SPENT_ON, "once reopened, where earlier runs were or may have been charged", ()),
    Attribute("replaced_runs", "replaced_runs", TEXTS, "once a new run was asked for in place of another's result", ()),
    Attribute(
        "told_costs", "told_costs", PAIRS, "once it has ended before, with a run that was or may have been charged", ()
    ),
    Attribute("again", "again", TEXT, "once a new run was asked for, until it is sent unpaid"),
)
RESERVATION_ATTRIBUTES: Final = (
    Attribute("reserved_day", "day", TEXT, RESERVED, NEVER),
    Attribute("reserved_usd", "usd", USD, RESERVED, NEVER),
)
DERIVED_ATTRIBUTES: Final = (
    Attribute("pk", "pk", TEXT, ALWAYS, means="The table's key."),
    Attribute("job_id", "job_id", TEXT, ALWAYS),
    Attribute("lane", "due_shard", TEXT, DUE),
    Attribute("outcome", "outcome", TEXT, CLOSED, means="Final state and UTC day of the end: `delivered#2026-11-23`."),
    Attribute("expires_at", "expires_at", WHOLE, "once closed, nothing is pending, and no late result is asked for"),
    Attribute("total_cost", "total_cost", USD, "while money is reserved or spent", Decimal(0)),
)
"""What a job's item has besides, made from its fields: it is written and never read."""
WRITTEN_BY: Final = Attribute(
    "written_by",
    "written_by",
    TEXT,
    "where the last write moved no money",
    means="A random mark of the call that wrote the item. The SDK repeats a call whose answer was lost: by the mark it "
    "tells its own write from another worker's.",
)
EXPIRES_AT: Final = Attribute(
    "expires_at", "expires_at", WHOLE, ALWAYS, means="When DynamoDB may delete the item (TTL)."
)
NEWEST_UPLOAD_ATTRIBUTES: Final = (
    Attribute("rank", "rank", TEXT, ALWAYS, means="The newest sequencer in a form that compares as text."),
    Attribute(
        "sequencer", "sequencer", TEXT, ALWAYS, means="The newest sequencer as `raise_newest_upload` was given it."
    ),
    Attribute("etag", "etag", TEXT, "in a bucket without versions", "", means="The ETag of the newest upload."),
    Attribute(
        "same_since",
        "same_since",
        TEXT,
        ALWAYS,
        means="The `rank` since which every upload has had the same bytes, as far as that is known.",
    ),
    Attribute("bucket", "bucket", TEXT, ALWAYS, means="The input bucket."),
    Attribute("key", "key", TEXT, ALWAYS, means="The photo's key."),
)
DELIVERY_ATTRIBUTES: Final = (
    Attribute("bucket", "bucket", TEXT, ALWAYS, means="The input bucket."),
    Attribute("key", "key", TEXT, ALWAYS, means="The photo's key."),
    Attribute(
        "storing",
        "worker",
        TEXT,
        "while a worker stores outputs",
        means="Which worker: no other stores outputs of this photo, whichever version.",
    ),
    Attribute(
        "storing_until",
        "until",
        SECONDS,
        "while a worker stores outputs",
        means="When its right ends, whatever becomes of it.",
    ),
    Attribute(
        "delivered",
        "sequencer",
        TEXT,
        "once a version was delivered",
        "",
        means="The sequencer of the newest version that was delivered.",
    ),
    Attribute(
        "delivered_to",
        "keys",
        TEXTS,
        "once an output was stored",
        (),
        means="Where outputs of the photo are: a newer version removes what it does not replace.",
    ),
    Attribute(
        "recorded",
        "recorded",
        TEXT,
        "after an end without a delivery",
        "",
        means="The sequencer of the newest version that ended otherwise, and so decided what record there is.",
    ),
    Attribute(
        "record",
        "record",
        TEXT,
        "while there is a record",
        "",
        means="Where the record of the photo is: a newer version, or a delivery, removes it.",
    ),
)
"""What the item of the newest upload has besides, written by whoever stores outputs or a record of the photo."""
DELIVERED_FIELDS: Final = ("sequencer", "keys", "recorded", "record")
SPENT: Final = Attribute(
    "spent",
    "spent",
    USD,
    ALWAYS,
    means="What is spent or reserved on this day. No claim takes it beyond the day's limit.",
)
OPENED_AT: Final = Attribute(
    "opened_at", "opened_at", SECONDS, "once open", means="When the day was opened: before that nothing is claimed."
)
REUSED: Final = Attribute(
    "reused",
    "reused",
    WHOLE,
    "where a result was reused",
    means="How many photos were delivered on this day without a payment, since an equal one was cleaned before.",
)
DAY_ATTRIBUTES: Final = (SPENT, OPENED_AT, REUSED, EXPIRES_AT)
NEWEST_DAY: Final = Attribute(
    "newest_day", "newest_day", TEXT, ALWAYS, means="The day. A day opens only if it is newer, so none opens twice."
)
CHARGE_ATTRIBUTES: Final = (
    Attribute("run_id", "run_id", TEXT, ALWAYS, means="Runflow's id of the run."),
    Attribute("charged_at", "charged_at", SECONDS, ALWAYS, means="When it was charged."),
    EXPIRES_AT,
)
NAME_ATTRIBUTES: Final = (
    Attribute("output_key", "output_key", TEXT, ALWAYS, means="The name, a key in the output bucket."),
    Attribute("source", "source", TEXT, ALWAYS, means="The photo, as the metadata of its outputs names it."),
)
ASKED_ATTRIBUTES: Final = (
    Attribute("request_id", "request_id", TEXT, ALWAYS, means="The request's own id."),
    Attribute("key", "key", TEXT, ALWAYS, means="The photo's key that it names."),
    Attribute("job_id", "job_id", TEXT, ALWAYS, means="The job of what was at the key when the request first came."),
    EXPIRES_AT,
)
INTAKE_ATTRIBUTES: Final = (
    Attribute("reason", "reason", REASON, "while paused or draining"),
    Attribute("since", "since", SECONDS, ALWAYS, NEVER),
    Attribute("draining", "draining", FLAG, TRUE, absent=False),
    Attribute("probe_at", "probe_at", SECONDS, ALWAYS, NEVER),
    Attribute("probes", "probes", WHOLE, ALWAYS, NEVER),
    Attribute("probe_job", "probe_job", TEXT, "while a probe has not answered"),
    Attribute("rev", "version", WHOLE, ALWAYS, NEVER),
)
SCAN_ATTRIBUTES: Final = (
    Attribute("since", "since", SECONDS, ALWAYS, NEVER),
    Attribute("place", "place", TEXT, "except where an earlier version wrote it", ""),
    Attribute("started_at", "started_at", SECONDS, ALWAYS, NEVER),
    Attribute("next_at", "next_at", SECONDS, ALWAYS, NEVER),
    Attribute("after_key", "after_key", TEXT, "while a scan is under way", ""),
    Attribute("after_version", "after_version", TEXT, "while a scan is under way", ""),
    Attribute("entries", "entries", WHOLE, ALWAYS, NEVER),
    Attribute("objects", "objects", WHOLE, "once it has seen any", 0),
    Attribute("completed_at", "completed_at", SECONDS, "since the first complete scan", 0.0),
    Attribute("too_large", "too_large", FLAG, TRUE, absent=False),
    Attribute("rev", "version", WHOLE, ALWAYS, NEVER),
)
BATCH_ATTRIBUTES: Final = (
    Attribute("counted_to", "counted_to", SECONDS, ALWAYS, NEVER),
    Attribute("active_at", "active_at", SECONDS, "once anything has ended", 0.0),
    Attribute("ends", "ends", COUNTS, "once anything has ended", ()),
    Attribute("usd", "usd", USD, ALWAYS, NEVER),
    Attribute("reused", "reused", WHOLE, "once a result was reused", 0),
    Attribute("first_upload", "first_upload", SECONDS, "once anything has ended", 0.0),
    Attribute("last_upload", "last_upload", SECONDS, "once anything has ended", 0.0),
    Attribute("waited", "waited", WHOLE, "once an event said that photos wait", 0),
    Attribute("rev", "version", WHOLE, ALWAYS, NEVER),
)
PICTURE_ATTRIBUTES: Final = (
    Attribute("rev", "version", WHOLE, ALWAYS, NEVER),
    Attribute("taken_by", "taken_by", TEXT, "while a job pays for it"),
    Attribute("taken_until", "taken_until", SECONDS, "while a job pays for it", 0.0),
    Attribute("also_taken_by", "also_taken_by", TEXTS, "while runs of others are used beside that one's", ()),
    Attribute("waiting", "waiting", TEXTS, "while jobs wait for that one", ()),
    Attribute("rejected_runs", "rejected_runs", TEXTS, "once a result was seen to be rejected", ()),
    Attribute("known_version", "known_version", WHOLE, "once known", 0),
)
RESULT_ATTRIBUTES: Final[tuple[Attribute, ...]] = (
    Attribute("source_key", "source_key", TEXT, "once known", ""),
    Attribute("outputs", "outputs", OUTPUTS, "once known", ()),
    Attribute("originals", "originals", OUTPUTS, "once known", ()),
    Attribute("older", "older", DELIVERIES, "once known under several names", ()),
    Attribute("run_id", "run_id", TEXT, "once known, where the job's run is"),
    Attribute("partial", "partial", FLAG, TRUE, absent=False),
    Attribute("replaced", "replaced", FLAG, TRUE, absent=False),
)
"""Of each result of a picture. Those of the first are on the picture's item itself."""
OTHER_RESULTS: Final = Attribute(
    "others",
    "results",
    RESULTS,
    "once other runs have made results of it",
    (),
    means="The results of other runs: of those that ended well after all, and of those before another was paid for.",
)
PICTURE_EXPIRES_AT: Final = Attribute(
    "expires_at", "expires_at", WHOLE, "unless known", means="When DynamoDB may delete the item (TTL)."
)
OUTPUT_ATTRIBUTES: Final = (
    Attribute("first_as", "first_as", TEXT, ALWAYS, means="Whether the bytes were first a `photo` or an `output`."),
    Attribute("job_id", "job_id", TEXT, "once delivered", means="The job that delivered them last."),
    Attribute("delivered_at", "delivered_at", SECONDS, "once delivered", means="When that was."),
    Attribute("sent_at", "sent_at", SECONDS, "once claimed", means="When they were last claimed as a photo."),
)
OVERRIDE_ATTRIBUTES: Final = (
    Attribute("paused", "paused", FLAG, "where the operator wrote it"),
    Attribute("limit_usd", "limit_usd", TEXT, "where the operator wrote it"),
)

DUE_INDEX: Final = Index("due", "lane", "due_at", ("state", "reason"))
OUTCOMES_INDEX: Final = Index("outcomes", "outcome", "closed_at", ())


def _written(attributes: Sequence[Attribute], value_of: Callable[[str], Any]) -> Item:
    item: Item = {}
    for attribute in attributes:
        value, absent = value_of(attribute.field), attribute.absent
        if absent is NEVER or value != absent:
            item[attribute.name] = {attribute.type.symbol: attribute.type.write(value)}
    return item


def _fields(attributes: Sequence[Attribute], item: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for attribute in attributes:
        name, absent = attribute.name, attribute.absent
        if absent is NEVER or name in item:
            values[attribute.field] = attribute.type.read(item[name][attribute.type.symbol])
        else:
            values[attribute.field] = absent
    return values


# Jobs


def job_pk(job_id: str) -> str:
    """The key of a job's item."""
    return f"job#{job_id}"


def job_id_of(item: Mapping[str, Any]) -> str:
    """The job id of an item, whole or as an index has it."""
    return str(item["pk"]["S"]).removeprefix("job#")


def outcome_of(state: State, day: str) -> str:
    """The partition of the outcomes index that has the jobs of one final state and day."""
    return f"{state}#{day}"


def job_item(job: Job) -> Item:
    """A job's item: flat, readable, and without what has no value. Raises ValueError as `kept` does."""
    job = kept(job)
    derived = {
        "pk": job_pk(job.job_id),
        "job_id": job.job_id,
        "due_shard": job.due_shard,
        "outcome": None if job.closed_at is None else outcome_of(job.state, day_of(job.closed_at)),
        "expires_at": job.expires_at,
        "total_cost": job.total_cost,
    }
    return (
        _written(DERIVED_ATTRIBUTES, derived.__getitem__)
        | _written(UPLOAD_ATTRIBUTES, partial(getattr, job.upload))
        | _written(JOB_ATTRIBUTES, partial(getattr, job))
        | (_written(RESERVATION_ATTRIBUTES, partial(getattr, job.reservation)) if job.reservation else {})
    )


def read_job(item: Mapping[str, Any]) -> Job:
    """The job of an item that `job_item` made. Raises KeyError or ValueError for another item."""
    return Job(
        upload=Upload(**_fields(UPLOAD_ATTRIBUTES, item)),
        reservation=read_reservation(item),
        **_fields(JOB_ATTRIBUTES, item),
    )


def place_of(item: Mapping[str, Any]) -> str | None:
    """Where a job stands, from its item in the due index: its state, for waiting jobs `waiting/<reason>`; None for a
    closed one, `unreadable` for one that this code cannot read.
    """
    try:
        state = State(item["state"]["S"])
        if state.terminal:
            return None
        return f"{state}/{Reason.of(item['reason']['S'])}" if state is State.WAITING else state.value
    except (KeyError, TypeError, ValueError):
        return "unreadable"


# Money


def day_pk(day: str) -> str:
    """The key of a day's budget."""
    return f"day#{day}"


def run_pk(run_id: str) -> str:
    """The key of an unmatched run that is charged."""
    return f"run#{run_id}"


def read_spent(item: Mapping[str, Any]) -> Decimal | None:
    """What is spent on a day, from its item; None where the day is not open, or what is spent is no number."""
    spent = item.get(SPENT.name, {}).get("N")
    return None if spent is None or OPENED_AT.name not in item else USD.read(spent)


def read_reused(item: Mapping[str, Any]) -> int:
    """How many results were reused on a day, from its item."""
    return int(item.get(REUSED.name, {}).get("N", "0"))


def read_reservation(item: Mapping[str, Any]) -> Reservation | None:
    """The reservation of a job's item or of a charged run's; None where there is none.

    Earlier versions counted images, in counters of their own (`slots` and `counter`): here they hold no dollars.
    """
    if "reserved_day" not in item:
        return None
    return Reservation(**_fields(RESERVATION_ATTRIBUTES, {"reserved_usd": {"N": "0"}} | dict(item)))


def charge_item(run_id: str, reservation: Reservation, now: float) -> Item:
    """The item of an unmatched run that is charged."""
    charge = {"run_id": run_id, "charged_at": now, "expires_at": int(now + LASTING_SECONDS)}
    return (
        {"pk": {"S": run_pk(run_id)}}
        | _written(RESERVATION_ATTRIBUTES, partial(getattr, reservation))
        | _written(CHARGE_ATTRIBUTES, charge.__getitem__)
    )


# Pictures


def picture_pk(picture_id: str) -> str:
    """The key of a picture's item."""
    return f"picture#{picture_id}"


def output_pk(output_id: str) -> str:
    """The key of the item of an output that was delivered."""
    return f"output#{output_id}"


def picture_item(picture: Picture, now: float) -> Item:
    """A picture's item."""
    item = (
        {"pk": {"S": picture_pk(picture.picture_id)}}
        | _written(PICTURE_ATTRIBUTES, partial(getattr, picture))
        | _written(RESULT_ATTRIBUTES, partial(getattr, picture.first))
        | _written((OTHER_RESULTS,), {OTHER_RESULTS.field: picture.results[1:]}.__getitem__)
    )
    if picture.expires:
        item[EXPIRES_AT.name] = {"N": WHOLE.write(int(max(now, picture.taken_until) + LASTING_SECONDS))}
    return item


def read_picture(picture_id: str, item: Mapping[str, Any] | None) -> Picture | None:
    """The picture of an item; a free one where there is no item, or one that nobody can read. None where its version
    cannot be read either: then nobody could replace exactly that one.
    """
    if not item:
        return Picture(picture_id=picture_id)
    rev = str(item.get("rev", {}).get("N", ""))
    if not (rev.isascii() and rev.isdigit() and int(rev) > 0):
        return None
    try:
        return Picture(picture_id=picture_id, results=_results(item), **_fields(PICTURE_ATTRIBUTES, item))
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        return Picture(picture_id=picture_id, version=int(rev))


def _results(item: Mapping[str, Any]) -> tuple[Result, ...]:
    first = Result(**_fields(RESULT_ATTRIBUTES, item))
    others: tuple[Result, ...] = _fields((OTHER_RESULTS,), item)[OTHER_RESULTS.field]
    return (first, *others) if others or first != Result() else ()


def output_item(job_id: str, now: float) -> Item:
    """What is kept of an output that was delivered."""
    output = {"first_as": OUTPUT, "job_id": job_id, "delivered_at": now}
    return _written([one for one in OUTPUT_ATTRIBUTES if one.field in output], output.__getitem__)


def name_item(output_key: str, source: str) -> Item:
    """The item of a name in the output bucket that is a photo's."""
    name = {"output_key": output_key, "source": source}
    pk = "name#" + hashlib.sha256(output_key.encode()).hexdigest()
    return {"pk": {"S": pk}} | _written(NAME_ATTRIBUTES, name.__getitem__)


def request_item(request_id: str, bucket: str, key: str, job_id: str, now: float) -> Item:
    """The item of a request by key, and of the job that it is for."""
    asked = {"request_id": request_id, "key": key, "job_id": job_id, "expires_at": int(now + LASTING_SECONDS)}
    pk = "request#" + hashlib.sha256(f"{request_id}\0{bucket}\0{key}".encode()).hexdigest()
    return {"pk": {"S": pk}} | _written(ASKED_ATTRIBUTES, asked.__getitem__)


# Uploads


def newest_upload_pk(bucket: str, key: str) -> str:
    """The key of the item of the newest upload of a key."""
    return "head#" + hashlib.sha256(f"{bucket}\0{key}".encode()).hexdigest()


def newest_upload_item(bucket: str, key: str, sequencer: str, etag: str) -> Item:
    """The item of the newest upload of a key, whose bytes are others than before."""
    newest = {
        "rank": sequencer_rank(sequencer),
        "sequencer": sequencer,
        "etag": etag,
        "same_since": sequencer_rank(sequencer),
        "bucket": bucket,
        "key": key,
    }
    return {"pk": {"S": newest_upload_pk(bucket, key)}} | _written(NEWEST_UPLOAD_ATTRIBUTES, newest.__getitem__)


def read_same_since(item: Mapping[str, Any]) -> str:
    """Since which upload a key has had the same bytes, from the item of its newest upload."""
    return str(item.get("same_since", item.get("rank", {"S": ""}))["S"])


def delivery_item(**values: Any) -> Item:
    """Some of the attributes that `deliver` writes, by the names of their fields, without those that have no value."""
    attributes = [attribute for attribute in DELIVERY_ATTRIBUTES if attribute.field in values]
    return _written(attributes, values.__getitem__)


def read_delivered(item: Mapping[str, Any], worker: str | None = None) -> Delivered:
    """What has been delivered of a photo, from the item of its newest upload as it was before a `worker` got the right
    to store outputs: what another one's right, which has run out by then, was for is unfinished.
    """
    values = _fields([one for one in DELIVERY_ATTRIBUTES if one.field in DELIVERED_FIELDS], item)
    holder = item.get("storing", {}).get("S") if worker is not None else None
    return Delivered(**values, unfinished=holder not in (None, worker))


# The intake


def intake_item(intake: Intake) -> Item:
    """The intake's item."""
    return {"pk": {"S": INTAKE_PK}} | _written(INTAKE_ATTRIBUTES, partial(getattr, kept_intake(intake)))


def read_intake(item: Mapping[str, Any]) -> Intake:
    """The intake of an item that `intake_item` made."""
    return Intake(**_fields(INTAKE_ATTRIBUTES, item))


def scan_item(scan: Scan) -> Item:
    """The item of the scan of the input bucket."""
    return {"pk": {"S": SCAN_PK}} | _written(SCAN_ATTRIBUTES, partial(getattr, kept_scan(scan)))


def read_scan(item: Mapping[str, Any]) -> Scan:
    """The scan of an item that `scan_item` made."""
    return Scan(**_fields(SCAN_ATTRIBUTES, item))


def batch_item(batch: Batch) -> Item:
    """The item of the batch under way."""
    return {"pk": {"S": BATCH_PK}} | _written(BATCH_ATTRIBUTES, partial(getattr, kept_batch(batch)))


def read_batch(item: Mapping[str, Any]) -> Batch:
    """The batch of an item that `batch_item` made."""
    return Batch(**_fields(BATCH_ATTRIBUTES, item))


_OVERRIDES: Final = ("pause", "limit")


def read_override(item: Mapping[str, Any]) -> Override:
    """What an operator wrote by hand: `paused` true or false, `limit_usd` an amount or "none", each as text or not.

    What cannot be understood pauses, as does a name that is nearly one of the two: nothing is paid for on a guess.
    """
    values = {name: str(value).strip().lower() for name, attribute in item.items() for value in attribute.values()}
    paused, limit = values.get("paused"), values.get("limit_usd")
    misspelt = any(word in name.lower() for name in values.keys() - {"paused", "limit_usd"} for word in _OVERRIDES)
    if misspelt or paused not in (None, "true", "false") or not _is_limit(limit):
        return Override(paused=True)
    return Override(paused=None if paused is None else paused == "true", limit_usd=limit)


def _is_limit(text: str | None) -> bool:
    try:
        return text is None or text == "none" or Decimal(text).is_finite()
    except InvalidOperation:
        return False
