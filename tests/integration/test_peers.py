"""The peers work, and what they pay twice is seen: otherwise nothing would be shown by comparing detag with them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks import compare, contestants
from benchmarks.contestants import Contestant
from local.runflow import pixels
from tests.e2e.harness import number_of, photo

PEERS = pytest.mark.parametrize("peer", [contestants.SCRIPT, contestants.SAMPLE], ids=lambda peer: peer.name)


@PEERS
def test_without_faults_a_peer_delivers_everything(peer: Contestant, tmp_path: Path) -> None:
    """And pays for each name, of which two are of photos that it had; the sample also for a second upload."""
    chosen = compare.photos(6)
    outcome = compare.run(peer, chosen, tmp_path / "account")
    assert (outcome.lost, outcome.delivered, outcome.paid_twice) == (0, 4, 0)
    assert outcome.paid_equal == 2 + (peer is contestants.SAMPLE)
    assert outcome.usd == pytest.approx(0.14 * outcome.paid_runs)
    assert outcome.requests["s3"] >= 6
    assert 0 < outcome.seconds <= outcome.seconds_95


@PEERS
def test_a_lost_answer_is_seen_to_be_paid_twice(peer: Contestant, tmp_path: Path) -> None:
    lost_answer = {"on": "create_run", "do": "drop", "when": "after", "times": 1}
    outcome = compare.run(peer, compare.photos(3), tmp_path / "account", [lost_answer])
    assert outcome.met["answers lost"] == 1
    assert (outcome.lost, outcome.paid_twice, outcome.paid_runs) == (0, 1, 4)


def test_a_killed_script_goes_on_and_pays_again(tmp_path: Path) -> None:
    """The runs under way when it is killed are paid for twice, and no photo is lost."""
    outcome = compare.run(contestants.SCRIPT, compare.photos(3), tmp_path / "account", kill_after=3)
    assert (outcome.lost, outcome.paid_twice) == (0, 3)


def test_a_third_are_equal_and_a_tenth_are_uploaded_twice() -> None:
    chosen = compare.photos(60)
    assert (len(chosen.numbers), chosen.distinct, len(set(chosen.again))) == (60, 40, 6)
    assert Counter(Counter(chosen.numbers.values()).values()) == {1: 20, 2: 20}


def test_no_output_has_the_bytes_of_its_photo() -> None:
    """Or a photo equal to another could be taken for that one's output."""
    for number in range(50):
        made = pixels.process(photo(number), mode="reencode", output_type="same", aspect_ratio=None, max_side=None)
        assert made.body != photo(number)
        assert number_of(made.body) == number
