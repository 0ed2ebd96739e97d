"""The page of states and the diagram of duplicates say what is so (test_generated.py: they are what is drawn)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from detag.domain.job import TRANSITIONS, State
from docs.generate import duplicates, states

SERVICES = Path(__file__).parents[3] / "layers/detag/python/detag/services"
SHARED = {
    "admission": ("submit",),
    "budget": ("deliver", "submit"),
    "confirmation": ("submit",),
    "existing_runs": ("submit",),
    "outbox": ("deliver", "submit"),
    "reopening": ("submit",),
    "reuse": ("submit",),
    "sending": ("submit",),
    "steps": ("deliver", "submit"),
    "submission": ("submit",),
}
"""Services inside others: who makes the moves that they make."""
DECIDING = ("decisions", "search")
"""The modules whose decisions make moves."""


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
    """The transitions that a module makes: by itself, or by the decisions that it carries out."""
    imported = _imports(path)
    named = (name for module in DECIDING for name in imported.get(f"detag.domain.{module}", ()))
    decided = (DECISIONS[name] for name in named if name in DECISIONS)
    return imported.get("detag.domain.job", set()).union(*decided)


def _imports(path: Path) -> dict[str, set[str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {str(node.module): {alias.name for alias in node.names} for node in nodes}


def _decisions() -> dict[str, set[str]]:
    """What each function of the decisions names, directly or through others of them."""
    trees = [ast.parse((SERVICES.parent / f"domain/{module}.py").read_text(encoding="utf-8")) for module in DECIDING]
    functions = {node.name: node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}
    named = {name: {one.id for one in ast.walk(node) if isinstance(one, ast.Name)} for name, node in functions.items()}
    for _ in functions:
        named = {name: names.union(*(named.get(other, set()) for other in names)) for name, names in named.items()}
    return named


DECISIONS = _decisions()


@pytest.mark.parametrize("times", duplicates.TIMES)
def test_duplicates_never_pay_twice(times: int) -> None:
    """A photo is paid for once, however often everything is delivered."""
    assert duplicates.paid_runs(times) == 1.0
