"""detag as the benchmark runs it beside its peers: what it waits for is counted, not waited for."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import compare, contestants


@pytest.mark.timeout(300)
def test_a_lost_answer_and_callback_cost_minutes_only(tmp_path: Path) -> None:
    rules = [
        {"on": "create_run", "do": "drop", "when": "after", "times": 1},
        {"on": "callback", "do": "lose", "times": 1},
    ]
    outcome = compare.run(contestants.DETAG, compare.photos(4), tmp_path / "account", rules)
    assert outcome.met == {"answers lost": 1, "callbacks lost": 1}
    assert (outcome.lost, outcome.paid_twice) == (0, 0)
    assert outcome.forwarded >= 600, "the wait after a lost answer"
    assert outcome.seconds_95 > 300, "is in the times"
