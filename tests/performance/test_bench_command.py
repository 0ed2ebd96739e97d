"""`make bench`: where it writes, and what it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import __main__ as bench
from benchmarks import compare, cost, machine, report
from benchmarks.comparison import Comparison, Outcome

COMPARED = Comparison("2026-11-26", 3.0, 3, 2, 0, {"detag": Outcome(0, 2, 2, 0.28, 0, 0, 5.0, 9.0, 0.0, {}, {})})


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Path]:
    """The two places where results are written, made up; nothing is measured."""
    places = {"published": tmp_path / "published", "quick": tmp_path / "quick"}
    monkeypatch.setattr(bench, "HERE", places["published"])
    monkeypatch.setattr(bench, "QUICK", places["quick"])
    monkeypatch.setattr(machine, "runtime_version", lambda: machine.VERSION)
    monkeypatch.setattr(bench, "_measured", lambda *_: type("Results", (), {"seconds": 0.0})())
    monkeypatch.setattr(bench, "_plotted", lambda *_: None)
    monkeypatch.setattr(compare, "measure", lambda *_: COMPARED)
    for name, made in {"flat": {}, "page": "", "summary": ""}.items():
        monkeypatch.setattr(report, name, lambda *_, made=made: made)
    return places


@pytest.mark.parametrize(("arguments", "place"), [([], "published"), (["--quick"], "quick")])
def test_a_quick_run_leaves_what_is_published(written: dict[str, Path], arguments: list[str], place: str) -> None:
    done = CliRunner().invoke(bench.main, arguments)
    assert done.exit_code == 0, done.output
    assert [name for name, folder in written.items() if (folder / "results.json").exists()] == [place]


@pytest.mark.parametrize(("arguments", "place"), [([], "published"), (["--quick"], "quick")])
def test_the_peers_alone_leave_the_rest_as_it_is(written: dict[str, Path], arguments: list[str], place: str) -> None:
    for folder in written.values():
        folder.mkdir()
        (folder / "results.md").write_text("# Results\n\nall else\n", encoding="utf-8")
    done = CliRunner().invoke(bench.main, ["--only-peers", *arguments])
    assert done.exit_code == 0, done.output
    pages = {name: (folder / "results.md").read_text(encoding="utf-8") for name, folder in written.items()}
    assert [name for name, page in pages.items() if "What a user would write" in page] == [place]
    assert all(page.startswith("# Results\n\nall else\n") for page in pages.values())
    assert not any((folder / "results.json").exists() for folder in written.values())
    assert (written[place] / "peers.json").exists()


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
