"""Every wait is in the one table, from which the page of decisions is drawn."""

from __future__ import annotations

import ast
from pathlib import Path

import detag
from detag.domain import waits
from detag.domain.waits import WAITS, Backoff, Wait

LIBRARY = Path(detag.__file__).parent
AGREED = {
    "after a 429": (5.0, 900.0, 0.0),
    "a new photo that could not be read": (30.0, 30.0, 30.0),
    "a photo that may not be read": (60.0, 900.0, 0.0),
    "lease of a claim": 60.0,
    "a search for an existing run that failed": (60.0, 1_800.0, 60.0),
    "for a search for an existing run": 259_200.0,
    "left of a presigned URL": 300.0,
    "behind a claim": 3_600.0,
    "before the next probe": (60.0, 900.0, 0.0),
    "for a probe's answer": 240.0,
    "before a run is first asked for": 300.0,
    "before an adopted run is asked for": 60.0,
    "a run that still runs": (60.0, 1_800.0, 0.0),
    "for a run that Runflow does not know": 3_600.0,
    "for a run that succeeded without an output": 3_600.0,
    "after a run that failed free of charge": (30.0, 900.0, 0.0),
    "a presigned URL is fresh": 600.0,
    "for one output": 60.0,
    "before the rest of many outputs": 30.0,
    "for an output that cannot be stored": 259_200.0,
    "a failed job's run that may still end well": (3_600.0, 86_400.0, 0.0),
    "for a late result": 604_800.0,
    "after a message to submit": 300.0,
    "after a message to deliver": 900.0,
    "before a pending event or record is sent again": 300.0,
    "for an item that cannot be read": 86_400.0,
    "a queued callback is not queued again": 60.0,
    "before an upload is taken for one without an event": 900.0,
    "between two scans of the input bucket": 3_600.0,
    "before the start of the latest complete scan": 3_600.0,
    "before a bucket that was too large is scanned again": 86_400.0,
    "an upload may be recovered": 80 * 86_400.0,
    "callback secrets are cached": 300.0,
    "between reads after a mismatch": 30.0,
    "after secrets that could not be read": 5.0,
    "for an item that others write": (0.05, 0.8, 0.0),
}
"""What was decided. Whoever changes a wait says so here as well: nothing else would notice."""


def test_the_table_has_every_wait_once() -> None:
    written = [one for one in vars(waits).values() if isinstance(one, Wait | Backoff)]
    assert list(WAITS) == written
    assert len({one.name for one in WAITS}) == len(WAITS) > 15


def test_every_wait_is_as_long_as_agreed() -> None:
    assert {
        one.name: one.seconds if isinstance(one, Wait) else (one.base, one.cap, one.floor) for one in WAITS
    } == AGREED


def test_every_wait_says_why_it_is_so_long() -> None:
    assert [one.name for one in WAITS if len(one.why.split()) < 4] == []


def test_no_wait_stands_anywhere_else() -> None:
    """No number of seconds is added to a time, or given to a back-off, in what decides, acts or puts together."""
    files = [*(LIBRARY / "services").glob("*.py"), LIBRARY / "domain/decisions.py", LIBRARY / "app.py"]
    found = []
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
                numbers = [side.value for side in (node.left, node.right) if isinstance(side, ast.Constant)]
                waits_here = [one for one in numbers if isinstance(one, float) or (isinstance(one, int) and one >= 10)]
                found += [f"{path.name}: {ast.unparse(node)}"] * len(waits_here)
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("backoff"):
                found.append(f"{path.name}: {ast.unparse(node)}")
    assert found == []
