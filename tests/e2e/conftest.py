"""A local stack, brought up by the command that `make local` runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.emulator.client import REPOSITORY
from local.processes import Child
from local.stack import Stack, described


def launch(folder: Path, *options: str, env: Mapping[str, str] | None = None) -> Child:
    """Start ``up`` and return at once. ``env`` is added to the environment."""
    return Child(
        "local stack",
        [sys.executable, "-m", "local.stack", "up", "--folder", str(folder), *options],
        log=folder.with_name(folder.name + ".log"),
        env={**os.environ, "COLUMNS": "100", **(env or {})},
        cwd=REPOSITORY,
    )


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -m local.stack`` to its end."""
    command = [sys.executable, "-m", "local.stack", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)


@dataclass(frozen=True)
class Launched:
    """A stack that a process of its own keeps up, and what that has printed."""

    stack: Stack
    launcher: Child
    said: str


def when_up(folder: Path, launcher: Child) -> Launched:
    """Wait until it has said all that it says when it is up."""
    launcher.wait_until_ready(lambda: "It runs until" in launcher.log.read_text(), 120)
    return Launched(described(folder), launcher, launcher.log.read_text())


@pytest.fixture(scope="session")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """The stack that the tests share, in a folder with a space in its name."""
    folder = tmp_path_factory.mktemp("e2e") / "local stack"
    launcher = launch(folder)
    try:
        yield when_up(folder, launcher)
    finally:
        launcher.stop(patience=30)


@pytest.fixture
def stack(launched: Launched) -> Stack:
    """The stack that the tests share."""
    return launched.stack
