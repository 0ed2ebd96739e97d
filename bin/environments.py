"""Make the virtual environments NAME... of this repository: .venv/NAME from requirements/NAME.txt.

Run as ``bin/python bin/environments.py NAME...``. An environment that already matches its requirements file is left
alone; any other, even an incomplete one, is made again. Uses only the standard library.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAMP = "made-from.txt"

# The requirements files are complete (bin/lock), so pip has nothing to resolve.
PIP_FLAGS = ("--no-deps", "--require-hashes", "--only-binary", ":all:", "-qq", "--disable-pip-version-check")

# What the user may tell pip: where packages come from, and how to get there. Whatever else they have set is meant for
# their own installations, and would lead these elsewhere, or stop them.
PIP_SETTINGS = frozenset(
    f"PIP_{name}"
    for name in (
        *("INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX", "TRUSTED_HOST", "PROXY", "CERT", "CLIENT_CERT"),
        *("KEYRING_PROVIDER", "CONFIG_FILE", "CACHE_DIR", "NO_CACHE_DIR", "TIMEOUT", "DEFAULT_TIMEOUT", "RETRIES"),
    )
)
# What many have in a configuration file, where a variable goes before it.
PIP_NEUTRAL = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}

# An index that accepts connections and does not answer is given up after a minute. pip itself tries for four.
PIP_PATIENCE = {"PIP_TIMEOUT": "15", "PIP_RETRIES": "2"}

# Python compiles what it imports, when it first does: a quarter of what pip would compile. Nothing else stands beside
# what the benchmarks time.
COMPILED = ("runtime",)

AT_ONCE = 2
"""Environments made at the same time: while one is downloaded, the other is installed."""
TICK_SECONDS = 3.0
FULL = (errno.ENOSPC, errno.EDQUOT)
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class SetupError(Exception):
    """An environment cannot be made. The message says why."""


def pip_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables for pip: the user's, without what would lead packages anywhere but into the environment."""
    kept = {name: value for name, value in environ.items() if not name.startswith("PIP_") or name in PIP_SETTINGS}
    return {**PIP_PATIENCE, **kept, **PIP_NEUTRAL}


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
        OSError: A file could not be written.
    """
    started = time.monotonic()
    shutil.rmtree(environment, ignore_errors=True)
    try:
        venv.create(environment, with_pip=True)
    except subprocess.CalledProcessError as error:  # of ensurepip
        raise _pip_error("itself", (error.output or b"").decode(errors="replace").strip()) from error
    pip = (str(environment / "bin" / "python"), "-I", "-m", "pip")
    with tempfile.TemporaryDirectory() as wheels:
        downloading = time.monotonic()
        _run(*pip, "download", *PIP_FLAGS, "--dest", wheels, "--requirement", str(requirements))
        downloaded = time.monotonic() - downloading
        flags = PIP_FLAGS if environment.name in COMPILED else (*PIP_FLAGS, "--no-compile")
        _run(*pip, "install", *flags, "--no-index", "--find-links", wheels, "--requirement", str(requirements))
    # Last, so that an environment without it is known to be incomplete.
    (environment / STAMP).write_text(stamp(environment, requirements), encoding="utf-8")
    return downloaded, time.monotonic() - started - downloaded


def _run(*command: str) -> None:
    # pip inherits the lock: if this process is killed, the next setup waits until its pip has ended.
    with tempfile.TemporaryFile() as said:
        status = subprocess.run(
            command, check=False, close_fds=False, stderr=said, env=pip_environment(os.environ)
        ).returncode
        said.seek(0)
        why = said.read().decode(errors="replace").strip()
    if status:
        raise _pip_error(command[4], why)


def _pip_error(what: str, why: str) -> SetupError:
    if any(os.strerror(number) in why for number in FULL):
        return SetupError(_no_space(tempfile.gettempdir()))
    return SetupError(f"pip {what} failed:\n{why}\nIs a package index reachable?")


@contextmanager
def _ticking() -> Iterator[None]:
    """Print a dot every few seconds: something is happening."""
    done = threading.Event()

    def tick() -> None:
        while not done.wait(TICK_SECONDS):
            print(".", end="", flush=True)

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _no_space(folder: object) -> str:
    return f"no space is left on the disk of {ROOT} or of {folder}: the environments need 1.5 GB in all"


def _reason(error: OSError, root: Path) -> str:
    """Why nothing could be written, in one sentence."""
    if error.errno in FULL:
        return _no_space(tempfile.gettempdir())
    if error.errno in READ_ONLY:
        return f"{error.filename or root} cannot be written: clone the repository into a folder where you may write"
    return str(error)


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
    try:
        with _alone(root / ".venv"):
            _make_all({place: source for place, source in sources.items() if not is_current(place, source)})
    except SetupError as error:
        print(f"\n{error}")
        return 1
    except OSError as error:
        print(f"\n{_reason(error, root)}")
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. The environments that are complete stay; the next time goes on from there.")
        return 130
    return 0


def _make_all(sources: Mapping[Path, Path]) -> None:
    if not sources:
        return
    started = time.monotonic()
    names = ", ".join(f".venv/{environment.name}" for environment in sources)
    print(f"setting up {names} with Python {sys.version.split()[0]}, {AT_ONCE} at a time ...", end="", flush=True)
    with _ticking(), ThreadPoolExecutor(AT_ONCE) as pool:
        making = {pool.submit(make, *source): source for source in sources.items()}
        try:
            for done in as_completed(making):
                environment, requirements = making[done]
                downloaded, made = done.result()
                packages = requirements.read_text(encoding="utf-8").count("==")
                times = f"downloaded in {downloaded:.0f} s, installed in {made:.0f} s"
                print(f" .venv/{environment.name}, {packages} packages: {times}", flush=True)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    print(f"set up in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
