"""A test's name is short enough to be read in a list; what it cannot say, its docstring says."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[2]
MOST = 60


def names(path: Path) -> list[str]:
    """The test functions of a file."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    functions = (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [function.name for function in functions if function.name.startswith("test_")]


@pytest.mark.parametrize("path", sorted(TESTS.rglob("test_*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_no_name_of_a_test_is_long(path: Path) -> None:
    found = names(path)
    assert found, "a file of tests has tests"
    assert [name for name in found if len(name) > MOST] == []
