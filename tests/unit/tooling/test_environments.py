"""bin/environments.py: when an environment is made anew, and when it is left alone."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("environments", ROOT / "bin" / "environments.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Project:
    """A repository with one environment, `tools`, made from a file that lists no package: nothing is downloaded."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.module = load()
        self.environment = root / ".venv" / "tools"
        self.requirements = root / "requirements" / "tools.txt"
        self.requirements.parent.mkdir(parents=True)
        self.requirements.write_text("# nothing\n", encoding="utf-8")

    def set_up(self) -> int:
        """Run the program."""
        code: int = self.module.main(["tools"], self.root)
        return code


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The environments that were made. Python's part of it is left out: only the folder appears."""
    environments: list[Path] = []

    def create(environment: Path, *, with_pip: bool) -> None:
        assert with_pip
        assert not environment.exists(), "what stood there is gone first"
        environment.mkdir(parents=True)
        environments.append(environment)

    monkeypatch.setattr("venv.create", create)
    return environments


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands given to pip, none of which is run."""
    commands: list[list[str]] = []

    def run(command: tuple[str, ...], **_options: bool) -> subprocess.CompletedProcess[str]:
        commands.append(list(command))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("subprocess.run", run)
    return commands


@pytest.fixture
def project(tmp_path: Path, made: list[Path], pip: list[list[str]]) -> Project:
    return Project(tmp_path / "a folder")


def test_an_environment_is_made_once(project: Project, made: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert project.set_up() == 0
    assert made == [project.environment]
    capsys.readouterr()

    assert project.set_up() == 0
    assert made == [project.environment]
    assert capsys.readouterr().out == ""


def test_changed_requirements_make_it_anew(project: Project, made: list[Path]) -> None:
    project.set_up()
    project.requirements.write_text("# still nothing\n", encoding="utf-8")
    project.set_up()

    assert len(made) == 2


def test_another_interpreter_makes_it_anew(project: Project, made: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    project.set_up()
    monkeypatch.setattr(sys, "version", "3.13.99 (built today)")
    project.set_up()
    monkeypatch.setattr(sys, "base_prefix", "/another/python")
    project.set_up()

    assert len(made) == 3


def test_a_moved_repository_makes_it_anew(project: Project, made: list[Path]) -> None:
    project.set_up()
    project.root = project.root.rename(project.root.with_name("another folder"))
    project.set_up()

    assert len(made) == 2


def test_an_install_that_was_killed_is_noticed(
    project: Project, made: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_command: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(project.module, "_run", killed)
        with pytest.raises(KeyboardInterrupt):
            project.set_up()

    assert project.environment.exists()
    project.set_up()
    assert len(made) == 2


def test_an_environment_is_not_current_while_it_is_rebuilt(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current environment that is to be made anew is not current meanwhile."""
    before = project.requirements.read_text(encoding="utf-8")
    project.set_up()
    project.requirements.write_text("# something else\n", encoding="utf-8")

    def killed(*_command: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(project.module, "_run", killed)
    with pytest.raises(KeyboardInterrupt):
        project.set_up()

    project.requirements.write_text(before, encoding="utf-8")
    assert not project.module.is_current(project.environment, project.requirements)


def test_a_failing_download_ends_it_with_a_reason(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("subprocess.run", lambda command, **_: subprocess.CompletedProcess(command, 1))

    assert project.set_up() == 1
    assert "pip download failed (see above): is a package index reachable?" in capsys.readouterr().out
    assert not project.module.is_current(project.environment, project.requirements)


def test_packages_are_installed_without_an_index(project: Project, pip: list[list[str]]) -> None:
    """Packages are downloaded first, and then installed without an index."""
    project.set_up()

    download, install = pip
    assert download[4] == "download"
    assert install[4] == "install"
    assert "--no-index" in install
    wheels = download[download.index("--dest") + 1]
    assert install[install.index("--find-links") + 1] == wheels
    assert not Path(wheels).exists(), "what was downloaded is not kept"


def test_only_wheels_with_a_listed_hash_are_taken(project: Project, pip: list[list[str]]) -> None:
    project.set_up()

    for command in pip:
        assert {"--require-hashes", "--no-deps"} < set(command)
        assert command[command.index("--only-binary") + 1] == ":all:"
        assert command[0] == str(project.environment / "bin" / "python")
        assert command[-1] == str(project.requirements)


def test_the_time_spent_downloading_is_told_apart(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([100.0, 102.0, 132.0, 139.0])  # started, pip there, downloaded, installed
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    project.set_up()

    assert capsys.readouterr().out.splitlines()[-1] == "set up: 30 s downloading packages, 9 s installing them"


def test_two_setups_at_once_make_an_environment_once(
    project: Project, made: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (project.root / ".venv").mkdir()
    with (project.root / ".venv" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = threading.Thread(target=project.set_up)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        assert made == []
        # The other setup completes the environment, and ends.
        project.environment.mkdir()
        stamp = project.module.stamp(project.environment, project.requirements)
        (project.environment / project.module.STAMP).write_text(stamp, encoding="utf-8")
    waiting.join(10)

    assert not waiting.is_alive()
    assert made == []
    assert "waiting for another setup" in capsys.readouterr().out


def test_pip_of_a_killed_setup_keeps_the_next_one_waiting(tmp_path: Path) -> None:
    """The pip of a setup that was killed keeps the next one waiting."""
    pip = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    setup = f"""
import sys, pathlib
sys.path.insert(0, {str(ROOT / "bin")!r})
import environments
with environments._alone(pathlib.Path({str(tmp_path)!r})):
    environments._run(sys.executable, "-c", {pip!r}, "", "download")
"""
    with subprocess.Popen([sys.executable, "-c", setup], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        orphan = int(killed.stdout.readline())
        killed.kill()
        killed.wait()
        with (tmp_path / "lock").open("w") as lock:
            try:
                with pytest.raises(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            finally:
                os.kill(orphan, signal.SIGKILL)
            fcntl.flock(lock, fcntl.LOCK_EX)
