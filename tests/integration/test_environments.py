"""bin/python and bin/environments.py: a real environment, made by the machine's own Python."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ["bin/python", "bin/environments.py", "tools"]

ENV = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")} | {
    "PIP_CONFIG_FILE": os.devnull
}

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with one environment, `tools`, that has no package."""
    root = tmp_path / "a folder"
    (root / "bin").mkdir(parents=True)
    (root / "requirements").mkdir()
    (root / "requirements" / "tools.txt").write_text("", encoding="utf-8")
    for name in ("python", "environments.py"):
        (root / "bin" / name).write_bytes((ROOT / "bin" / name).read_bytes())
        (root / "bin" / name).chmod(0o755)
    return root


def wheel(folder: Path) -> str:
    """Put a package into a folder; returns the line that requires it."""
    path = folder / "detag_hammer-1.0-py3-none-any.whl"
    folder.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("detag_hammer.py", "")
        archive.writestr(
            "detag_hammer-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: detag-hammer\nVersion: 1.0\n"
        )
        archive.writestr(
            "detag_hammer-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("detag_hammer-1.0.dist-info/RECORD", "")
    return f"detag-hammer==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def test_a_real_environment_works_in_a_folder_with_spaces(root: Path) -> None:
    def set_up() -> str:
        return subprocess.run(COMMAND, cwd=root, capture_output=True, text=True, check=True).stdout

    assert "setting up .venv/tools" in set_up()
    assert set_up() == ""
    subprocess.run([root / ".venv" / "tools" / "bin" / "pip", "--version"], check=True, capture_output=True)


@pytest.mark.parametrize("where", ["in the environment", "in a configuration file"])
def test_what_the_user_tells_pip_leads_nothing_elsewhere(root: Path, tmp_path: Path, where: str) -> None:
    (root / "requirements" / "tools.txt").write_text(wheel(tmp_path / "wheels"), encoding="utf-8")
    users = {"user": "1", "require-virtualenv": "1"}
    config = tmp_path / "pip.conf"
    env = ENV | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels"), "PIP_CONFIG_FILE": str(config)}
    config.touch()
    if where == "in the environment":
        users["target"] = str(tmp_path / "elsewhere")
        env |= {f"PIP_{name.upper().replace('-', '_')}": value for name, value in users.items()}
    else:
        config.write_text("[install]\n" + "".join(f"{name} = {value}\n" for name, value in users.items()))
    done = subprocess.run(COMMAND, cwd=root, env=env, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    subprocess.run([root / ".venv/tools/bin/python", "-I", "-c", "import detag_hammer"], check=True)
    assert not (tmp_path / "elsewhere").exists()


def test_an_index_that_never_answers_is_named(root: Path) -> None:
    (root / "requirements" / "tools.txt").write_text(f"hammer==1.0 --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        env = ENV | {"PIP_INDEX_URL": index, "PIP_TIMEOUT": "1", "PIP_RETRIES": "0"}
        done = subprocess.run(COMMAND, cwd=root, env=env, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "pip download failed:" in done.stdout
    assert done.stdout.endswith("Is a package index reachable?\n")
    assert "Traceback" not in done.stdout + done.stderr


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What is started can be interrupted, although these tests may run in a shell's background, where it could not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def is_gone(group: int) -> bool:
    """Whether nothing of a group of processes is left, a moment later: what has ended stays until it is waited for."""
    for _ in range(50):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_is_a_sentence(root: Path) -> None:
    """Ctrl-C while packages are awaited: no traceback, and nothing is left running."""
    (root / "requirements" / "tools.txt").write_text(f"hammer==1.0 --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        env = ENV | {"PIP_INDEX_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/simple"}
        setup = subprocess.Popen(
            COMMAND,
            cwd=root,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        connection, _ = silent.accept()
        with connection:
            time.sleep(0.2)
            os.killpg(setup.pid, signal.SIGINT)
            said, errors = setup.communicate(timeout=30)
    assert setup.returncode == 130
    assert "Interrupted. The environments that are complete stay" in said
    assert "Traceback" not in said + errors
    assert is_gone(setup.pid)
