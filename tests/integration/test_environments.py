"""bin/python and bin/environments.py: a real environment, made by the machine's own Python."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(180)
def test_a_real_environment_works_in_a_folder_with_spaces(tmp_path: Path) -> None:
    root = tmp_path / "a folder"
    (root / "bin").mkdir(parents=True)
    (root / "requirements").mkdir()
    (root / "requirements" / "tools.txt").write_text("", encoding="utf-8")
    for name in ("python", "environments.py"):
        (root / "bin" / name).write_bytes((ROOT / "bin" / name).read_bytes())
        (root / "bin" / name).chmod(0o755)

    def set_up() -> str:
        command = ["bin/python", "bin/environments.py", "tools"]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout

    assert "setting up .venv/tools" in set_up()
    assert set_up() == ""
    subprocess.run([root / ".venv" / "tools" / "bin" / "pip", "--version"], check=True, capture_output=True)
