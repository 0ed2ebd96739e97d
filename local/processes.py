"""Starting, recognising and stopping the processes of the local stack, with nothing but the standard library."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def identity(pid: int) -> str | None:
    """A value that no other process with this ID ever has; None if there is no such process."""
    proc = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # After the name, which may contain anything, come state, parent, ... and as the 20th the start time.
            fields = proc.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] == "Z" else f"started {fields[19]}"
    found = subprocess.run(["ps", "-o", "lstart=,state=", "-p", str(pid)], capture_output=True, text=True, check=False)
    words = found.stdout.split()
    return " ".join(words[:-1]) if words and not words[-1].startswith("Z") else None


def is_alive(pid: int, known_as: str | None) -> bool:
    """Whether the process that had this ``identity`` still runs."""
    return known_as is not None and identity(pid) == known_as


def end(pid: int, known_as: str | None, patience: float = 10.0) -> bool:
    """Stop a process that we recorded, by SIGTERM and then by SIGKILL. Returns whether it was running."""
    if not is_alive(pid, known_as):
        return False
    for signum, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            return True
        if wait_until(lambda: not is_alive(pid, known_as), seconds):
            return True
    return True


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = 0.02) -> bool:
    """Poll until ``condition`` holds, for at most ``seconds``. Returns whether it did."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


class Child:
    """A server that we started, with its output in a file.

    In a session of its own, so that Ctrl-C at the terminal stops it only through us, in the right order.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str], cwd: Path) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.identity = identity(self.pid)

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """False once it has ended."""
        return self._process.poll() is None

    def wait_until_ready(self, ready: Callable[[], bool], seconds: float = 60.0) -> None:
        """Return once ``ready`` holds. Raises RuntimeError with the end of its log if it ends first or is too slow."""
        wait_until(lambda: ready() or not self.alive, seconds)
        if self.alive and ready():
            return
        self.stop()
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
        raise RuntimeError(f"the {self.name} did not start; {self.log} ends:\n{tail}")

    def stop(self, patience: float = 10.0) -> None:
        """Terminate it, and kill it if it has not ended after ``patience`` seconds. Safe to repeat."""
        if not self.alive:
            return
        self._process.terminate()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
