"""`make bench`: where it writes, and what it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import __main__ as bench
from benchmarks import cost, machine, report


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Path]:
    """The two places where results are written, made up; nothing is measured."""
    places = {"published": tmp_path / "published", "quick": tmp_path / "quick"}
    monkeypatch.setattr(bench, "HERE", places["published"])
    monkeypatch.setattr(bench, "QUICK", places["quick"])
    monkeypatch.setattr(machine, "runtime_version", lambda: machine.VERSION)
    monkeypatch.setattr(bench, "_measured", lambda *_: type("Results", (), {"seconds": 0.0})())
    monkeypatch.setattr(bench, "_plotted", lambda *_: None)
    for name, made in {"flat": {}, "page": "", "summary": ""}.items():
        monkeypatch.setattr(report, name, lambda *_, made=made: made)
    return places


@pytest.mark.parametrize(("arguments", "place"), [([], "published"), (["--quick"], "quick")])
def test_a_quick_run_leaves_what_is_published(written: dict[str, Path], arguments: list[str], place: str) -> None:
    done = CliRunner().invoke(bench.main, arguments)
    assert done.exit_code == 0, done.output
    assert [name for name, folder in written.items() if (folder / "results.json").exists()] == [place]


def test_with_another_python_it_says_so_and_measures_nothing(
    written: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "runtime_version", lambda: "3.11")
    done = CliRunner().invoke(bench.main, [])
    assert done.exit_code == 1
    assert not any(folder.exists() for folder in written.values())


def test_the_version_is_that_of_the_functions() -> None:
    template: dict[str, Any] = cost.TEMPLATE
    assert template["Globals"]["Function"]["Runtime"] == f"python{machine.VERSION}"
