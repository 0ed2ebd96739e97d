"""Every reason has words."""

from __future__ import annotations

from detag.domain.reasons import Reason
from detag.domain.reasons import ADVICE


def test_every_reason_says_what_it_means_and_what_to_do() -> None:
    assert set(ADVICE) == set(Reason)
    assert all(advice.means.endswith(".") and advice.do.endswith(".") for advice in ADVICE.values())
