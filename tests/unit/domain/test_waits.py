"""Every wait is in the one table, from which the page of decisions is drawn."""

from __future__ import annotations

from detag.domain import waits
from detag.domain.waits import WAITS, Backoff, Wait


def test_the_table_has_every_wait_once() -> None:
    written = [one for one in vars(waits).values() if isinstance(one, Wait | Backoff)]
    assert list(WAITS) == written
    assert len({one.name for one in WAITS}) == len(WAITS) > 15


def test_every_wait_says_why_it_is_so_long() -> None:
    assert [one.name for one in WAITS if len(one.why.split()) < 4] == []
