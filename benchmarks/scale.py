"""A million photos a day, ten million items: the numbers of docs/scale.md and of the claims in docs/decisions/money.md, by
arithmetic and by a simulation of a day.

Nothing is measured here: the durations are those of results.md, rounded up.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from dataclasses import dataclass
from typing import Final

from benchmarks.calls import IDLE_MINUTE, PER_PHOTO
from benchmarks.cost import CONCURRENCY, RUNFLOW_USD, Line
from benchmarks.report import table
from detag.adapters.dynamodb import TRIES
from detag.domain.job import DUE_SHARDS
from detag.domain.waits import CONTENTION
from detag.services.reconcile import DUE_BATCH, RELEASE_BATCH

DAY: Final = 86_400
PHOTOS: Final = 1_000_000
PEAK: Final = 3.0
"""The busiest hour over the mean: assumed, an office that works by day."""
SUBMIT_BATCH_S: Final = 0.8
"""Ten photos at 512 MB, Runflow answering after 300 ms."""
DELIVER_S: Final = 1.0
CALLBACK_S: Final = 0.08
RUN_S: Final = 35.0
"""How long a run takes: a sibling of the model was reported at 20 to 45 s (contract section 3, "Speed")."""
WRITE_UNITS: Final = 16
TRANSACTION_S: Final = 0.01
"""How long a transaction is taken to keep others from its items. Nothing is published; AWS names single-digit
milliseconds for a write, and a transaction prepares before it writes.
"""
ITEM_BYTES: Final = 1_200
INDEX_ITEM_BYTES: Final = 150

MEAN: Final = PHOTOS / DAY
BUSIEST: Final = MEAN * PEAK


@dataclass(frozen=True)
class Claims:
    """How claims got on: shares of them, and seconds."""

    met: float
    """The share that met another's transaction at first."""
    mean: float
    slowest: float
    """The wait at the 99th percentile."""
    put_off: float
    """The share that found the item taken at every try."""


@dataclass(frozen=True)
class Limit:
    """A limit: the photos a second at which it is reached, and how that is calculated."""

    name: str
    photos_per_second: float
    working: str
    source: str
    ours: bool = False
    """Whether it is a setting of detag's own."""


def limits() -> list[Limit]:
    """All that are known, the lowest first."""
    reads = sum(times for name, times in PER_PHOTO["submit"].items() if name == "dynamodb.GetItem") - 1
    found = [
        Limit(
            "`MaxConcurrency` of `deliver`",
            CONCURRENCY / DELIVER_S,
            f"{CONCURRENCY} at a time, {DELIVER_S:g} s each",
            "template.yaml, its default: what a new account's 10 executions leave",
            ours=True,
        ),
        Limit(
            "release of photos that waited for intake",
            RELEASE_BATCH / 60,
            f"{RELEASE_BATCH} a minute (RELEASE_BATCH)",
            "services/reconcile.py",
            ours=True,
        ),
        Limit(
            "results whose callback never came",
            DUE_BATCH / 60,
            f"{DUE_BATCH:,} a minute (DUE_BATCH)",
            "services/reconcile.py",
            ours=True,
        ),
        Limit(
            "`MaxConcurrency` of `submit`",
            CONCURRENCY * 10 / SUBMIT_BATCH_S,
            f"{CONCURRENCY} batches of 10 at a time, {SUBMIT_BATCH_S:g} s each",
            "template.yaml, as above",
            ours=True,
        ),
        Limit(
            "a new table's writes",
            4_000 / WRITE_UNITS,
            f"4,000 units a second at first, {WRITE_UNITS} per photo; doubles within 30 minutes",
            "DynamoDB Developer Guide, on-demand capacity mode: initial throughput",
        ),
        Limit(
            "an account's 1,000 executions",
            1_000 / (DELIVER_S + SUBMIT_BATCH_S / 10 + CALLBACK_S),
            "all functions together; a new account has 10 until it requests more",
            "Lambda quotas",
        ),
        Limit(
            "the index `outcomes`: one key for a state and day",
            1_000.0,
            "1,000 units a second in a partition, 1 per photo",
            "DynamoDB Developer Guide, partitions",
        ),
        Limit(
            "the route's throttle",
            1_000.0,
            "one callback per photo",
            "template.yaml (API Gateway itself: 10,000 per account)",
            ours=True,
        ),
        Limit(
            "the index `due`",
            1_000 * DUE_SHARDS / 4,
            f"{DUE_SHARDS} shards of 1,000 units a second, 4 per photo: in, moved (2), out",
            "DynamoDB Developer Guide, partitions; domain/job.py",
        ),
        Limit(
            "intake and override, read for every photo",
            3_000 / (reads / 2),
            "3,000 consistent reads a second of one item, 1 of each per photo",
            "DynamoDB Developer Guide, partitions",
        ),
        Limit(
            "the output bucket's writes",
            3_500.0,
            "3,500 a second per prefix",
            "S3 User Guide, performance guidelines",
        ),
        Limit(
            "the day's budget",
            1 / TRANSACTION_S,
            f"one item, one transaction at a time on it, {1_000 * TRANSACTION_S:.0f} ms",
            "DynamoDB API Reference, TransactWriteItems: one fails while another is using the same item",
        ),
    ]
    return sorted(found, key=lambda limit: limit.photos_per_second)


