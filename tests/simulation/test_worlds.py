"""Two thousand worlds: every invariant holds in each, and each kind of fault strikes in many."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.audit import INVARIANTS
from tests.simulation.scenario import Verdict, play
from tests.simulation.storm import KINDS
from tests.simulation.worlds import histogram, play_all, shares

WORLDS = 2_000
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def verdicts() -> list[Verdict]:
    return list(play_all(range(WORLDS)))


@pytest.mark.timeout(1_800)
def test_no_invariant_is_broken_in_any_world(verdicts: list[Verdict]) -> None:
    broken = [f"make simulate SEED={one.seed}: {name}: {seen}" for one in verdicts for name, seen in one.broken[:1]]
    assert not broken, "\n".join(broken)
    assert len(verdicts) == WORLDS


@pytest.mark.timeout(1_800)
def test_each_kind_of_fault_strikes_in_at_least_one_world_of_twenty(
    verdicts: list[Verdict], capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\nWhat struck in {WORLDS} worlds:", *histogram(verdicts), sep="\n")
    struck = shares(verdicts)
    assert {kind: struck.get(kind, 0.0) for kind in KINDS if struck.get(kind, 0.0) < 0.05} == {}


@pytest.mark.timeout(1_800)
def test_every_world_has_at_least_twenty_uploads(verdicts: list[Verdict]) -> None:
    assert min(verdict.uploads for verdict in verdicts) >= 20


def test_a_seed_is_one_world_whatever_hashes_are() -> None:
    story = play(11, story=True).story
    assert len(story) > 100
    for hashing in ("1", "2"):
        again = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "11"],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hashing, "PYTHONPATH": str(ROOT / "layers/detag/python")},
            capture_output=True,
            text=True,
            check=True,
        )
        assert tuple(again.stdout.split("\n\n")[0].split("\n")) == story
        assert again.stdout.endswith("1 worlds, 0 broken\n")


def test_a_broken_world_is_counted_named_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detag.services.submit.LEASE_SECONDS", 1.0)
    verdict = next(verdict for verdict in map(play, range(50)) if verdict.broken)
    assert {name for name, _ in verdict.broken} <= set(INVARIANTS)
    assert "one send per lease" in {name for name, _ in verdict.broken}
    assert any("BROKEN: one send per lease" in line for line in play(verdict.seed, story=True).story)
