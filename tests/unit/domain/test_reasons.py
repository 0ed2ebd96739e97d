"""Every reason has words."""

from __future__ import annotations

import re

import pytest

from detag.domain.reasons import Reason
from docs.generate.decisions import draw


def test_every_reason_says_what_it_means_and_what_to_do() -> None:
    assert all(reason.means.endswith(".") and reason.do.endswith(".") for reason in Reason)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_given_by_a_decision(reason: Reason) -> None:
    """It is what some row of the page of decisions leads to: no reason is left over that nothing gives."""
    results = [" ".join(row.split("|")[3:5] + row.split("|")[2:3]) for row in _rows()]
    assert any(re.search(rf"(?<!\w){reason.value}(?!\w)", result) for result in results)


def test_every_reason_that_may_keep_money_says_so() -> None:
    """The money of the others is returned, or none was reserved: only they may promise that nothing was charged."""
    kept = {reason for reason in Reason if reason.repairable} | {Reason.CANCELLED_AT_RUNFLOW}
    charged = {reason for reason in Reason if "charge" in reason.means + reason.do}
    assert charged - {Reason.REFUSED, Reason.RETRY} == kept
    assert {reason for reason in Reason if re.search("nothing was charged|no charge", reason.means)} == {
        Reason.REFUSED,
        Reason.RETRY,
    }


def _rows() -> list[str]:
    decisions, _, _ = draw().partition("## Waits")
    return [row for row in decisions.splitlines() if row.startswith("| ")]