def day(concurrency: int, seed: int = 1) -> tuple[int, float]:
    """A day minute by minute, arrivals as in an office: the longest queue for `deliver`, and the hours after midnight that it
    takes to clear.
    """
    chance = random.Random(seed)  # noqa: S311 - a simulation
    line = longest = 0.0
    for minute in range(1_440):
        rate = MEAN * (PEAK if 9 * 60 <= minute < 15 * 60 else (1 - PEAK * 0.25) / 0.75)
        arrived = max(0.0, chance.gauss(rate * 60, (rate * 60) ** 0.5))
        line = max(0.0, line + arrived - concurrency / DELIVER_S * 60)
        longest = max(longest, line)
    return round(longest), line / (concurrency / DELIVER_S) / 3_600


def claims(rate: float, seconds: float = TRANSACTION_S, photos: int = 100_000, seed: int = 1) -> Claims:
    """What becomes of claims that arrive at random, at this rate, if one transaction at a time can use the day's item:
    the others fail and are retried as `DynamoJobStore` does.
    """
    chance = random.Random(seed)  # noqa: S311 - a simulation
    arrivals = itertools.accumulate(chance.expovariate(rate) for _ in range(photos))
    line = [(at, number, 0, at) for number, at in enumerate(arrivals)]
    free_at, met, put_off, waits = 0.0, 0, 0, []
    while line:
        now, number, tries, since = heapq.heappop(line)
        if now >= free_at:
            free_at = now + seconds
            waits.append(now - since)
        else:
            met += tries == 0
            if tries + 1 == TRIES:
                put_off += 1
            else:
                pause = seconds / 2 + CONTENTION.seconds(tries, chance.uniform)
                heapq.heappush(line, (now + pause, number, tries + 1, since))
    waits.sort()
    return Claims(met / photos, sum(waits) / len(waits), waits[int(0.99 * len(waits))], put_off / photos)


def claims_table() -> str:
    """The table of docs/decisions/money.md."""
    most = CONCURRENCY * 10 / SUBMIT_BATCH_S
    cases = ((0.005, BUSIEST), (0.01, BUSIEST), (0.01, most), (0.02, MEAN), (0.02, BUSIEST))
    rows = [
        (
            f"{1_000 * seconds:.0f} ms",
            f"{rate:.0f}",
            f"{100 * one.met:.0f} %",
            f"{1_000 * one.mean:.0f} ms",
            f"{one.slowest:.1f} s",
            f"{100 * one.put_off:.1g} %" if one.put_off else "none",
        )
        for seconds, rate, one in ((seconds, rate, claims(rate, seconds)) for seconds, rate in cases)
    ]
    heads = ("the item is in use for", "claims a second", "meet another", "wait, mean", "99th percentile", "put off")
    return table(heads, rows)


