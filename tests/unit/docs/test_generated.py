"""What is generated from the source is committed as it is generated, and `make generate` and `make check` see to it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from docs import generate
from docs.generate import FILES, PAGES, ROOT, TABLES, __main__, before_after

# The first test makes all of it, which takes half a minute, and minutes on a busy machine.
pytestmark = pytest.mark.timeout(600)

PAGES_THERE = sorted(str(path.relative_to(ROOT)) for pattern in PAGES for path in ROOT.glob(pattern))


@pytest.fixture(scope="module", autouse=True)
def made_once() -> Iterator[None]:
    """What is generated takes seconds, and is the same each time."""
    before = [(made, dict(made)) for made in (FILES, TABLES)]
    for made, makers in before:
        made.update((name, cache(make)) for name, make in makers.items())
    yield
    for made, makers in before:
        made.update(makers)


@pytest.fixture(scope="module")
def stale() -> set[str]:
    return {str(path.relative_to(ROOT)) for path, _ in generate.stale()}


@pytest.mark.parametrize("name", sorted({*FILES, *PAGES_THERE}))
def test_it_is_as_the_source_has_it(stale: set[str], name: str) -> None:
    assert name not in stale, "run `make generate`"


def test_every_table_stands_on_exactly_one_page() -> None:
    """Every table stands on one page, and no page names one that is not made."""
    pages = [(ROOT / name).read_text(encoding="utf-8") for name in PAGES_THERE]
    assert Counter(table for page in pages for table in generate.tables_in(page)) == dict.fromkeys(TABLES, 1)
    for page in pages:
        assert page.count(": made by `make generate` -->") == len(generate.tables_in(page)), "a mark without its end"


def test_a_table_that_nobody_makes_is_an_error() -> None:
    with pytest.raises(KeyError, match="wishes"):
        generate.filled("<!-- wishes: made by `make generate` -->\n<!-- end of wishes -->")


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The generated files and pages in a folder of their own, with two of them out of date and one missing."""
    for name in {*FILES, *PAGES_THERE, before_after.SHEET}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    reference = tmp_path / "docs/reference.md"
    reference.write_text(reference.read_text(encoding="utf-8").replace("| `10` |", "| `11` |"), encoding="utf-8")
    (tmp_path / "docs/states.md").write_text("# States\n", encoding="utf-8")
    (tmp_path / "docs/duplicates.svg").unlink()
    monkeypatch.setattr(__main__, "ROOT", tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    texts = (path for path in folder.rglob("*.*") if path.suffix != ".jpg")
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in texts}


def test_check_names_what_is_out_of_date_and_writes_nothing(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(copy)
    assert __main__.main(["--check"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{name} is out of date: run `make generate`"
        for name in ("docs/states.md", "docs/duplicates.svg", "docs/reference.md")
    ]
    assert contents(copy) == before


def test_it_is_written_and_then_checked(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main([]) == 0
    assert set(contents(copy)) == {*FILES, *PAGES_THERE}
    assert contents(copy)["docs/states.md"] == FILES["docs/states.md"]()
    capsys.readouterr()
    assert __main__.main(["--check"]) == 0
    assert capsys.readouterr().out == ""
