"""Writes what the functions need of botocore's endpoints.json: all partitions and regions, of few services.

    python bin/endpoints.py            writes it
    python bin/endpoints.py --check    says whether it is what the installed botocore has (exit status 1 if not)

Needs the test environment, whose botocore is the one of requirements/runtime.txt.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import botocore

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "layers" / "detag" / "python"))

from detag.adapters.aws import DATA, SERVICES  # noqa: E402  (found by the line above)


def trimmed(endpoints: dict[str, Any]) -> dict[str, Any]:
    """Botocore's table with the functions' services only."""
    partitions = [
        partition | {"services": {name: partition["services"].get(name, {}) for name in SERVICES}}
        for partition in endpoints["partitions"]
    ]
    return endpoints | {"partitions": partitions}


def text() -> str:
    """The file as it should be."""
    whole = json.loads((Path(botocore.__file__).parent / "data" / "endpoints.json").read_text(encoding="utf-8"))
    return json.dumps(trimmed(whole), separators=(",", ":"), sort_keys=True) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status."""
    path = DATA / "endpoints.json"
    if arguments == ["--check"]:
        if not path.is_file() or path.read_text(encoding="utf-8") != text():
            print(f"{path.name} is not that of botocore {botocore.__version__}: run python bin/endpoints.py")
            return 1
        return 0
    path.parent.mkdir(exist_ok=True)
    path.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
