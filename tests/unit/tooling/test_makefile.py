"""The Makefile: it is its own documentation, and old makes and folders with spaces are fine."""

from __future__ import annotations

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
