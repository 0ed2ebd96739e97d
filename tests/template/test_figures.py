"""A figure in dollars is written by hand only where the price list, a parameter or a target has it."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from benchmarks import comparison, cost, headline
from detag.domain.metrics import METRICS
from detag.ports.runs_fake import PRICE
from tests.template.stack import Stack

PAGES = ("README.md", "SECURITY.md", "CHANGELOG.md", "template.yaml", "docs/**/*.md")
MANY = 4_000
"""The photos of the README's example."""
RUNFLOWS_OWN = "runflow-contract.md"
"""What Runflow says of its prices."""


def by_hand(root: Path) -> dict[str, str]:
    """The pages, without what is generated."""
    generated = re.compile(r"<!-- (\w+): made by .*?<!-- end of \1 -->", re.DOTALL)
    return {
        str(path.relative_to(root)): generated.sub("", path.read_text(encoding="utf-8"))
        for pattern in PAGES
        for path in sorted(root.glob(pattern))
        if path.name != RUNFLOWS_OWN
    }


def limit_and_price(stack: Stack) -> tuple[Decimal, Decimal]:
    defaults = (stack.source["Parameters"][name]["Default"] for name in ("DailySpendLimitUsd", "PricePerImageUsd"))
    limit, price = map(Decimal, defaults)
    return limit, price


def test_no_page_has_a_figure_of_its_own(root: Path, stack: Stack) -> None:
    limit, price = limit_and_price(stack)
    prices = cost.LIST["prices"]
    targets = json.loads(headline.PLACE.read_text(encoding="utf-8"))
    compared = comparison.Comparison.of(json.loads(comparison.PLACE.read_text(encoding="utf-8")))
    known = {
        *(Decimal(figure) for figure in re.findall(r"\$(\d+\.\d+)", comparison.sentence(compared))),
        limit,
        price,
        MANY * price,
        Decimal(str(prices["key_month"]["usd"])),
        Decimal(str(prices["metric_month"]["usd"])),
        Decimal(targets["aws_usd_per_month_idle"]["target"].removeprefix("<= ")),
    }
    found = {
        (name, figure) for name, page in by_hand(root).items() for figure in re.findall(r"\$(\d[\d,]*(?:\.\d+)?)", page)
    }
    assert ("README.md", f"{price}") in found
    assert [(name, figure) for name, figure in sorted(found) if Decimal(figure.replace(",", "")) not in known] == []


def test_the_arithmetic_of_the_pages_is_right(root: Path, stack: Stack) -> None:
    limit, price = limit_and_price(stack)
    page = {
        name: " ".join((root / name).read_text(encoding="utf-8").split())
        for name in ("README.md", "docs/deploying.md", "docs/operating.md")
    }
    images = int(limit // price)
    assert (
        f"**${price} for each photo sent**, tag or no tag: {MANY:,} photos cost ${MANY * price:.0f}."
        in page["README.md"]
    )
    assert f"${limit}, or {images} photos, until you change it." in page["README.md"]
    assert f"{MANY:,} photos take {-(-MANY // images)} days at that limit." in page["README.md"]
    assert f"${limit} of credit, enough for {images} photos" in page["docs/deploying.md"]
    assert f'"usd": "{3 * price}", "limit_usd": "{limit}"' in page["docs/operating.md"]


def test_one_price_of_an_image_is_meant_everywhere(stack: Stack) -> None:
    _, price = limit_and_price(stack)
    assert Decimal(str(cost.RUNFLOW_USD)) == PRICE == price


def test_the_bill_of_an_idle_month_adds_up() -> None:
    line = next(row for row in headline.costs().splitlines() if row.startswith("| a month without photos |"))
    total, *parts = [Decimal(figure) for figure in re.findall(r"\d+\.\d\d", line)]
    assert total == sum(parts)
    assert min(parts) > 0


def test_one_more_alarm_is_one_more_alarm_on_the_bill(monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs what an alarm costs, before anything is measured again, and nothing else of the bill changes."""

    def bill() -> list[Decimal]:
        line = next(row for row in headline.costs().splitlines() if row.startswith("| a month without photos |"))
        return [Decimal(figure) for figure in re.findall(r"\d+\.\d\d", line)]

    before = bill()
    more = cost.TEMPLATE["Resources"] | {"OneMore": {"Type": "AWS::CloudWatch::Alarm"}}
    monkeypatch.setitem(cost.TEMPLATE, "Resources", more)
    alarm = Decimal(str(cost.LIST["prices"]["alarm_month"]["usd"]))
    assert [new - old for old, new in zip(before, bill(), strict=True)] == [alarm, 0, alarm, 0, 0, 0]


def test_the_bill_that_was_measured_is_of_the_stack_as_it_is(root: Path, stack: Stack) -> None:
    page = (root / "benchmarks/results.md").read_text(encoding="utf-8")
    for item, kind in (("Alarms", "AWS::CloudWatch::Alarm"), ("Secrets", "AWS::SecretsManager::Secret")):
        assert f"\n| {item} | {len(stack.of_type(kind))} |" in page, "run `make bench`"


@pytest.mark.parametrize("metric", cost.METRICS_OF_A_DELIVERY)
def test_what_is_charged_for_a_delivery_is_counted(metric: str) -> None:
    assert metric in set(METRICS)


@pytest.mark.parametrize(
    ("usd", "cents"),
    [
        ((0.526, 0.247), (52, 25)),  # 0.77, not 0.53 and 0.25
        ((0.80, 0.30, 0.526, 0.2465), (80, 30, 52, 25)),
        ((0.8, 0.3), (80, 30)),
        ((0.004, 0.004, 0.004), (1, 0, 0)),
    ],
)
def test_parts_in_cents_add_up_to_their_sum(usd: tuple[float, ...], cents: tuple[int, ...]) -> None:
    parts = {str(number): part for number, part in enumerate(usd)}
    assert tuple(headline.in_cents(parts).values()) == cents
    assert sum(cents) == round(sum(usd) * 100)