def unevenness(jobs: int = PHOTOS, seed: int = 1) -> float:
    """How much more than its share the fullest shard of the due index has."""
    chance = random.Random(seed)  # noqa: S311 - a simulation
    return max(Counter(chance.getrandbits(32) % DUE_SHARDS for _ in range(jobs)).values()) / (jobs / DUE_SHARDS) - 1


def numbers() -> str:
    """The tables of docs/scale.md."""
    rows = [
        (
            limit.name,
            f"{limit.photos_per_second:,.0f}",
            f"{limit.photos_per_second * DAY / 1e6:,.1f} million",
            limit.working,
            limit.source,
        )
        for limit in limits()
    ]
    pages = PHOTOS * INDEX_ITEM_BYTES / 1_048_576
    status_units = PHOTOS * INDEX_ITEM_BYTES / 4_096 / 2
    idle = IDLE_MINUTE["dynamodb.GetItem"] + IDLE_MINUTE["dynamodb.Query"] / 2
    needed = int(BUSIEST * DELIVER_S) + 1
    raised = needed + 5
    few, few_hours = day(CONCURRENCY)
    enough, enough_hours = day(raised)
    burst = raised * 10 / SUBMIT_BATCH_S
    crowded = claims(burst)
    facts = [
        ("photos a second, mean and busiest hour", f"{MEAN:.1f} and {BUSIEST:.1f}"),
        ("runs in progress at Runflow at once", f"{MEAN * RUN_S:,.0f} and {BUSIEST * RUN_S:,.0f}, at {RUN_S:.0f} s each"),
        ("what Runflow charges", f"${PHOTOS * RUNFLOW_USD:,.0f} a day"),
        ("DynamoDB writes", f"{BUSIEST * WRITE_UNITS:,.0f} units a second in the busiest hour"),
        *(
            (
                f"claims at {rate:.1f} a second on the day's one item (simulated)",
                f"{100 * one.met:.0f} % meet another; the mean wait is {1_000 * one.mean:.0f} ms, {one.slowest:.1f} s at the 99th percentile; {100 * one.put_off:.2f} % are put off for half a minute",
            )
            for rate, one in ((rate, claims(rate)) for rate in (MEAN, BUSIEST))
        ),
        (
            f"claims of a burst with `MaxConcurrency` {raised}, {burst:.0f} a second (simulated)",
            f"{100 * crowded.put_off:.0f} % are put off for half a minute: {1 / TRANSACTION_S:.0f} a second get through",
        ),
        ("the fullest shard of the due index", f"{100 * unevenness():.1f} % above its share (simulated)"),
        ("messages in flight at SQS", f"{CONCURRENCY * 10 + CONCURRENCY}, of 120,000 (SQS quotas); any number may be waiting"),
        ("reconcile, a minute in which nothing is due", f"{sum(IDLE_MINUTE.values())} calls, {idle:.0f} read units, however large the table is: the indexes are sparse"),
        ("reconcile, `StatusCommand`", f"{pages:,.0f} pages of the day's closed jobs, {status_units:,.0f} read units (${Line('', status_units, 'dynamodb_read_unit').usd:.3f}), under 10 s"),
        ("10 million items", f"{10_000_000 * ITEM_BYTES / 1e9:.0f} GB, $3 a month; 90 days at this pace are {90 * PHOTOS * ITEM_BYTES / 1e9:.0f} GB"),
        (f"a day with `MaxConcurrency` {CONCURRENCY} (simulated)", f"{few:,} results queued at most, cleared {few_hours:.0f} hours after midnight: more arrive than are delivered"),
        (f"a day with `MaxConcurrency` {raised} (simulated)", f"{enough:,} queued at most, {enough_hours:.0f} hours"),
    ]  # fmt: skip
    first = limits()[0]
    return "\n\n".join(
        (
            table(("", f"{PHOTOS:,} photos a day"), facts),
            table(("limit", "photos a second", "a day", "how", "source"), rows),
            f"**The first limit: {first.name}**, at {first.photos_per_second * DAY:,.0f} photos a day.",
        )
    )
