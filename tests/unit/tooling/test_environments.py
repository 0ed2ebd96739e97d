"""bin/environments.py: when an environment is made anew, and when it is left alone."""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import IO

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

    def run(command: tuple[str, ...], **_options: object) -> subprocess.CompletedProcess[str]:
        commands.append(list(command))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("subprocess.run", run)
    return commands


def refuse(monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    """Have pip fail, and say why."""

    def run(command: tuple[str, ...], *, stderr: IO[bytes], **_options: object) -> subprocess.CompletedProcess[str]:
        stderr.write(why.encode())
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr("subprocess.run", run)


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
        assert project.set_up() == 130

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
    assert project.set_up() == 130

    project.requirements.write_text(before, encoding="utf-8")
    assert not project.module.is_current(project.environment, project.requirements)


def test_a_failing_download_ends_it_with_a_reason(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(monkeypatch, "ERROR: No matching distribution found for tools")

    assert project.set_up() == 1
    said = capsys.readouterr().out
    assert (
        "pip download failed:\nERROR: No matching distribution found for tools\nIs a package index reachable?" in said
    )
    assert not project.module.is_current(project.environment, project.requirements)


@pytest.mark.parametrize("how", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_called_by_its_name(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: int
) -> None:
    """Whether it is full for Python or for pip."""

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(how, os.strerror(how))

    with monkeypatch.context() as patch:
        patch.setattr("venv.create", full)
        assert project.set_up() == 1
    refuse(monkeypatch, f"ERROR: Could not install packages due to an OSError: [Errno {how}] {os.strerror(how)}")
    assert project.set_up() == 1

    said = capsys.readouterr().out
    assert said.count("no space is left on the disk") == 2
    assert "index" not in said


@pytest.mark.parametrize("how", [errno.EROFS, errno.EACCES])
def test_a_clone_that_cannot_be_written_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: int
) -> None:
    def refused(path: Path, **_options: object) -> None:
        raise OSError(how, os.strerror(how), str(path))

    monkeypatch.setattr("pathlib.Path.mkdir", refused)

    assert project.set_up() == 1
    assert f"{project.root / '.venv'} cannot be written: clone the repository into" in capsys.readouterr().out


def test_progress_is_shown_while_pip_works(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """How many environments there are, how many packages the one has, and a dot now and then."""

    def run(command: tuple[str, ...], **_options: object) -> subprocess.CompletedProcess[str]:
        time.sleep(0.1)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("subprocess.run", run)
    monkeypatch.setattr(project.module, "TICK_SECONDS", 0.02)
    project.requirements.write_text("one==1 \\\n    --hash=sha256:0\ntwo==2\n", encoding="utf-8")
    project.set_up()

    assert re.search(
        r"setting up \.venv/tools with Python .* \.{6,} \.venv/tools, 2 packages: downloaded", capsys.readouterr().out
    )


def test_pip_is_told_only_where_packages_come_from(project: Project) -> None:
    """Whatever else the user has set is for their own installations. A variable goes before a configuration file."""
    users = {"PIP_USER": "1", "PIP_REQUIRE_VIRTUALENV": "1", "PIP_TARGET": "/elsewhere", "PIP_CONSTRAINT": "mine.txt"}
    index = {"PIP_INDEX_URL": "https://packages.example/simple", "PIP_RETRIES": "9", "HOME": "/home/me"}
    given = project.module.pip_environment(users | index)

    assert index.items() <= given.items()
    assert (given["PIP_USER"], given["PIP_REQUIRE_VIRTUALENV"]) == ("0", "0")
    assert not {"PIP_TARGET", "PIP_CONSTRAINT"} & set(given)


def test_a_silent_index_is_given_up_after_a_minute(project: Project) -> None:
    given = project.module.pip_environment({})
    assert int(given["PIP_TIMEOUT"]) * (1 + int(given["PIP_RETRIES"])) <= 60


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


@pytest.mark.parametrize(("name", "compiled"), [("tools", False), ("runtime", True)])
def test_only_what_is_timed_is_compiled(project: Project, pip: list[list[str]], name: str, compiled: bool) -> None:
    """All else is compiled as far as it is imported."""
    (project.root / "requirements" / f"{name}.txt").write_text("# nothing\n", encoding="utf-8")
    assert project.module.main([name], project.root) == 0
    assert ("--no-compile" not in pip[-1]) is compiled


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
    times = iter([99.0, 100.0, 102.0, 132.0, 139.0, 140.0])  # setup and one began, pip there, downloaded, installed
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    project.set_up()

    one, whole = capsys.readouterr().out.splitlines()
    assert one.endswith(" .venv/tools, 0 packages: downloaded in 30 s, installed in 9 s")
    assert whole == "set up in 41 s"


def test_two_are_made_at_the_same_time(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no more; if one fails, those that have not begun are left."""
    both, begun = threading.Barrier(2), list[str]()

    def run(command: tuple[str, ...], **_options: object) -> subprocess.CompletedProcess[str]:
        begun.append(command[-1])
        both.wait(10)
        return subprocess.CompletedProcess(command, 0)

    names = ["tools", "two", "three", "four", "five", "six"]
    for name in names:
        (project.root / "requirements" / f"{name}.txt").write_text("# nothing\n", encoding="utf-8")
    monkeypatch.setattr("subprocess.run", run)
    assert project.module.main(names, project.root) == 0
    assert len(begun) == 2 * len(names)

    def fails(environment: Path, requirements: Path) -> tuple[float, float]:
        begun.append(environment.name)
        if environment.name == "tools":
            raise project.module.SetupError(requirements.name)
        time.sleep(1.0)
        return 0.0, 0.0

    begun.clear()
    monkeypatch.setattr(project.module, "make", fails)
    for name in names:
        (project.root / "requirements" / f"{name}.txt").write_text("# anew\n", encoding="utf-8")
    assert project.module.main(names, project.root) == 1
    assert len(begun) < len(names)


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


def test_the_readme_says_how_much_is_installed() -> None:
    """To a fifth: the packages for another Python or system take more or less."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    told = re.search(r"installs ([\d.]+) GB of tools under `\.venv/` \(([\d.]+) GB for the tests\)", text)
    assert told is not None
    demo = {"run", "emulator", "sam", "runtime"}
    for figure, names in zip(told.groups(), (demo, demo | {"test"}), strict=True):
        folders = [ROOT / ".venv" / name for name in names]
        taken = sum(one.lstat().st_blocks * 512 for folder in folders for one in folder.rglob("*"))
        assert float(figure) * 1e9 == pytest.approx(taken, rel=0.2)
