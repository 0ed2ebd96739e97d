"""Byte code in a package is used, though SAM's zip dates every file to 1980 and the folder cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.template.test_functions import build

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import importlib.util, sys
sys.path.insert(0, sys.argv[1])
spec = importlib.util.find_spec("handler")
code = spec.loader.get_code("handler")
print("lambda_handler" in code.co_names)
"""


def test_a_handler_is_loaded_from_its_byte_code(tmp_path: Path) -> None:
    """A handler is loaded from its byte code, whatever the dates."""
    task = tmp_path / "var task"
    task.mkdir()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    build(ROOT, "functions/submit", "SubmitFunction", task, RUNTIME=version, PYTHON=sys.executable)
    (task / "handler.py").write_text("raise SystemExit('the source was compiled')\n", encoding="utf-8")
    for path in task.rglob("*"):
        os.utime(path, (315_532_800, 315_532_800))  # 1980-01-01
    command = [sys.executable, "-I", "-B", "-c", PROGRAM, str(task)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
