"""What a demo says at its end, and which folders it takes."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from local.demo import __main__ as demo
from local.demo.photos import Photo

OWN = ("delivered", "skipped", "failed")


def photo(state: str, reason: str = "") -> Photo:
    outputs = [Path("x")] if state == "delivered" else []
    return Photo(f"{state}.jpg", Path("a"), OWN, state=state, reason=reason, detail="why", outputs=outputs)


@pytest.mark.parametrize(
    ("states", "said"),
    [
        (["delivered"], "The only file ended as expected: 1 delivered, in 3 s."),
        (["delivered", "skipped", "delivered"], "All 3 files ended as expected: 2 delivered, 1 skipped, in 3 s."),
        (["delivered", "waiting"], "1 of 2 did not end as expected: 1 delivered, 1 waiting, in 3 s."),
    ],
)
def test_the_last_line_says_how_many_ended_how(
    states: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo._judge([photo(state) for state in states], 3.2) == ("waiting" in states)
    assert capsys.readouterr().out.splitlines()[-1] == said


def test_a_damaged_photo_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo._judge([photo("delivered"), photo("failed", "run_failed")], 3.2) == 0
    assert capsys.readouterr().out.splitlines() == [
        "failed.jpg could not be cleaned: why",
        "All 2 files ended as expected: 1 delivered, 1 failed, in 3 s.",
    ]


def test_demos_at_once_take_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "FOLDERS", tmp_path / "demos")
    with demo._own_folder() as first:
        with demo._own_folder() as second:
            assert (first.name, second.name) == ("1", "2")
        with demo._own_folder() as third:
            assert third == second
    with demo._own_folder() as fourth:
        assert fourth == first


def test_results_of_demos_at_once_are_numbered_apart(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(demo._next_folder(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(path.name) for path in found) == list(range(8, 16))


def test_a_folder_that_cannot_be_written_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_output: Path) -> Path:
        raise PermissionError(13, "Permission denied", "/a/clone/demo-output")

    monkeypatch.setattr(demo, "_next_folder", refused)
    monkeypatch.setattr(demo, "isolate", lambda: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    done = CliRunner().invoke(demo.main, [])
    assert (done.exit_code, type(done.exception)) == (1, SystemExit)
