"""Puts what `sam build` made into one archive, from which `sam deploy` deploys without building.

    python bin/package.py BUILD ARCHIVE

The archive holds one folder, `detag`, as `sam build` leaves it: what was built, in the place where the settings of
`sam deploy` look for it, these settings, and the licence. From the same files it is the same archive, byte for byte.
Runs on the bare standard library.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BESIDE = ("samconfig.toml", "LICENSE")

BUILT = ".aws-sam/build"

# The earliest date that the format knows.
DATE = (1980, 1, 1, 0, 0, 0)


def archive(build: Path, target: Path) -> None:
    """Write the archive `target`. Raises FileNotFoundError where nothing was built."""
    if not (build / "template.yaml").is_file():
        raise FileNotFoundError(f"there is no {build}/template.yaml: run sam build first")
    files = {f"{BUILT}/{path.relative_to(build)}": path for path in build.rglob("*") if path.is_file()}
    files |= {name: ROOT / name for name in BESIDE}
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, path in sorted(files.items()):
            entry = zipfile.ZipInfo(f"detag/{name}", DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16  # a regular file; Lambda asks for no more than reading
            zipped.writestr(entry, path.read_bytes())


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status."""
    build, target = map(Path, arguments)
    try:
        archive(build, target)
    except FileNotFoundError as error:
        print(error)
        return 1
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB; unpack it and run sam deploy --guided in its folder detag")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
