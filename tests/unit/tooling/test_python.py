"""bin/python: which interpreter the project is set up with."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

VERSION_MANAGER_SHIM = "echo 'no version is set' >&2; exit 127"


class Machine:
    """A made-up machine: folders of interpreters, and a home. Nothing of the real one is on its PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()

    def install(self, where: str, name: str, script: str) -> Path:
        """Put an executable shell script into a folder."""
        path = self.folder / where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    def python(self, where: str, name: str, version: tuple[int, int] = (3, 11), without: str = "") -> Path:
        """Put an interpreter of some version there, which may lack a module. It tells its path when it is run."""
        # What bin/python asks is answered by a real interpreter whose version and modules are made up.
        disguise = (
            f"import sys; sys.version_info = {(*version, 0)}; sys.modules.update(dict.fromkeys({without.split()}))"
        )
        script = f"""
            if [ "$1" = tell ]; then printf '%s\\n' "$0" "$@"; exit 7; fi
            [ "$1 $2" = "-I -c" ] || exit 2
            exec {shlex.quote(sys.executable)} -I -c {shlex.quote(disguise)}"; $3"
            """
        return self.install(where, name, script)

    def run(
        self, *path: str, arguments: tuple[str, ...] = ("tell",), pyenv: str = "", python: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run bin/python with these folders as its PATH, and with PYTHON."""
        folders = [str(self.folder / folder) for folder in path]
        environment = {"PATH": os.pathsep.join(folders), "HOME": str(self.home), "PYTHON": python}
        if pyenv:
            environment["PYENV_ROOT"] = str(self.folder / pyenv)
        command = ["/bin/sh", str(ROOT / "bin" / "python"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def chosen(self, *path: str, pyenv: str = "") -> Path:
        """The interpreter that bin/python runs."""
        return Path(self.run(*path, pyenv=pyenv).stdout.splitlines()[0])


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_newest_tested_version_comes_first(machine: Machine) -> None:
    """The newest tested version comes first, wherever it is on PATH."""
    machine.python("first", "python3", (3, 14))
    machine.python("first", "python3.11")
    machine.python("first", "python3.12", (3, 12))
    newest = machine.python("second", "python3.13", (3, 13))

    assert machine.chosen("first", "second") == newest


def test_plain_python3_is_the_last_resort(machine: Machine) -> None:
    machine.python("bin", "python3", (3, 14))
    older = machine.python("bin", "python3.11")

    assert machine.chosen("bin") == older

    older.unlink()
    assert machine.chosen("bin") == machine.folder / "bin" / "python3"


def test_a_failing_shim_hides_no_interpreter_of_the_same_name(machine: Machine) -> None:
    machine.install("shims", "python3.13", VERSION_MANAGER_SHIM)
    real = machine.python("usr bin", "python3.13", (3, 13))

    assert machine.chosen("shims", "usr bin") == real


@pytest.mark.parametrize("pyenv", ["", "else where"])
def test_the_interpreter_behind_a_failing_pyenv_shim_is_found(machine: Machine, pyenv: str) -> None:
    machine.install("shims", "python3.13", VERSION_MANAGER_SHIM)
    machine.python("bin", "python3.11")
    real = machine.python(f"{pyenv or 'home/.pyenv'}/versions/3.13.5/bin", "python3.13", (3, 13))

    assert machine.chosen("shims", "bin", pyenv=pyenv) == real


@pytest.mark.parametrize("version", [(3, 10), (3, 15), (2, 7)])
def test_a_version_without_requirements_is_passed_over(machine: Machine, version: tuple[int, int]) -> None:
    machine.python("first", "python3", version)
    good = machine.python("second", "python3")

    assert machine.chosen("first", "second") == good


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_python_that_cannot_make_environments_is_passed_over(machine: Machine, module: str) -> None:
    machine.python("bin", "python3.13", (3, 13), without=module)
    good = machine.python("bin", "python3.11")

    assert machine.chosen("bin") == good


def test_the_one_that_python_names_comes_before_all_others(machine: Machine) -> None:
    machine.python("bin", "python3.13", (3, 13))
    named = machine.python("bin", "python3.14", (3, 14))

    assert machine.run("bin", python="python3.14").stdout.splitlines() == [str(named), "tell"]
    assert machine.run("bin", python=str(named)).stdout.splitlines() == [str(named), "tell"]


def test_another_is_not_taken_for_the_one_that_python_names(machine: Machine) -> None:
    machine.python("bin", "python3.13", (3, 13))
    machine.python("bin", "python3.15", (3, 15))

    for named in ("python3.15", "python3.12"):
        done = machine.run("bin", python=named)
        assert (done.returncode, done.stdout) == (69, "")
        assert done.stderr.startswith(f"PYTHON is set to {named}, ")


def test_one_sentence_says_what_to_install_when_there_is_none(machine: Machine) -> None:
    machine.install("bin", "python3.13", VERSION_MANAGER_SHIM)
    machine.python("bin", "python3", (3, 10))

    done = machine.run("bin")

    assert done.returncode == 69
    assert done.stdout == ""
    assert done.stderr.startswith("detag needs Python 3.11 to 3.14 with venv and ensurepip: install one")
    assert done.stderr.count("\n") == 1


def test_folders_and_arguments_may_have_spaces_and_stars(machine: Machine) -> None:
    python = machine.python("my tools * $HOME", "python3.12", (3, 12))

    done = machine.run("my tools * $HOME", arguments=("tell", "a b", "*", ""))

    assert done.stdout.splitlines() == [str(python), "tell", "a b", "*", ""]
    assert done.returncode == 7, "the interpreter's exit code is passed on"


def test_an_empty_path_and_no_home_are_no_failure_of_the_search(machine: Machine) -> None:
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "bin" / "python")], env={"PATH": ""}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 69
    assert done.stderr.startswith("detag needs")
