"""The local stack deletes nothing that it did not make."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.emulator import client
from local.folders import claim, is_claimed
from local.stack.stack import Options, running, take_down


def test_a_missing_or_empty_folder_becomes_the_stacks_own(tmp_path: Path) -> None:
    for folder in (tmp_path / "a" / "missing one", tmp_path / "empty"):
        if folder.name == "empty":
            folder.mkdir()
        assert claim(folder) == folder
        assert is_claimed(folder)
        (folder / "something of the stack").touch()
        assert claim(folder) == folder


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    for name in ("functions", "work", "logs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text("precious")
    for name in ("env", "stack.json", "pids.json"):
        (tmp_path / name).write_text('{"launcher": {"pid": 1, "identity": "mine"}}')
    return tmp_path


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_with_other_files_is_refused(precious: Path) -> None:
    """A folder with files of somebody else's is refused, and left alone."""
    before = files(precious)
    with pytest.raises(RuntimeError, match="not the local stack's"):
        claim(precious)
    with pytest.raises(RuntimeError, match="not the local stack's"), running(Options(folder=precious)):
        pass
    with pytest.raises(RuntimeError, match="not the local stack's"), client.running(precious):
        pass
    assert take_down(precious) is False
    assert files(precious) == before
