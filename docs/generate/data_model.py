"""The page of the job table's items: `docs/data-model.md`."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Final

from detag.adapters.job_items import (
    ALWAYS,
    ASKED_ATTRIBUTES,
    BATCH_ATTRIBUTES,
    BATCH_PK,
    CHARGE_ATTRIBUTES,
    DAY_ATTRIBUTES,
    DELIVERY_ATTRIBUTES,
    DERIVED_ATTRIBUTES,
    DUE_INDEX,
    INTAKE_ATTRIBUTES,
    INTAKE_PK,
    JOB_ATTRIBUTES,
    NAME_ATTRIBUTES,
    NEWEST_DAY,
    NEWEST_DAY_PK,
    NEWEST_UPLOAD_ATTRIBUTES,
    OTHER_RESULTS,
    OUTCOMES_INDEX,
    OUTPUT_ATTRIBUTES,
    OVERRIDE_ATTRIBUTES,
    OVERRIDE_PK,
    PICTURE_ATTRIBUTES,
    PICTURE_EXPIRES_AT,
    RESERVATION_ATTRIBUTES,
    RESULT_ATTRIBUTES,
    SCAN_ATTRIBUTES,
    SCAN_PK,
    UPLOAD_ATTRIBUTES,
    WRITTEN_BY,
    Attribute,
    Index,
    Item,
    job_item,
)
from detag.domain.batches import Batch
from detag.domain.intake import Intake, Override
from detag.domain.job import (
    DAY_SECONDS,
    DUE_SHARDS,
    RETENTION_SECONDS,
    Job,
    Reservation,
    Upload,
    accept,
    claim,
    deliver,
    new,
)
from detag.domain.missed_uploads import Scan
from detag.domain.picture import Picture, Result
from detag.ports.items import LASTING_SECONDS
from docs.generate.markdown import table

INDEXES: Final = (DUE_INDEX, OUTCOMES_INDEX)
LASTING: Final = f"{LASTING_SECONDS // DAY_SECONDS} days"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of item."""

    title: str
    pk: str
    about: str
    writers: str
    """The functions that write it."""
    methods: tuple[str, ...]
    """The methods of the job store by which they do; none for an item that detag never writes, or only with a job."""
    expires: str
    attributes: tuple[tuple[type | None, tuple[Attribute, ...]], ...]
    """With the class whose fields they keep, where there is one."""


def _always(one: Attribute) -> Attribute:
    return Attribute(one.name, one.field, one.type, ALWAYS, one.absent, means=one.means)


