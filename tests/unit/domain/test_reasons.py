"""Every reason has words."""

from __future__ import annotations

from detag.domain.reasons import Reason


def test_every_reason_says_what_it_means_and_what_to_do() -> None:
    assert all(reason.means.endswith(".") and reason.do.endswith(".") for reason in Reason)
