"""Make the virtual environments NAME... of this repository: .venv/NAME from requirements/NAME.txt.

Run as ``bin/python bin/environments.py NAME...``. An environment that already matches its requirements file is left
alone; any other, even an incomplete one, is made again. Uses only the standard library.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAMP = "made-from.txt"

# The requirements files are complete (bin/lock), so pip has nothing to resolve.
PIP_FLAGS = ("--no-deps", "--require-hashes", "--only-binary", ":all:", "-qq", "--disable-pip-version-check")


class SetupError(Exception):
    """An environment cannot be made. The message says why."""


def stamp(environment: Path, requirements: Path) -> str:
    """What an environment is made from: its path, which its scripts contain; the interpreter; the requirements."""
    return "\n".join((str(environment), sys.base_prefix, sys.version, requirements.read_text(encoding="utf-8")))


def is_current(environment: Path, requirements: Path) -> bool:
    """Whether the environment was completed from these very requirements, by this interpreter, at this path."""
    try:
        made_from = (environment / STAMP).read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return made_from == stamp(environment, requirements)


def make(environment: Path, requirements: Path) -> tuple[float, float]:
    """Make the environment from nothing.

    Returns:
        The seconds spent downloading, and the remaining seconds.

    Raises:
        SetupError: The packages could not be downloaded or installed.
    """
    started = time.monotonic()
    shutil.rmtree(environment, ignore_errors=True)
    venv.create(environment, with_pip=True)
    pip = (str(environment / "bin" / "python"), "-I", "-m", "pip")
    with tempfile.TemporaryDirectory() as wheels:
        downloading = time.monotonic()
        _run(*pip, "download", *PIP_FLAGS, "--dest", wheels, "--requirement", str(requirements))
        downloaded = time.monotonic() - downloading
        _run(*pip, "install", *PIP_FLAGS, "--no-index", "--find-links", wheels, "--requirement", str(requirements))
    # Last, so that an environment without it is known to be incomplete.
    (environment / STAMP).write_text(stamp(environment, requirements), encoding="utf-8")
    return downloaded, time.monotonic() - started - downloaded


def _run(*command: str) -> None:
    # pip inherits the lock: if this process is killed, the next setup waits until its pip has ended.
    if subprocess.run(command, check=False, close_fds=False).returncode:
        raise SetupError(f"pip {command[4]} failed (see above): is a package index reachable?")


@contextmanager
def _alone(environments: Path) -> Iterator[None]:
    """Make another setup of the same repository wait. The lock is released when the processes end, however they do."""
    environments.mkdir(exist_ok=True)
    with (environments / "lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another setup to finish")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(names: list[str], root: Path = ROOT) -> int:
    """Make the environments that are not current; returns the exit status."""
    sources = {root / ".venv" / name: root / "requirements" / f"{name}.txt" for name in names}
    if all(is_current(*source) for source in sources.items()):
        return 0
    downloading = making = 0.0
    with _alone(root / ".venv"):
        for environment, requirements in sources.items():
            if is_current(environment, requirements):
                continue
            print(f"setting up .venv/{environment.name} with Python {sys.version.split()[0]} ... ", end="", flush=True)
            try:
                downloaded, made = make(environment, requirements)
            except SetupError as error:
                print(error)
                return 1
            print(f"downloaded in {downloaded:.0f} s, installed in {made:.0f} s")
            downloading += downloaded
            making += made
    print(f"set up: {downloading:.0f} s downloading packages, {making:.0f} s installing them")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
