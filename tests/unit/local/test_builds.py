"""The build of the local stack is made anew whenever one of its sources has changed, and only then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from local.stack import sam


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Build, and tell how often SAM was asked to so far."""
    for name in ("functions/submit/handler.py", "layers/detag/python/detag/app.py", "template.yaml", "sam.mk"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    (tmp_path / ".venv/runtime").mkdir(parents=True)
    (tmp_path / ".venv/runtime/pyvenv.cfg").write_text("version = 3.13\n")
    for name, path in {"REPOSITORY": "", "TEMPLATE": "template.yaml", "BUILDS": "builds", "VENVS": ".venv"}.items():
        monkeypatch.setattr(sam, name, tmp_path / path)
    asked: list[str] = []

    def run(_: sam.Sam, name: str, arguments: list[str], env: object) -> None:
        asked.append(name)
        build = Path(arguments[arguments.index("--build-dir") + 1])
        shutil.rmtree(build, ignore_errors=True)
        build.mkdir()

    monkeypatch.setattr(sam.Sam, "_run", run)
    monkeypatch.setattr(sam, "as_json", lambda template: None)

    def build() -> int:
        sam.Sam(tmp_path / "stack", tmp_path / "logs").build({})
        assert (tmp_path / "stack/build").is_dir()
        return len(asked)

    return build


@pytest.mark.parametrize(
    "changed", ["functions/submit/handler.py", "layers/detag/python/detag/new.py", "template.yaml", "sam.mk"]
)
def test_a_change_is_built(tmp_path: Path, built: Callable[[], int], changed: str) -> None:
    assert [built(), built()] == [1, 1], "nothing has changed"
    (tmp_path / changed).write_text("x = 2\n")
    assert [built(), built()] == [2, 2]


def test_a_build_that_was_removed_is_made_again(tmp_path: Path, built: Callable[[], int]) -> None:
    assert built() == 1
    for folder in (tmp_path / "builds").glob("*/build"):
        shutil.rmtree(folder)
    assert built() == 2


def test_a_template_says_the_same_as_json(tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text("Version: 2012-10-17\nName: !Sub '${Stack}-é'\nAll: [!GetAtt A.Arn, !Ref B, '0123', yes]\n")
    sam.as_json(template)
    assert json.loads(template.read_text()) == {
        "Version": "2012-10-17",
        "Name": {"Fn::Sub": "${Stack}-é"},
        "All": [{"Fn::GetAtt": ["A", "Arn"]}, {"Ref": "B"}, "0123", True],
    }


def test_byte_code_is_no_source(tmp_path: Path, built: Callable[[], int]) -> None:
    assert built() == 1
    (tmp_path / "functions/submit/__pycache__").mkdir()
    (tmp_path / "functions/submit/__pycache__/handler.pyc").write_text("")
    assert built() == 1
