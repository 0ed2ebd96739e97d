"""What was measured, as a flat object and as a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import cold, cost, load, warm
from benchmarks.cold import PRUNED
from benchmarks.cost import LIST, Line

SMALL, MIDDLE, LARGE = warm.SIZES


@dataclass
class Results:
    """All of it."""

    when: str
    quick: bool
    machine: Mapping[str, str]
    cold: cold.Result
    layer_mb: float
    batch: warm.Batch
    delivery: warm.Delivery
    callback: warm.Warm
    measured: cost.Measured
    load: load.Load
    seconds: float = 0.0


def flat(results: Results) -> dict[str, dict[str, Any]]:
    """Name -> value, target, ok. A target is text: a comparison and a number; empty for what only this machine's speed
    decides.
    """
    starts, batch, delivery, loaded = results.cold, results.batch, results.delivery, results.load
    floor = starts.init["floor"]
    values: dict[str, tuple[float, str]] = {
        "submit_init_over_floor": (starts.over_floor("submit"), "<= 1.05"),
        "deliver_init_over_floor": (starts.over_floor("deliver"), "<= 1.05"),
        "callback_init_over_floor": (starts.over_floor("callback"), "<= 0.85"),
        "submit_init_over_naive": (starts.init["submit"] / starts.init["naive"], "<= 0.30"),
        "deliver_init_over_naive": (starts.init["deliver"] / starts.init["naive"], "<= 0.30"),
        "submit_first_event_over_floor": (starts.first["submit"] / floor, "<= 1.4"),
        "callback_first_event_over_floor": (starts.first["callback"] / floor, "<= 1.4"),
        "layer_mb": (results.layer_mb, "<= 16"),
        "submit_batch_speedup": (batch.per_second["threads"] / batch.per_second["client per call"], ">= 9"),
        "submit_batch_cpu_over_client_per_call": (batch.cpu_ms["threads"] / batch.cpu_ms["client per call"], "<= 0.2"),
        "deliver_20mb_over_read_all": (_over_read_all(delivery, MIDDLE), "<= 0.85"),
        "deliver_100mb_over_read_all": (_over_read_all(delivery, LARGE), "<= 0.85"),
        "deliver_100mb_rss_mib": (delivery.mib["streamed", LARGE], "<= 6"),
        "deliver_20mb_rss_mib": (delivery.mib["streamed", MIDDLE], "<= 6"),
        "deliver_2mb_rss_mib": (delivery.mib["streamed", SMALL], "<= 6"),
        "callback_cpu_ms_p99": (results.callback.p99, ""),
        "callback_cpu_over_send": (results.callback.median / results.callback.send, "<= 1.5"),
        "callback_cpu_p99_over_send": (results.callback.p99 / results.callback.send_p99, "<= 1.5"),
        "aws_usd_per_1000": (cost.total(cost.per_1000(results.measured)), f"<= {cost.RUNFLOW_USD * 1_000 / 1_000:g}"),
        "aws_usd_per_month_idle": (cost.total(cost.per_month(results.measured)), "<= 3"),
        "reconcile_usd_per_month": (cost.total(cost.reconciling(results.measured)), "<= 0.5"),
        "load_photos": (loaded.photos, ">= 300" if results.quick else ">= 2000"),
        "load_lost": (loaded.lost, "<= 0"),
        "load_paid_twice": (loaded.paid_twice, "<= 0"),
        "load_dead_letters": (loaded.dead_letters, "<= 0"),
    }
    return {
        name: {"value": round(value, 4), "target": target, "ok": _holds(value, target)}
        for name, (value, target) in values.items()
    }


def _over_read_all(delivery: warm.Delivery, size: int) -> float:
    return delivery.wall_ms["streamed", size] / delivery.wall_ms["read all", size]


def _holds(value: float, target: str) -> bool:
    if not target:
        return True
    comparison, number = target.split()
    return value <= float(number) if comparison == "<=" else value >= float(number)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def summary(flat_results: Mapping[str, Mapping[str, Any]]) -> str:
    """The flat object as a table."""
    rows = [
        (name, f"{one['value']:g}", one["target"], "" if not one["target"] else "yes" if one["ok"] else "**no**")
        for name, one in flat_results.items()
    ]
    return table(("measure", "value", "target", "reached"), rows)


def load_table(loaded: load.Load) -> str:
    """Throughput and time in each state."""
    rows: list[tuple[str, str]] = [
        ("photos", f"{loaded.photos:,}"),
        ("lost", str(loaded.lost)),
        ("paid twice", str(loaded.paid_twice)),
        ("in dead-letter queues", str(loaded.dead_letters)),
        ("dropped within", f"{loaded.dropped_s:.0f} s"),
        ("all delivered after", f"{loaded.drained_s:.0f} s"),
        ("photos a second", f"{loaded.per_second:.1f}"),
        *(
            (f"most `{name}` at work at once (configured: {cost.CONCURRENCY})", str(loaded.busy[name]))
            for name in ("submit", "deliver")
        ),
        *(
            (f"{name}: median, 95 of 100", f"{middle:.1f} s, {most:.1f} s")
            for name, (middle, most) in loaded.spans.items()
        ),
    ]
    return table(("2,000 at once" if loaded.photos == 2_000 else "at once", ""), rows)


def page(results: Results, flat_results: Mapping[str, Mapping[str, Any]]) -> str:
    """results.md."""
    kind = "`make bench QUICK=1`: few repetitions" if results.quick else "`make bench`"
    return (
        "\n\n".join(
            (
                "# Results",
                f"Measured on {results.when} in {results.seconds / 60:.0f} minutes by {kind}, all on loopback, "
                "medians of interleaved repetitions. CPU times are of a full core of this machine, not Lambda milliseconds: "
                "read the ratios.",
                table(("", ""), results.machine.items()),
                "## Targets",
                summary(flat_results),
                *_cold(results),
                *_batch(results.batch),
                *_delivery(results.delivery),
                *_callback(results.callback),
                *_cost(results),
                "## Photos at once on the local stack",
                "Real functions, an AWS emulator on the same cores, the mock Runflow with pixel work off. The emulator sets the "
                "pace; what counts is that nothing is lost.",
                load_table(results.load),
                "![states over time](plots/load.svg)",
            )
        )
        + "\n"
    )


def _cold(results: Results) -> tuple[str, ...]:
    starts = results.cold
    rows = [
        (
            name,
            f"{starts.init[name]:.0f}",
            f"{starts.over_floor(name):.2f}",
            f"{starts.first_over_floor(name):.2f}" if name in starts.first else "",
        )
        for name in ("floor", PRUNED, *cold.FUNCTIONS, "naive")
    ]
    base, base_first = starts.init["submit"], starts.first["submit"]
    levers = [
        (name, _won(starts.init[f"without: {name}"], base), _won(starts.first[f"without: {name}"], base_first))
        for name in cold.LEVERS
    ]
    return (
        "## Cold starts",
        "As `sam build` makes them, zipped by SAM, unpacked with the zip's times (1980), nothing written: "
        f'{starts.repetitions} fresh processes of each, in turn. The floor is `import boto3, httpx`, `boto3.client("s3")` '
        "and `httpx.Client()`, from packages as pip installs them, with valid byte code; the naive function has everything at "
        "module level, as SAM's own builder packages it (benchmarks/floor, benchmarks/naive).",
        table(("function", "init, CPU ms", "/ floor", "init and first event / floor's init"), rows),
        "![cold starts](plots/cold.svg)",
        "What each lever is worth: `submit` without it.",
        table(("lever", "init", "init and first event"), levers),
        f"The layers are {results.layer_mb:.1f} MB unpacked. docs/decisions/performance.md has the levers that were left out.",
    )


def _won(without: float, base: float) -> str:
    return f"{100 * (without / base - 1):+.0f} %"


def _batch(batch: warm.Batch) -> tuple[str, ...]:
    names = {
        "client per call": "one after the other, a client for every call",
        "shared": "one after the other, clients made once",
        "threads": "**as packaged: ten threads, clients made once**",
    }
    rows = [(text, f"{batch.per_second[way]:.1f}", f"{batch.cpu_ms[way]:.1f}") for way, text in names.items()]
    return (
        "## Submit, a batch of ten",
        f"The same eight calls for each photo, over TLS; AWS answers at once, Runflow after {warm.RUNFLOW_MS:.0f} ms.",
        table(("way", "photos a second", "CPU ms for each"), rows),
    )


def _delivery(delivery: warm.Delivery) -> tuple[str, ...]:
    names = {
        "streamed": "**as packaged: the response handed to put_object**",
        "read all": "all of it in memory, put_object",
        "upload_fileobj": "upload_fileobj, as it is set",
        "bare sockets": "bare sockets: no check, no checksum, no signature",
    }
    rows = []
    for way, text in names.items():
        cells = [
            f"{delivery.wall_ms[way, size]:.0f} ms, {delivery.cpu_ms[way, size]:.0f} CPU, {delivery.mib[way, size]:+.1f} MiB"
            for size in warm.SIZES
        ]
        rows.append((text, *cells))
    return (
        "## Deliver, from the output URL to S3",
        f"Over TLS on both sides, {delivery.repetitions} of each: time, CPU, and the most memory beyond what the process "
        "had. On the way through, type, length and end of the output are checked; the SDK's CRC trailer goes to S3 last, and "
        "a body that is cut off or refused is never an object (tests/contract/test_photos.py).",
        table(("way", "2 MB", "20 MB", "100 MB"), rows),
        "![100 MB](plots/deliver.svg)",
    )


def _callback(callback: warm.Warm) -> tuple[str, ...]:
    return (
        "## Callback, warm, a body of 4 KB",
        table(
            ("", "CPU ms"),
            (
                ("median", f"{callback.median:.2f}"),
                (f"99 of 100 (median of {callback.times // 1_000} rounds of 1,000)", f"{callback.p99:.2f}"),
                ("one that only puts the body into the queue: median", f"{callback.send:.2f}"),
                ("the same: 99 of 100", f"{callback.send_p99:.2f}"),
                ("one that only parses JSON", f"{callback.bare:.3f}"),
            ),
        ),
        "The first two in turn, fifty calls of each: most of a callback is the SDK's own call.",
    )


def _cost(results: Results) -> tuple[str, ...]:
    measured = results.measured
    thousand, month = cost.per_1000(measured), cost.per_month(measured)
    total = cost.total(thousand)
    egress = cost.egress()
    durations = ", ".join(
        f"{name} {cost.duration_ms(name, measured):.0f} ms" for name in ("submit", "callback", "deliver")
    )
    return (
        "## What AWS charges",
        f"Counted calls (benchmarks/calls.py) and measured CPU, at the prices of {LIST['region']} as of {LIST['date']} "
        "(benchmarks/prices.json names every source). Photos that arrive one by one, so no batch is shared; times at each "
        f"function's memory, with assumed waits: {durations}. Without any free tier:",
        table(("1,000 photos", "quantity", "USD"), [*_lines(thousand), ("**sum**", "", f"**{total:.4f}**")]),
        f"That is {100 * total / (1_000 * cost.RUNFLOW_USD):.3f} % of what Runflow charges (${1_000 * cost.RUNFLOW_USD:.0f}). "
        "Not in it, as it is outside of detag's hands:",
        table(
            ("1,000 photos", "quantity", "USD", "with the free tier (100 GB a month)"),
            [(egress.item, f"{egress.quantity:.0f} GB", f"{egress.usd:.2f}", f"{egress.usd_with_free_tier:.2f}")],
        ),
        table(
            ("a month without a photo", "quantity", "USD", "with the free tier"),
            [
                *((line.item, _quantity(line), f"{line.usd:.3f}", f"{line.usd_with_free_tier:.3f}") for line in month),
                ("**sum**", "", f"**{cost.total(month):.2f}**", f"**{cost.total(month, free_tier=True):.2f}**"),
            ],
        ),
        f"With `AlarmEmail` the topic's key adds ${LIST['prices']['key_month']['usd']:.2f}. In a month with photos CloudWatch "
        f"adds ${LIST['prices']['metric_month']['usd']:.2f} for each metric that is written, at most by the hour: "
        f"{', '.join(f'`{name}`' for name in cost.METRICS_OF_A_DELIVERY)} if all goes well.",
    )


def _quantity(line: Line) -> str:
    return f"{line.quantity:,.0f}" if line.quantity >= 100 else f"{line.quantity:.4g}"


def _lines(lines: Sequence[Line]) -> list[tuple[str, str, str]]:
    return [(line.item, _quantity(line), f"{line.usd:.5f}") for line in lines]
