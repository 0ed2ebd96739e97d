""".gitattributes and .editorconfig: what is committed is written as they say."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.unit.tooling.test_requirements import committed

ROOT = Path(__file__).resolve().parents[3]


def texts() -> dict[str, bytes]:
    """The committed files by path, without images and archives."""
    return {str(path.relative_to(ROOT)): data for path in committed() if b"\0" not in (data := path.read_bytes())}


def is_makefile(name: str) -> bool:
    return Path(name).name == "Makefile" or name.endswith(".mk")


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        (rb"\r", "a carriage return"),
        (rb"[ \t]+$", "space at the end of a line"),
        (rb"[^\n]\Z", "no newline at the end"),
        (rb"\n\n\Z", "an empty line at the end"),
    ],
)
def test_no_committed_text_has(pattern: bytes, fault: str) -> None:
    assert [name for name, text in texts().items() if re.search(pattern, text, re.MULTILINE)] == [], fault


def test_only_makefiles_are_indented_by_tabs() -> None:
    tabbed = {name for name, text in texts().items() if re.search(rb"^ *\t", text, re.MULTILINE)}

    assert "Makefile" in tabbed
    assert [name for name in sorted(tabbed) if not is_makefile(name)] == []


def test_a_clone_with_crlf_conversion_has_the_same_bytes(tmp_path: Path) -> None:
    kept = [".gitattributes", "Makefile", "bin/lock", "bin/python", "template.yaml"]
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    for name in kept:
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).write_bytes((ROOT / name).read_bytes())
    (origin / "photo.jpg").write_bytes(b"\xff\xd8\r\nno zero byte\n\xff\xd9")

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "--quiet", "origin")
    git("-C", "origin", "-c", "core.autocrlf=true", "add", "--all")
    git("-C", "origin", "commit", "--quiet", "--message", "all")
    git("-c", "core.autocrlf=true", "clone", "--quiet", "origin", "clone")

    for name in [*kept, "photo.jpg"]:
        assert (clone / name).read_bytes() == (origin / name).read_bytes(), name
