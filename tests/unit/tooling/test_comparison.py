"""What is shown of detag and its peers is what was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import comparison
from benchmarks.comparison import Comparison, Outcome

ROOT = Path(__file__).resolve().parents[3]


def outcome(paid: int, twice: int, lost: int = 0) -> Outcome:
    return Outcome(lost, 40, paid, 0.14 * paid, twice, paid - twice - 40, 5.0, 9.0, 0.0, {"s3": 80}, {"answers 429": 2})


MADE_UP = Comparison(
    "2026-11-26", 3.0, 60, 40, 6, {"detag": outcome(40, 0), "script": outcome(70, 10), "sample": outcome(68, 3, 1)}
)


@pytest.fixture(scope="module")
def published() -> Comparison:
    return Comparison.of(json.loads(comparison.PLACE.read_text(encoding="utf-8")))


def test_the_table_shows_them_side_by_side() -> None:
    shown = comparison.section(MADE_UP)
    assert "| lost, of the names | 0 | 0 | 1 |" in shown
    assert "| **for each distinct photo delivered** | **$0.140** | **$0.245** | **$0.238** |" in shown
    assert "| an upload paid for twice | 0 | 10 | 3 |" in shown
    assert "| requests to AWS for each distinct photo delivered | 2.0 | 2.0 | 2.0 |" in shown
    assert "| met: answers 429 | 2 | 2 | 2 |" in shown


def test_a_new_comparison_replaces_the_earlier_one() -> None:
    first = comparison.placed("# Results\n\nall else\n", MADE_UP)
    second = comparison.placed(first, replace(MADE_UP, names=61))
    assert first.startswith("# Results\n\nall else\n\n## ")
    assert second == first.replace("60 names", "61 names")


def test_a_comparison_comes_back_as_it_was_kept() -> None:
    assert Comparison.of(json.loads(json.dumps(MADE_UP.as_json()))) == MADE_UP


def test_nothing_delivered_is_infinitely_dear() -> None:
    assert replace(outcome(3, 0), delivered=0).usd_each == float("inf")


def test_the_page_of_results_shows_the_comparison(published: Comparison) -> None:
    page = (ROOT / "benchmarks/results.md").read_text(encoding="utf-8")
    assert comparison.placed(page, published) == page


def test_the_readme_says_what_was_measured(published: Comparison) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert comparison.sentence(published) in " ".join(readme.split())


def test_detag_lost_nothing_and_paid_no_upload_twice(published: Comparison) -> None:
    assert set(published.outcomes) == set(comparison.COLUMNS)
    detag = published.outcomes["detag"]
    assert (detag.lost, detag.paid_twice, detag.delivered) == (0, 0, published.distinct)
    assert all(set(one.met) == set(comparison.FAULTS) for one in published.outcomes.values())
