"""The Makefile: it is its own documentation, and old makes and folders with spaces are fine."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z-]+):(?!=)", TEXT, re.MULTILINE)


def make(*arguments: str, cwd: Path = ROOT) -> str:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout


def test_make_alone_lists_every_target_with_what_it_does() -> None:
    listed = [line.split(maxsplit=1) for line in make().splitlines()]

    assert [name for name, _ in listed] == TARGETS
    assert {"demo", "test", "check", "local", "local-down"} <= set(TARGETS)


def test_no_target_is_taken_for_a_file() -> None:
    assert re.findall(r"^\.PHONY: (\S+)$", TEXT, re.MULTILINE) == TARGETS


def test_generate_writes_and_check_compares() -> None:
    """What is generated is written by one target and compared by another."""
    assert "-m docs.generate\n" in make("--dry-run", "generate")
    assert "-m docs.generate --check\n" in make("--dry-run", "check")


@pytest.mark.parametrize("newer", [r"\.ONESHELL", r"!=", r"\$\(file ", r"^\.SHELLFLAGS", r"::=", r"--output-sync"])
def test_nothing_in_it_is_newer_than_make_3_81(newer: str) -> None:
    assert not re.search(newer, TEXT, re.MULTILINE)


def test_a_folder_of_photos_may_have_any_name() -> None:
    recipe = next(line for line in make("--dry-run", "demo", "PHOTOS=x").splitlines() if "local.demo" in line)
    shown = recipe.replace(".venv/run/bin/python", "printf '<%s>'")

    def arguments(photos: str) -> str:
        env = {"PATH": "/usr/bin:/bin", "PHOTOS": photos}
        return subprocess.run(["/bin/sh", "-c", shown], env=env, capture_output=True, text=True, check=True).stdout

    assert arguments("my 'new' photos; *") == "<-m><local.demo><my 'new' photos; *>"
    assert arguments("") == "<-m><local.demo>"


def test_clean_removes_all_that_git_ignores_but_secrets() -> None:
    """What was made, by make or by tools, is what .gitignore lists before the secrets."""
    made, secrets = (ROOT / ".gitignore").read_text(encoding="utf-8").split("# Secrets")
    removed = make("--dry-run", "clean")
    for name in re.findall(r"^/?([\w.-]+)/$", made, re.MULTILINE):
        assert re.search(rf"(?:rm -rf .*|-name )(?<!\S){re.escape(name)}(?!\S)", removed), name
    assert {"api-key.json", "callback-secrets.json"} <= set(secrets.split())


def test_what_a_user_tells_pip_does_not_reach_a_build(tmp_path: Path) -> None:
    """`pip install --target` refuses PIP_USER, and PIP_REQUIRE_VIRTUALENV refuses the Python that builds."""
    (tmp_path / "sam.mk").write_bytes((ROOT / "sam.mk").read_bytes())
    (tmp_path / "Makefile").write_text("include sam.mk\nshow:\n\t@env\n")
    users = {"PIP_USER": "1", "PIP_REQUIRE_VIRTUALENV": "1", "PIP_TARGET": "/elsewhere", "PIP_INDEX_URL": "mine"}
    command = ["make", "--no-print-directory", "show", "PYTHON=python3"]
    shown = subprocess.run(
        command, cwd=tmp_path, env=os.environ | users, capture_output=True, text=True, check=True
    ).stdout
    seen = dict(line.split("=", 1) for line in shown.splitlines() if line.startswith("PIP_"))
    assert (seen["PIP_USER"], seen["PIP_REQUIRE_VIRTUALENV"], seen["PIP_INDEX_URL"]) == ("0", "0", "mine")
    assert "PIP_TARGET" not in seen
