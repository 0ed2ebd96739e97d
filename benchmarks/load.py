"""Many photos at once on the local stack, pixel work off: is any lost or paid twice, and how fast do they finish."""

from __future__ import annotations

import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

from benchmarks.cost import CONCURRENCY
from benchmarks.stubs import jpeg
from local.stack.stack import Options, Stack, running

PATIENCE_S: Final = 480.0
"""A run whose callback was lost is first looked up after five minutes."""
CLOSED: Final = ("delivered", "failed", "cancelled", "skipped", "superseded")
STATES: Final = ("queued", "submitting", "at Runflow and back")


@dataclass(frozen=True)
class Load:
    """The result. `samples` are moments (s since the first photo) with the photos in each state."""

    photos: int
    lost: int
    paid_twice: int
    dead_letters: int
    dropped_s: float
    drained_s: float
    busy: dict[str, int]
    """The most processes of each function busy at the same time."""
    spans: dict[str, tuple[float, float]]
    """Seconds that photos spent in each state: median and 95th percentile."""
    samples: list[tuple[float, dict[str, int]]] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Photos, from the first upload to the last delivery."""
        return self.photos / self.drained_s


def photo(number: int) -> bytes:
    """A small photo unlike any other."""
    blank, mark = jpeg(2_000), f"{number:08}".encode()
    return blank[:100] + mark + blank[108:]


def measure(photos: int, report: Callable[[str], None] = lambda _: None) -> Load:
    """Upload them and wait until all are closed, or none has changed for PATIENCE_S."""
    with tempfile.TemporaryDirectory() as folder:
        options = Options(
            folder=Path(folder) / "stack",
            processes=CONCURRENCY,
            runflow=("--pixels", "copy", "--output-type", "same", "--workers", "8", "--balance", str(photos)),
        )
        with running(options, report) as stack:
            return _LoadTest(stack, photos, report).run()


class _LoadTest:
    def __init__(self, stack: Stack, photos: int, report: Callable[[str], None]) -> None:
        self._stack, self._photos, self._report = stack, photos, report
        self._s3, self._table, self._sqs = (stack.client(name) for name in ("s3", "dynamodb", "sqs"))
        self._busy: dict[str, int] = defaultdict(int)
        self._samples: list[tuple[float, dict[str, int]]] = []

    def run(self) -> Load:
        began, wall = time.monotonic(), time.time()
        with ThreadPoolExecutor(4) as pool:
            dropped = pool.submit(self._drop, began)
            self._watch(began)
            dropped_s = dropped.result()
        items = self._items()
        closed = [float(item["closed_at"]) for item in items if "closed_at" in item]
        return Load(
            photos=self._photos,
            lost=self._photos - self._delivered(items),
            paid_twice=self._paid_twice(),
            dead_letters=self._dead_letters(),
            dropped_s=dropped_s,
            drained_s=max(closed, default=wall) - wall,
            busy=dict(self._busy),
            spans=_spans(items),
            samples=self._samples,
        )

    def _drop(self, began: float) -> float:
        bucket = self._stack.description["input_bucket"]
        with ThreadPoolExecutor(4) as pool:
            list(
                pool.map(
                    lambda number: self._s3.put_object(Bucket=bucket, Key=f"{number}.jpg", Body=photo(number)),
                    range(self._photos),
                )
            )
        return time.monotonic() - began

    def _watch(self, began: float) -> None:
        """Sample the processes often and the job table now and then, until all are closed."""
        moved, last = time.monotonic(), -1
        while True:
            for _ in range(10):
                busy = Counter(one["function"] for one in self._stack.function_processes() if one["state"] == "busy")
                for name, kind in self._stack.description["functions"].items():
                    self._busy[name] = max(self._busy[name], busy[kind])
                time.sleep(0.3)
            states = Counter(item["state"] for item in self._items())
            done = sum(states[state] for state in CLOSED)
            self._samples.append((time.monotonic() - began, dict(states)))
            self._report(f"{done} of {self._photos} done after {time.monotonic() - began:.0f} s")
            if done != last:
                moved, last = time.monotonic(), done
            if done == self._photos or time.monotonic() - moved > PATIENCE_S:
                return

    def _items(self) -> list[dict[str, Any]]:
        names = ("pk", "key", "state", "uploaded_at", "claimed_at", "submitted_at", "closed_at")
        pages = self._table.get_paginator("scan").paginate(
            TableName=self._stack.description["job_table"],
            ProjectionExpression=", ".join(f"#{name}" for name in names),
            ExpressionAttributeNames={f"#{name}": name for name in names},
        )
        items = [
            {name: next(iter(value.values())) for name, value in item.items()}
            for page in pages
            for item in page["Items"]
        ]
        return [item for item in items if item["pk"].startswith("job#")]

    def _delivered(self, items: Sequence[dict[str, Any]]) -> int:
        """Photos whose item says so and whose own output is there."""
        bucket = self._stack.description["output_bucket"]
        done = {item["key"] for item in items if item["state"] == "delivered"}

        def is_there(number: int) -> bool:
            key = f"{number}.jpg"
            return key in done and self._s3.get_object(Bucket=bucket, Key=key)["Body"].read() == photo(number)

        with ThreadPoolExecutor(4) as pool:
            return sum(pool.map(is_there, range(self._photos)))

    def _paid_twice(self) -> int:
        """Charged runs beyond the first of each photo, as Runflow bills them."""
        with self._stack.runflow_admin() as runflow:
            billing = runflow.get("billing?runs=false").json()
        charged: Counter[str] = Counter()
        for reference, entry in billing["by_client_ref"].items():  # job id and submission
            charged[reference.partition(".")[0]] += entry["paid"]
        return sum(times - 1 for times in charged.values() if times)

    def _dead_letters(self) -> int:
        urls = [url for name, url in self._stack.description.items() if name.endswith("dead_letter_queue_url")]
        asked = [
            self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]) for url in urls
        ]
        return sum(int(answer["Attributes"]["ApproximateNumberOfMessages"]) for answer in asked)


def _spans(items: Sequence[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    moments = ("uploaded_at", "claimed_at", "submitted_at", "closed_at")
    whole = [[float(item[name]) for name in moments] for item in items if all(name in item for name in moments)]
    spans = {}
    for number, state in enumerate(STATES):
        seconds = [times[number + 1] - times[number] for times in whole]
        cuts = quantiles(seconds, n=20) if len(seconds) > 1 else [0.0] * 19
        spans[state] = (cuts[9], cuts[18])
    return spans
