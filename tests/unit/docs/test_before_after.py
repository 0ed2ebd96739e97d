"""The contact sheet at the head of the README."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from docs.generate import ROOT, before_after
from local.demo.sheet import Pair


def test_it_shows_what_the_mock_makes_of_the_samples_now() -> None:
    assert before_after.is_current(ROOT), "run `make generate`"


def test_it_says_whose_work_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mock cleaned it, and not Runflow's model: the README says so where images are not shown."""
    said: list[str] = []

    def sheet(pairs: list[Pair], _title: str, note: str) -> Image.Image:
        assert len(pairs) == len(before_after.SHOWN)
        said.append(note)
        return Image.new("RGB", (8, 8))

    monkeypatch.setattr(before_after, "contact_sheet", sheet)
    before_after.draw()
    assert "mock Runflow" in said[0]
    first = next(line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("!"))
    assert f"]({before_after.SHEET})" in first
    assert "mock" in first and "not by its model" in first


def test_another_sheet_is_out_of_date(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    assert not before_after.is_current(tmp_path)
    shutil.copy(ROOT / before_after.SHEET, tmp_path / before_after.SHEET)
    with Image.open(ROOT / before_after.SHEET) as image:
        changed = image.copy()
    changed.paste((255, 0, 0), (0, 0, 400, 300))
    changed.save(tmp_path / before_after.SHEET)
    assert not before_after.is_current(tmp_path)
