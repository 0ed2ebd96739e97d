"""Writes what is generated from the source.

python -m docs.generate            writes it
python -m docs.generate --check    writes nothing, and says what is out of date (exit status 1 if anything is)
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from docs.generate import ROOT, before_after, stale


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status."""
    check = arguments == ["--check"]
    found = list(stale(ROOT))
    for path, text in found:
        name = path.relative_to(ROOT)
        if check:
            print(f"{name} is out of date: run `make generate`")
        else:
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"{name} written")
    drawn = before_after.is_current(ROOT)
    if not drawn and check:
        print(f"{before_after.SHEET} is out of date: run `make generate`")
    elif not drawn:
        before_after.write(ROOT)
        print(f"{before_after.SHEET} written")
    return int(check and (bool(found) or not drawn))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