KINDS: Final = (
    Kind(
        "A job",
        "job#<job id>",
        "One uploaded version of one photo. Its states and reasons are in [states.md](states.md). Each write replaces "
        "the item while it still has the `rev` that was read; where money moves, the day's budget is in the "
        "same transaction.",
        "submit, deliver, reconcile",
        ("save",),
        f"{RETENTION_SECONDS // DAY_SECONDS} days after the job was closed; never while anything is pending.",
        (
            (Job, DERIVED_ATTRIBUTES),
            (Upload, UPLOAD_ATTRIBUTES),
            (Job, JOB_ATTRIBUTES),
            (Reservation, RESERVATION_ATTRIBUTES),
            (None, (WRITTEN_BY,)),
        ),
    ),
    Kind(
        "The newest upload of a key",
        "head#<SHA-256 of bucket and key, hexadecimal>",
        "Of two photos of one name only the newer is sent to Runflow: before submit claims a job, it records the job's "
        "upload here, unless a newer one is known already.",
        "submit",
        ("raise_newest_upload",),
        "never.",
        ((None, NEWEST_UPLOAD_ATTRIBUTES),),
    ),
    Kind(
        "The same item: what was delivered of the key",
        "head#<SHA-256 of bucket and key, hexadecimal>",
        "Newest wins over all the names that outputs of a photo may have: one worker at a time stores them, knows by "
        "this item which version was delivered and where its outputs and its record are, and removes what it replaces.",
        "submit, deliver",
        ("begin_delivery",),
        "never: without it an old photo would be paid for again, and its result dropped as older than its output.",
        ((None, DELIVERY_ATTRIBUTES),),
    ),
    Kind(
        "A day's budget",
        "day#<YYYY-MM-DD>",
        "What is spent on one UTC day. A claim adds its price in the transaction that writes the job, and only while "
        "the limit allows it. The limit is not kept: each claim brings its own. Money that is returned, and what a run "
        "cost without a claim or beyond one, changes it in such a transaction too, whether the day was opened or not.",
        "submit, deliver",
        ("open_day", "charge"),
        f"{LASTING} after the day was opened; if it never was, after money was first counted on it.",
        ((None, DAY_ATTRIBUTES),),
    ),
    Kind(
        "The newest day",
        NEWEST_DAY_PK,
        "The newest day whose budget was opened. A budget that is gone though its day is not newer than this one was "
        "deleted: nothing more is paid on that day.",
        "submit",
        ("open_day",),
        "never.",
        ((None, (NEWEST_DAY,)),),
    ),
    Kind(
        "A picture",
        "picture#<hash>",
        "What equal photos share, by ETag, size and everything that decides the result. It is paid for once: a claim "
        "takes it, a delivery makes it known, and whatever else ends the claim leaves it, each in the transaction that "
        "writes the job. Each write replaces the item while it still has the `rev` that was seen; an item that cannot "
        "be read counts as none. Of its results the first is kept in the attributes from `source_key` to `replaced`.",
        "submit, deliver",
        (),
        f"{LASTING} after it was last written; never while outputs of it are known.",
        (
            (Picture, PICTURE_ATTRIBUTES),
            (Result, RESULT_ATTRIBUTES),
            (Picture, (OTHER_RESULTS,)),
            (None, (PICTURE_EXPIRES_AT,)),
        ),
    ),
    Kind(
        "A delivered output",
        "output#<hash>",
        "What was claimed as a photo or delivered, by ETag and size. A claim is refused where its photo was first an "
        "output: detag's own outputs are not cleaned again. A photo that Runflow gave back as it was stays a photo.",
        "submit, deliver",
        (),
        "never.",
        ((None, OUTPUT_ATTRIBUTES),),
    ),
    Kind(
        "A name in the output bucket",
        "name#<SHA-256 of the name, hexadecimal>",
        "With OutputName replace two photos may ask for one name: it is the first one's for good.",
        "submit, deliver",
        ("claim_name",),
        "never.",
        ((None, NAME_ATTRIBUTES),),
    ),
    Kind(
        "A request to reopen by key",
        "request#<SHA-256 of its id, the bucket and the key, hexadecimal>",
        "SQS may deliver a request again when another upload is at its key: it is for the job that it first led to.",
        "submit",
        ("claim_request",),
        f"{LASTING} after it came.",
        ((None, ASKED_ATTRIBUTES),),
    ),
    Kind(
        "A charged run",
        "run#<run id>",
        "An unmatched run: one that was or may be paid for, and that no job has as its own. The item is written "
        "together with the charge, so that each run is charged once.",
        "submit, deliver",
        ("charge",),
        f"{LASTING} after it was charged.",
        (
            (Reservation, tuple(map(_always, RESERVATION_ATTRIBUTES))),
            (None, CHARGE_ATTRIBUTES),
        ),
    ),
    Kind(
        "The intake",
        INTAKE_PK,
        "Whether photos are accepted now. Without this item the intake is open. Each write replaces it while it still "
        "has the `rev` that was read.",
        "submit, reconcile",
        ("save_intake",),
        "never.",
        ((Intake, INTAKE_ATTRIBUTES), (None, (_always(WRITTEN_BY),))),
    ),
    Kind(
        "The scan of the input bucket",
        SCAN_PK,
        "Where reconcile stands in its search for uploads that had no event. Each write replaces it while it still has "
        "the `rev` that was read.",
        "reconcile",
        ("save_scan",),
        "never.",
        ((Scan, SCAN_ATTRIBUTES), (None, (_always(WRITTEN_BY),))),
    ),
    Kind(
        "The batch under way",
        BATCH_PK,
        "What has ended since the last batch was finished. Each write replaces it while it still has the `rev` that "
        "was read.",
        "reconcile",
        ("save_batch",),
        "never.",
        ((Batch, BATCH_ATTRIBUTES), (None, (_always(WRITTEN_BY),))),
    ),
    Kind(
        "The override",
        OVERRIDE_PK,
        "What an operator wrote to override parameters without a deploy. Text and numbers are understood too, whatever "
        "the type says. What can't be understood pauses the intake.",
        "the operator",
        (),
        "never; delete it to end the override.",
        ((Override, OVERRIDE_ATTRIBUTES),),
    ),
)

HEAD: Final = """\
# The job table

<!-- Drawn from the code by `make generate`: change layers/detag/python/detag/adapters/job_items.py, or the docstrings
of the fields in layers/detag/python/detag/domain. -->

One DynamoDB table keeps everything that must outlive a function. The prefix of its key `pk` says what an item is. Items
are flat, in DynamoDB's own types, so that people can read them in the console. An attribute that has no value is left
out. Some stored names are older than the names in the code: they stay, since neither items nor indexes can be renamed
in place.
"""


