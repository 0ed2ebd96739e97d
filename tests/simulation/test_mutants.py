"""Without any one of its guards, detag is caught by the invariant that is named for the guard."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.checker import INVARIANTS
from tests.simulation.mutant import Mutant
from tests.simulation.mutants import LIKELY, MUTANTS
from tests.simulation.scenario import play


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.guard for mutant in MUTANTS])
def test_a_missing_guard_is_caught(mutant: Mutant, record_property: Callable[[str, object], None]) -> None:
    """A missing guard is caught in a simulation in which nothing breaks while it is there."""
    seed = mutant.caught_in(LIKELY.get(mutant.guard))
    assert seed is not None, f"{mutant.invariant!r} does not notice in {mutant.within} simulations"
    record_property("seed", seed)
    assert not play(seed).broken, "the guard is back, and the simulation still breaks"


NUMBER = 151
"""How many there are. Fewer is a guard that nothing shows to be needed: a directed simulation shows it then."""


def test_none_is_lost_and_each_names_an_invariant() -> None:
    assert len(MUTANTS) == NUMBER
    assert len({mutant.guard for mutant in MUTANTS}) == len(MUTANTS)
    assert {mutant.invariant for mutant in MUTANTS} <= set(INVARIANTS)


def test_a_guard_that_the_code_does_not_have_is_an_error() -> None:
    change = MUTANTS[0].changes[0]
    missing = type(change)(change.place, "no such words", "")
    with pytest.raises(LookupError, match="no such words"), missing.made():
        pass
