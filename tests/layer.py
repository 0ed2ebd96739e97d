"""The layer of dependencies as its build makes it, from the packages of this environment: nothing is fetched."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCE: Final = ROOT / "layers" / "dependencies"


def pinned() -> dict[str, str]:
    """Names and versions of the layer's packages."""
    text = (SOURCE / "requirements.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def installed(folder: Path) -> Path:
    """The packages as pip installs them, in a new folder."""
    for name in pinned():
        package = distribution(name)
        for file in package.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(package.locate_file(file)), target)
    return folder


def prune(folder: Path) -> None:
    """What the build leaves out."""
    subprocess.run([sys.executable, str(SOURCE / "prune.py"), str(folder)], check=True)
