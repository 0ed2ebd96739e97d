"""detag against what a user would write instead: the same photos, the same mock Runflow, the same faults."""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final
from urllib.parse import unquote

from benchmarks import contestants
from benchmarks.comparison import FAULTS, Comparison, Outcome
from benchmarks.contestants import RUN_SECONDS, Account, Contestant, Forwarded, Uploads
from tests.e2e.harness import number_of, photo

EQUAL: Final = 1 / 3
"""The share of the names under which a photo is uploaded that another name has too."""
TWICE: Final = 1 / 10
"""The share of the names that are uploaded a second time, unchanged."""


@dataclass(frozen=True)
class Photos:
    """What is uploaded: the number of the photo under each name, and the names that are uploaded again."""

    numbers: Mapping[str, int]
    again: Sequence[str]

    @property
    def distinct(self) -> int:
        """How many there are, equal ones taken together."""
        return len(set(self.numbers.values()))


def photos(count: int, seed: int = 1) -> Photos:
    """So many names. A third of them have a photo that another name has too; a tenth are uploaded twice."""
    chance = random.Random(seed)  # noqa: S311 - which ones matters to nobody
    distinct = count - round(count * EQUAL)
    numbers = [number % distinct for number in range(count)]
    chance.shuffle(numbers)
    names = [f"{place:04}.jpg" for place in range(count)]
    return Photos(dict(zip(names, numbers, strict=True)), chance.sample(names, round(count * TWICE)))


RULES: Final[Sequence[Mapping[str, Any]]] = (
    {"on": "create_run", "do": "delay", "seconds": 1.0, "when": "after"},
    {"on": "create_run", "do": "drop", "when": "after", "share": 0.02, "seed": 3},
    {"on": "create_run", "do": "status", "status": 429, "headers": {"Retry-After": "1"}, "share": 0.04, "seed": 11},
    {"on": "callback", "do": "lose", "share": 0.1, "seed": 7},
    {"on": "callback", "do": "duplicate", "copies": 1, "seconds": 1.0, "share": 0.1, "seed": 9},
)
"""The mock's fault rules. The seeds have each fault among the first forty requests, those of a quick run. Runflow takes
a second to answer a request for a run, so that a worker is killed while it waits for the answer.
"""


def measure(count: int, report: Callable[[str], None] = lambda _: None) -> Comparison:
    """Each contestant in turn, in an account of its own."""
    chosen, outcomes = photos(count), {}
    for contestant in contestants.ALL:
        report(f"{count} photos and {contestant.name}")
        with tempfile.TemporaryDirectory() as folder:
            outcomes[contestant.name] = run(contestant, chosen, Path(folder) / "account", RULES, count // 4)
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    return Comparison(when, RUN_SECONDS, count, chosen.distinct, len(chosen.again), outcomes)


def run(
    contestant: Contestant,
    chosen: Photos,
    folder: Path,
    rules: Sequence[Mapping[str, Any]] = (),
    kill_after: int | None = None,
) -> Outcome:
    """One contestant from the first upload to its end. A worker is killed after so many requests to create a run."""
    with contestant.account(folder) as account:
        account.admin("POST", "faults", {"rules": list(rules)})
        before = account.requests()
        uploaded_at: dict[str, float] = {}
        uploads = Uploads(
            first=lambda: _upload(account, chosen.numbers, uploaded_at),
            again=lambda: _upload(account, {name: chosen.numbers[name] for name in chosen.again}, {}),
            count=len(chosen.numbers) + len(chosen.again),
            kill_after=kill_after,
        )
        forwarded = contestant.run(account, uploads)
        requests = account.requests() - before
        return _outcome(account, chosen, uploaded_at, forwarded, requests)


def _upload(account: Account, numbers: Mapping[str, int], at: dict[str, float]) -> None:
    s3, bucket = account.client("s3"), account.description["input_bucket"]

    def put(name: str) -> None:
        s3.put_object(Bucket=bucket, Key=name, Body=photo(numbers[name]), ContentType="image/jpeg")
        at[name] = time.time()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, numbers))


def _outcome(
    account: Account, chosen: Photos, uploaded_at: Mapping[str, float], forwarded: Forwarded, requests: Counter[str]
) -> Outcome:
    stored_at = _stored(account, chosen)
    billing = account.admin("GET", "billing")
    charged = Counter(_name(one["image"]) for one in billing["per_run"] if Decimal(one["cost"] or 0))
    uploaded = Counter([*chosen.numbers, *chosen.again])
    twice = sum((charged - uploaded).values())
    paid_for = {chosen.numbers[name] for name in charged}
    waits = [at - uploaded_at[name] - RUN_SECONDS + forwarded.before(at) for name, at in stored_at.items()]
    fired = {f"{rule['on']}/{rule['do']}": rule["fired"] for rule in account.admin("GET", "faults")}
    return Outcome(
        lost=len(chosen.numbers) - len(stored_at),
        delivered=len({chosen.numbers[name] for name in stored_at}),
        paid_runs=billing["paid_runs"],
        usd=float(billing["total"]),
        paid_twice=twice,
        paid_equal=charged.total() - twice - len(paid_for),
        seconds=round(median(waits), 2) if waits else 0.0,
        seconds_95=round(quantiles(waits, n=20)[18], 2) if len(waits) > 1 else 0.0,
        forwarded=sum(seconds for _, seconds in forwarded.moves),
        requests=dict(sorted(requests.items())),
        met={name: fired[rule] for name, rule in FAULTS.items() if rule in fired},
    )


def _stored(account: Account, chosen: Photos) -> dict[str, float]:
    """When the first output of each name was stored, for those whose output is made from their own photo."""
    s3, bucket = account.client("s3"), account.description["output_bucket"]
    first: dict[str, float] = {}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for version in page.get("Versions", []):
            at = version["LastModified"].timestamp()
            first[version["Key"]] = min(at, first.get(version["Key"], at))

    def is_right(name: str) -> bool:
        body = s3.get_object(Bucket=bucket, Key=name)["Body"].read()
        return number_of(body) == chosen.numbers[name]

    return {name: at for name, at in first.items() if name in chosen.numbers and is_right(name)}


def _name(image: str) -> str:
    """The key in `host/bucket/key`."""
    return unquote(image.split("/", 2)[2])
