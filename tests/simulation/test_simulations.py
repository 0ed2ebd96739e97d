"""Many simulations: every invariant holds in each, and each kind of fault fires in many of them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from detag.domain.waits import LEASE
from tests.simulation.checker import INVARIANTS
from tests.simulation.fault_profile import KINDS
from tests.simulation.scenario import Verdict, play
from tests.simulation.simulations import SIMULATIONS, histogram, play_all, shares

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def verdicts() -> list[Verdict]:
    return list(play_all(range(SIMULATIONS)))


@pytest.mark.timeout(1_800)
def test_no_invariant_is_broken_in_any_simulation(verdicts: list[Verdict]) -> None:
    broken = [f"make simulate SEED={one.seed}: {name}: {seen}" for one in verdicts for name, seen in one.broken[:1]]
    assert not broken, "\n".join(broken)
    assert len(verdicts) == SIMULATIONS


@pytest.mark.timeout(1_800)
def test_each_kind_of_fault_fires_often_enough(verdicts: list[Verdict], capsys: pytest.CaptureFixture[str]) -> None:
    """Each kind of fault fires in at least one simulation of twenty."""
    with capsys.disabled():
        print(f"\nFaults in {SIMULATIONS} simulations:", *histogram(verdicts), sep="\n")
    fired = shares(verdicts)
    assert {kind: fired.get(kind, 0.0) for kind in KINDS if fired.get(kind, 0.0) < 0.05} == {}


@pytest.mark.timeout(1_800)
def test_unmatched_runs_are_paid_often_enough(verdicts: list[Verdict]) -> None:
    assert shares(verdicts).get("unmatched paid run", 0.0) >= 0.03


@pytest.mark.timeout(1_800)
def test_every_simulation_has_at_least_twenty_uploads(verdicts: list[Verdict]) -> None:
    assert min(verdict.uploads for verdict in verdicts) >= 20


def test_a_seed_is_one_simulation() -> None:
    """A seed replays one simulation exactly, whatever Python's hashes are."""
    trace = play(11, trace=True).trace
    assert len(trace) > 100
    for hashing in ("1", "2"):
        again = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "11"],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hashing, "PYTHONPATH": str(ROOT / "layers/detag/python")},
            capture_output=True,
            text=True,
            check=True,
        )
        assert tuple(again.stdout.split("\n\n")[0].split("\n")) == trace
        assert again.stdout.endswith("1 simulations, 0 broken\n")


def test_a_broken_simulation_is_counted_named_and_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detag.domain.waits.LEASE", replace(LEASE, seconds=1.0))
    verdict = next(verdict for verdict in map(play, range(50)) if verdict.broken)
    assert {name for name, _ in verdict.broken} <= set(INVARIANTS)
    assert "one send per lease" in {name for name, _ in verdict.broken}
    assert any("BROKEN: one send per lease" in line for line in play(verdict.seed, trace=True).trace)
