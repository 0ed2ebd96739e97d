"""The committed results are whole, and what is said of money comes from them and from the price list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import cost
from benchmarks.cost import Line, Measured

ROOT = Path(__file__).resolve().parents[2]
NAMES = {
    "submit_init_over_floor",
    "deliver_init_over_floor",
    "callback_init_over_floor",
    "submit_init_over_naive",
    "submit_first_event_over_floor",
    "layer_mb",
    "submit_batch_speedup",
    "deliver_100mb_over_read_all",
    "deliver_100mb_rss_mib",
    "deliver_2mb_rss_mib",
    "callback_cpu_ms_p99",
    "callback_cpu_over_send",
    "callback_cpu_p99_over_send",
    "aws_usd_per_1000",
    "aws_usd_per_month_idle",
    "load_photos",
    "load_lost",
    "load_paid_twice",
}
MEASURED = Measured(
    cpu_ms={"submit": 10.0, "callback": 1.2, "deliver": 20.0, "reconcile": 17.0},
    init_ms={"submit": 220.0, "callback": 160.0, "deliver": 220.0, "reconcile": 200.0},
    logged={"submit": 500.0, "callback": 400.0, "deliver": 500.0, "reconcile": 200.0},
    write_units=16.0,
    read_units=4.0,
)


@pytest.fixture(scope="module")
def results() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((ROOT / "benchmarks/results.json").read_text(encoding="utf-8"))
    return found


def test_every_measure_has_a_value_a_target_and_a_verdict(results: dict[str, dict[str, Any]]) -> None:
    assert set(results) >= NAMES
    for name, one in results.items():
        assert set(one) == {"value", "target", "ok"}, name
        if not one["target"]:
            assert one["ok"], name
            continue
        comparison, number = one["target"].split()
        reached = one["value"] <= float(number) if comparison == "<=" else one["value"] >= float(number)
        assert one["ok"] is reached, name


def test_the_page_of_results_shows_each_measure(results: dict[str, dict[str, Any]]) -> None:
    page = (ROOT / "benchmarks/results.md").read_text(encoding="utf-8")
    for name, one in results.items():
        assert f"\n| {name} | {one['value']:g} | {one['target']} |" in page
    for plot in ("cold", "deliver", "load"):
        assert f"(plots/{plot}.svg)" in page
        assert (ROOT / f"benchmarks/plots/{plot}.svg").read_text(encoding="utf-8").startswith("<svg")


def test_a_line_costs_its_quantity_at_its_price() -> None:
    line = Line("requests", 3_000_000, "sqs_request")
    assert line.usd == pytest.approx(1.20)
    assert line.usd_with_free_tier == pytest.approx(0.80)
    assert Line("puts", 2_000, "s3_put").usd == pytest.approx(0.01)


def test_every_price_has_a_source_and_is_used() -> None:
    for name, price in cost.LIST["prices"].items():
        assert price["usd"] > 0, name
        assert price["list"].startswith("https://aws.amazon.com/"), name
        assert price["seen"], name
    used = {line.price for line in [*cost.per_1000(MEASURED), *cost.per_month(MEASURED, email=True), cost.egress()]}
    assert set(cost.LIST["prices"]) == used
    assert set(cost.LIST["free_each_month"]) <= used


def test_aws_costs_a_thousandth_of_what_runflow_charges() -> None:
    """A thousand photos cost less than a thousandth of what Runflow charges for them."""
    assert cost.total(cost.per_1000(MEASURED)) < 1_000 * cost.RUNFLOW_USD / 1_000


def test_an_idle_month_stays_under_three_dollars() -> None:
    """An idle month is billed for every alarm and secret of the template, and stays under three dollars."""
    text = (ROOT / "template.yaml").read_text(encoding="utf-8")
    lines = {line.price: line for line in cost.per_month(MEASURED)}
    assert lines["alarm_month"].quantity == text.count("Type: AWS::CloudWatch::Alarm") > 0
    assert lines["secret_month"].quantity == text.count("Type: AWS::SecretsManager::Secret") == 2
    assert cost.total(cost.per_month(MEASURED)) < 3
    assert cost.total(cost.per_month(MEASURED, email=True), free_tier=True) < 3
    assert cost.total(cost.per_month(MEASURED, email=True)) == pytest.approx(cost.total(cost.per_month(MEASURED)) + 1)
