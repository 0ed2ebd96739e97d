"""The few results that the README shows, from results.json: nothing is measured here."""

from __future__ import annotations

import json
from collections.abc import Sequence

Row = tuple[str, str]


def rows(results: str) -> Sequence[Row]:
    """What was measured, and what it came to. Raises KeyError where results.json lacks one."""
    value = {name: float(one["value"]) for name, one in json.loads(results).items()}
    submit, deliver, callback = (value[f"{name}_init_over_floor"] for name in ("submit", "deliver", "callback"))
    naive = submit / value["submit_init_over_naive"]
    return (
        (
            "cold start of `submit`, `deliver`, `callback`",
            (
                f"{submit:.2f}, {deliver:.2f}, {callback:.2f} x the CPU of boto3 and httpx with a client of each; "
                f"the usual function: {naive:.1f} x"
            ),
        ),
        ("layers, unpacked", f"{value['layer_mb']:.1f} MB"),
        (
            "ten uploads",
            f"{value['submit_batch_speedup']:.0f} x faster than one after the other with a client for every call",
        ),
        (
            "an output of 100 MB",
            (
                f"{value['deliver_100mb_over_read_all']:.2f} x the time of reading it all; "
                f"{value['deliver_100mb_rss_mib']:.1f} MiB of memory"
            ),
        ),
        ("a callback", f"{value['callback_cpu_ms_p99']:.1f} ms of CPU at the 99th percentile"),
        (
            f"{value['load_photos']:,.0f} photos at once on the local stack",
            f"{value['load_lost']:.0f} lost, {value['load_paid_twice']:.0f} paid twice",
        ),
        (
            "AWS, for 1,000 photos",
            (
                f"${value['aws_usd_per_1000']:.3f}, beside Runflow's $140; and $0.45 for the originals' way out of AWS "
                "(5 MB each) beyond the free 100 GB a month"
            ),
        ),
        (
            "AWS, for a month without photos",
            f"${value['aws_usd_per_month_idle']:.2f} without any free tier; `AlarmEmail` adds $1",
        ),
    )
