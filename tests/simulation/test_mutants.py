"""Without any one of its guards, detag is caught by the invariant that is named for the guard."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from detag.domain.decisions import is_reserved
from tests.simulation.checker import INVARIANTS
from tests.simulation.mutant import Change, Mutant
from tests.simulation.mutants import LIKELY, MUTANTS
from tests.simulation.mutants.rare import KEPT_BY
from tests.simulation.scenario import play
from tests.simulation.simulations import SIMULATIONS

MET = [mutant for mutant in MUTANTS if mutant.guard not in KEPT_BY]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", MET, ids=[mutant.guard for mutant in MET])
def test_a_missing_guard_is_caught(mutant: Mutant, record_property: Callable[[str, object], None]) -> None:
    """A missing guard is caught in a simulation in which nothing breaks while it is there."""
    seed = mutant.caught_in(LIKELY.get(mutant.guard))
    assert seed is not None, f"{mutant.invariant!r} does not notice in {mutant.within} simulations"
    record_property("seed", seed)
    whole = seed < SIMULATIONS or is_whole(seed)  # those are played anyway, see test_simulations.py
    assert whole, "the guard is back, and the simulation still breaks"


@cache
def is_whole(seed: int) -> bool:
    """Whether nothing breaks in a simulation; several mutants are caught in the same one."""
    return not play(seed).broken


class Ends:
    """How the tests of a session ended, which runs inside of another: so nothing is imported again."""

    def __init__(self) -> None:
        self.of_tests: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A part of a test has ended: its set-up and the tidying up tell only where they fail, which is no proof."""
        if report.when == "call":
            self.of_tests.append(report.outcome)
        elif report.failed:
            self.of_tests.append(f"failed in its {report.when}")


@pytest.mark.parametrize("guard", KEPT_BY)
def test_a_missing_guard_fails_a_directed_simulation(guard: str) -> None:
    """A guard that random simulations meet too rarely is missed by a directed one, which passes with it."""
    test, ends = f"{Path(__file__).parent}/{KEPT_BY[guard]}", Ends()
    plugins = ("no:cacheprovider", "tests.simulation.without")
    options = [option for plugin in plugins for option in ("-p", plugin)]
    code = pytest.main([test, *options, "--without", guard], plugins=[ends])
    assert (code, ends.of_tests) == (pytest.ExitCode.TESTS_FAILED, ["failed"])


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.guard for mutant in MUTANTS])
def test_the_guard_is_in_the_code(mutant: Mutant) -> None:
    with mutant.alive():
        pass


NUMBER = 174
"""How many there are. Each is caught, by random simulations or by a directed one."""


def test_none_is_lost_and_each_names_an_invariant() -> None:
    assert len(MUTANTS) == NUMBER
    assert len({mutant.guard for mutant in MUTANTS}) == len(MUTANTS)
    assert {mutant.invariant for mutant in MUTANTS} <= set(INVARIANTS)
    assert {*KEPT_BY} <= {mutant.guard for mutant in MUTANTS} - {*LIKELY}


def test_a_guard_is_back_after_its_mutant() -> None:
    place = "detag.domain.decisions:is_reserved"
    kept = is_reserved.__code__
    with Change(place, "job.reserved_run is not None", "False").made():
        assert is_reserved.__code__ is not kept
    assert is_reserved.__code__ is kept


def test_a_guard_that_the_code_does_not_have_is_an_error() -> None:
    change = MUTANTS[0].changes[0]
    missing = type(change)(change.place, "no such words", "")
    with pytest.raises(LookupError, match="no such words"), missing.made():
        pass