def draw() -> str:
    """The page, as Markdown."""
    parts = [HEAD, table(("item", "key `pk`", "written by"), map(_overview, KINDS))]
    for kind in KINDS:
        parts += [
            f"## {kind.title}\n",
            f"`{kind.pk}`. {kind.about}\n",
            f"Written by: {kind.writers}. Expires: {kind.expires}\n",
            table(("stored", "in the code", "type", "is", "there", *_index_head(kind)), _rows(kind)),
        ]
    parts += [
        "## Indexes\n",
        "Both are sparse: an item is in an index only while it has both of its keys. They may lag behind the table.\n",
        table(("index", "partition key", "sort key", "besides these and `pk`", "read"), map(_index, INDEXES)),
        "## An example\n",
        "A photo that was delivered, as DynamoDB's API gives its item:\n",
        "```json\n" + _json(example()) + "\n```\n",
    ]
    return "\n".join(parts)


def _overview(kind: Kind) -> tuple[str, ...]:
    anchor = kind.title.lower().replace(" ", "-").replace("'", "").replace(":", "")
    return (f"[{kind.title}](#{anchor})", f"`{kind.pk}`", kind.writers)


def _index_head(kind: Kind) -> tuple[str, ...]:
    return ("index",) if _is_indexed(kind) else ()


def _is_indexed(kind: Kind) -> bool:
    """An item that lacks the partition key of an index is never in it."""
    names = {attribute.name for _, attributes in kind.attributes for attribute in attributes}
    return any(index.partition in names for index in INDEXES)


def _rows(kind: Kind) -> Iterator[tuple[str, ...]]:
    for owner, attributes in kind.attributes:
        for attribute in attributes:
            named = owner is not None and hasattr(owner, attribute.field)
            yield (
                f"`{attribute.name}`",
                f"`{owner.__name__}.{attribute.field}`" if owner is not None and named else "",
                f"{attribute.type.symbol}: {attribute.type.means}",
                attribute.means or _docstrings(owner)[attribute.field],
                attribute.when,
                *((_in_indexes(attribute.name),) if _is_indexed(kind) else ()),
            )


def _in_indexes(name: str) -> str:
    def part(index: Index) -> str:
        places = {index.partition: "partition key", index.sort: "sort key"} | dict.fromkeys(
            index.projected, "projected"
        )
        return f"`{index.name}`: {places[name]}" if name in places else ""

    return "both" if name == "pk" else "; ".join(filter(None, map(part, INDEXES)))


ASKED: Final = {
    DUE_INDEX.name: "by reconcile each minute, for what is due (`due#<n>`) and what waits for the intake (`held#<n>`), "
    f"n from 0 to {DUE_SHARDS - 1}; for the status report, which counts open jobs by state and reason",
    OUTCOMES_INDEX.name: "for the status report, which counts how the jobs of a day ended",
}


def _index(index: Index) -> tuple[str, ...]:
    projected = ", ".join(f"`{name}`" for name in index.projected) or "nothing"
    return (f"`{index.name}`", f"`{index.partition}`", f"`{index.sort}`", projected, ASKED[index.name])


@cache
def _docstrings(owner: type) -> dict[str, str]:
    """What the source says of each field and property of a class, on one line."""
    (body,) = (node.body for node in ast.parse(inspect.getsource(owner)).body if isinstance(node, ast.ClassDef))
    found = {}
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            match following:
                case ast.Expr(ast.Constant(str(text))):
                    found[node.target.id] = text
        elif isinstance(node, ast.FunctionDef):
            found[node.name] = ast.get_docstring(node) or ""
    return {name: " ".join(text.split()) for name, text in found.items()}


def example() -> Item:
    """A delivered job's item, made by the transitions that a photo takes."""
    now = 1_795_431_600.0
    upload = Upload(
        bucket="shop-photos",
        key="shoes/red.jpg",
        version_id="Q7c1v0ZpT3mXw9sBn5KdYh2JrLf8UaGe",
        sequencer="0055AED6DCD90281E5",
        etag="5f0c2c9e7b1d4a86b3f2a1908e7d6c54",
        size=2_417_664,
        uploaded_at=now,
    )
    claimed = claim(
        new(upload, now + 1.5),
        submission_no=1,
        body="{}",
        reservation=Reservation("2026-11-23", Decimal("0.14")),
        content_type="image/jpeg",
        source_metadata=(),
        now=now + 1.75,
        lease_until=now + 91.75,
        url_expires_at=now + 21_601.75,
    )
    submitted = accept(claimed, "3c0a8f0e-6f3c-4b1e-9d1c-2b1f6a7e5d40", now + 2.25, now + 302.25)
    delivered = deliver(submitted, ("shoes/red.jpg",), now + 24.125, cost="0.14", partial=False)
    return job_item(delivered) | {WRITTEN_BY.name: {"S": "9b2f6c1e4d7a48f0a5c3e8d21b6f7094"}}


def _json(item: Item) -> str:
    lines = (f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in item.items())
    return "{\n" + ",\n".join(lines) + "\n}"
