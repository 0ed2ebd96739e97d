"""What nothing changes in place: the type checker keeps that, and the rest is as the standard library has it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from detag.domain.values import dataclass

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
from detag.domain.images import Head
from detag.domain.values import dataclass

@dataclass(frozen=True, slots=True)
class Point:
    x: int

def move(point: Point, head: Head) -> None:
    point.x = 1
    head.size = 2
"""


@dataclass(frozen=True, slots=True)
class Ours:
    name: str
    sizes: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Theirs:
    name: str
    sizes: tuple[int, ...] = ()


def test_a_value_is_compared_and_shown_as_the_standard_librarys() -> None:
    ours, theirs = Ours("a", (1, 2)), Theirs("a", (1, 2))
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
    assert hash(ours) == hash(theirs)
    assert ours == Ours("a", (1, 2)) != Ours("b", (1, 2))
    assert dataclasses.replace(ours, name="b") == Ours("b", (1, 2))
    assert Ours.__slots__ == Theirs.__slots__
    assert Ours.__match_args__ == Theirs.__match_args__


def test_a_value_has_no_other_attributes() -> None:
    with pytest.raises(AttributeError):
        setattr(Ours("a"), "nmae", "b")  # noqa: B010 - the type checker refuses it


def test_the_type_checker_refuses_to_change_one(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), str(tmp_path / "program.py")]
    environment = {"MYPYPATH": str(ROOT / "layers/detag/python"), "PATH": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    found = [line for line in done.stdout.splitlines() if "program.py" in line]
    assert [line.partition("error: ")[2] for line in found if "error: " in line] == [
        'Property "x" defined in "Point" is read-only  [misc]',
        'Property "size" defined in "Head" is read-only  [misc]',
    ], done.stdout
