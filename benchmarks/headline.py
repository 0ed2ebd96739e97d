"""The few results that docs/operating.md shows, and what AWS costs, from results.json: nothing is measured here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks import cost
from benchmarks.cost import LIST, RUNFLOW_USD
from benchmarks.report import table

STANDING: Final = {
    "secret_month": "secrets",
    "alarm_month": "alarms",
    "metric_month": "one metric",
    "sqs_request": "queue polling",
}
PLACE: Final = Path(__file__).parent / "results.json"


def values() -> dict[str, float]:
    """What was measured, by name."""
    return {name: float(one["value"]) for name, one in json.loads(PLACE.read_text(encoding="utf-8")).items()}


def results() -> str:
    """What was measured, and what it came to. Raises KeyError where results.json lacks one."""
    value = values()
    submit, deliver, callback = (value[f"{name}_init_over_floor"] for name in ("submit", "deliver", "callback"))
    naive = submit / value["submit_init_over_naive"]
    rows = (
        (
            "cold start of `submit`, `deliver`, `callback`",
            (
                f"{submit:.2f}, {deliver:.2f}, {callback:.2f} x the CPU of boto3 and httpx with a client of each; "
                f"a typical function: {naive:.1f} x"
            ),
        ),
        ("layers, unpacked", f"{value['layer_mb']:.1f} MB"),
        (
            "ten uploads",
            f"{value['submit_batch_speedup']:.0f} x faster than one at a time with a new client for every call",
        ),
        (
            "an output of 100 MB",
            (
                f"{value['deliver_100mb_over_read_all']:.2f} x the time of reading it whole first; "
                f"{value['deliver_100mb_rss_mib']:.1f} MiB of memory"
            ),
        ),
        ("a callback", f"{value['callback_cpu_ms_p99']:.1f} ms of CPU at the 99th percentile"),
        (
            f"{value['load_photos']:,.0f} photos at once on the local stack",
            f"{value['load_lost']:.0f} lost, {value['load_paid_twice']:.0f} paid twice",
        ),
    )
    return table(("", ""), rows)


def in_cents(parts: Mapping[str, float]) -> dict[str, int]:
    """Dollars as whole cents that add up to the rounded sum: those nearest to the next cent are rounded up."""
    cents = {part: math.floor(usd * 100) for part, usd in parts.items()}
    left = round(sum(parts.values()) * 100) - sum(cents.values())
    for part in sorted(parts, key=lambda part: cents[part] - parts[part] * 100)[:left]:
        cents[part] += 1
    return cents


def costs() -> str:
    """What AWS and Runflow charge, by AWS's list and without the free tier."""
    value = values()
    parts = {STANDING[line.price]: line.usd for line in cost.standing()}
    parts["reconcile every minute"] = value["reconcile_usd_per_month"]
    idle = sum(parts.values())
    items = ", ".join(f"{part} {cents / 100:.2f}" for part, cents in in_cents(parts).items())
    metric, key, gigabyte = (LIST["prices"][name]["usd"] for name in ("metric_month", "key_month", "egress_gb"))
    good = cost.METRICS_OF_A_DELIVERY
    egress, free = cost.egress(), LIST["free_each_month"]["egress_gb"]
    rows = (
        ("a month without photos", f"${idle:.2f}: {items}", "-"),
        ("the same with an `AlarmEmail`", f"${key:.0f} more, for the topic's encryption key", "-"),
        (
            "a month with photos",
            (
                f"${len(good) * metric:.2f} more, for the metrics {', '.join(f'`{name}`' for name in good)}; "
                f"${metric:.2f} for each other metric that is written"
            ),
            "-",
        ),
        ("1,000 photos", f"${value['aws_usd_per_1000']:.2f}, excluding storage", f"${1_000 * RUNFLOW_USD:.0f}"),
        (
            f"the originals of 1,000 photos ({cost.PHOTO_MB:.0f} MB each) transferred to Runflow",
            f"${egress.usd:.2f}: ${gigabyte:.2f} a GB beyond the first {free} GB a month",
            "-",
        ),
        (
            f"a day of {cost.FLOOD_A_SECOND:,} unsigned callbacks a second, the most that the throttle lets through",
            f"${cost.total(cost.flood(value['callback_cpu_ms_p99'])):.0f}",
            "-",
        ),
    )
    return table(("", "AWS", "Runflow"), rows)
