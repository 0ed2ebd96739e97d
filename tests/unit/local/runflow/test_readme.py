"""The mock's README is complete."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from local.runflow.behaviour import Behaviour, choices
from local.runflow.faults import KINDS

README = (Path(__file__).parents[4] / "local" / "runflow" / "README.md").read_text(encoding="utf-8")
READINGS = {
    name: row.split("|")[2]
    for row in README.partition("## Readings")[2].splitlines()
    for name in row.split("`")[1::2]
    if row.startswith("| `")
}


@pytest.mark.parametrize(("on", "do"), [(on, do) for on, kinds in KINDS.items() for do in kinds])
def test_every_fault_and_its_options_are_there(on: str, do: str) -> None:
    faults = README.partition("## Faults")[2].partition("## Readings")[0]
    assert f"`{on}`" in faults
    rows = [row for row in faults.splitlines() if row.startswith("|") and f"`{do}`" in row]
    assert any(all(f"`{option}`" in row for option in KINDS[on][do].options) for row in rows)


def test_every_reading_is_there_with_all_its_values() -> None:
    assert set(READINGS) == {field.name for field in fields(Behaviour)}
    for name, values in choices().items():
        for value in values if isinstance(values, list) else []:
            assert str(value).lower() in READINGS[name].lower(), (name, value)


def test_the_default_comes_first() -> None:
    for name, values in choices().items():
        default = getattr(Behaviour(), name)
        if isinstance(default, str):
            first = READINGS[name].split(";")[name == "list_cursors"].replace(",", " ").split()[0]
            assert first == default, (name, values)
