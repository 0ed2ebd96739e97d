"""The page of states and the picture of duplicates say what is so (test_generated.py: they are what is drawn)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from detag.domain.job import TRANSITIONS, State
from docs.generate import duplicates, states

SERVICES = Path(__file__).parents[3] / "layers/detag/python/detag/services"
SHARED = {"closing": ("deliver", "submit"), "purse": ("deliver", "submit")}
"""Services inside others: who makes the moves that they make."""


def test_it_names_every_state_and_every_transition() -> None:
    page = states.draw()
    assert all(f"| `{state}` |" in page for state in State)
    assert all(f"| `{name}` |" in page for name in TRANSITIONS)


@pytest.mark.parametrize("name", TRANSITIONS)
def test_whoever_is_said_to_make_a_transition_does(name: str) -> None:
    makers = {
        maker for path in SERVICES.glob("*.py") if name in _taken(path) for maker in SHARED.get(path.stem, (path.stem,))
    }
    assert makers == set(TRANSITIONS[name].by.split(", "))


def _taken(path: Path) -> set[str]:
    """What a module takes from `detag.domain.job`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = (
        node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "detag.domain.job"
    )
    return {alias.name for node in imports for alias in node.names}


@pytest.mark.parametrize("times", duplicates.TIMES)
def test_a_photo_is_paid_for_once_however_often_everything_is_delivered(times: int) -> None:
    assert duplicates.paid_runs(times) == 1.0
