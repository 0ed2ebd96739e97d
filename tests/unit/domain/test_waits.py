"""Every wait is in the one table, from which the page of decisions is drawn."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import detag
from detag.domain import waits
from detag.domain.waits import WAITS, Backoff, UntilMidnight, Wait
from docs.generate.decisions import draw

LIBRARY = Path(detag.__file__).parent
AGREED = {
    "after a 429": (5.0, 900.0, 0.0),
    "a new photo that has to wait for others": (30.0, 30.0, 30.0),
    "a photo that may not be read": (60.0, 900.0, 0.0),
    "a photo that AWS failed for before it was sent": (60.0, 3_600.0, 0.0),
    "a photo whose requests get no clear answer": (60.0, 14_400.0, 0.0),
    "for an equal photo that is being cleaned": (300.0, 1_800.0, 0.0),
    "for another version that is being stored": 30.0,
    "lease of a claim": 60.0,
    "a search for an existing run that failed": (60.0, 1_800.0, 60.0),
    "for a search for an existing run": 259_200.0,
    "before Runflow is asked again whose an API key is": 60.0,
    "left of a presigned URL": 300.0,
    "behind a claim": 3_600.0,
    "before the next probe": (60.0, 900.0, 0.0),
    "before a probe after the daily spend limit": "midnight",
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
    "before a run's callback is asked for again": 86_400.0,
    "after the invocation that stores outputs of a photo": 30.0,
    "for a callback's own output URLs": 2_400.0,
    "for a late result": 604_800.0,
    "after a message to submit": 300.0,
    "after a message to deliver": 900.0,
    "before a pending event or record is sent again": 300.0,
    "for a record": 150.0,
    "before a batch is finished": 600.0,
    "before an end is counted": 300.0,
    "between two writes of an idle batch": 3_600.0,
    "for an item that cannot be read": 86_400.0,
    "a queued callback is not queued again": 60.0,
    "before an upload is taken for one without an event": 900.0,
    "between two scans of the input bucket": 3_600.0,
    "before the start of the latest complete scan": 86_400.0,
    "before a bucket that was too large is scanned again": 86_400.0,
    "an upload may be recovered": 80 * 86_400.0,
    "a URL that is only compared": 60.0,
    "between two looks at the claims to folders": 120.0,
    "between two renewals of a claim to a folder": 43_200.0,
    "after its renewal a stack pays by a claim to a folder": 86_400.0,
    "after its renewal a claim to a folder lapses": 2 * 86_400.0,
    "a claim to a folder is trusted": 120.0,
    "before a new claim to a folder is in force": 180.0,
    "a request to reopen a job may be ahead": 86_400.0,
    "callback secrets are cached": 300.0,
    "between reads after a mismatch": 30.0,
    "after secrets that could not be read": 5.0,
    "for an item that others write": (0.05, 0.8, 0.0),
}
"""What was decided. Whoever changes a wait says so here as well: nothing else would notice."""


def test_the_table_has_every_wait_once() -> None:
    written = [one for one in vars(waits).values() if isinstance(one, Wait | Backoff | UntilMidnight)]
    assert list(WAITS) == written
    assert len({one.name for one in WAITS}) == len(WAITS) > 15


def test_every_wait_is_as_long_as_agreed() -> None:
    assert {one.name: _length(one) for one in WAITS} == AGREED


def _length(one: Wait | Backoff | UntilMidnight) -> object:
    if isinstance(one, UntilMidnight):
        return "midnight" if one.after(86_399.0) == one.after(0.0) == 86_400.0 else "another time"
    return one.seconds if isinstance(one, Wait) else (one.base, one.cap, one.floor)


def test_every_wait_says_why_it_is_so_long() -> None:
    assert [one.name for one in WAITS if len(one.why.split()) < 4] == []


def test_the_page_shows_the_first_waits_of_a_retry() -> None:
    """The first run that fails is attempt 1: the page begins with the wait after it."""
    row = next(row for row in draw().splitlines() if "after a run that failed free of charge" in row)
    real = [waits.RUN_RETRY.seconds(attempt, lambda _, high: high) for attempt in (1, 2, 3)]
    assert f"| up to {', '.join(f'{one:g}' for one in real)}, ... 900 |" in row


def test_the_page_writes_every_number_out() -> None:
    page = draw().partition("## Waits")[2]
    assert re.findall(r"\d[.\d]*e[+-]?\d+", page) == []
    assert "| an upload may be recovered | 6,912,000 |" in page


NUMBERS = {
    "MAX_BYTES": "bytes",
    "MAX_BODY_BYTES": "bytes",
    "HEAD_BYTES": "bytes",
    "LONG_HEAD_BYTES": "bytes",
    "TAIL_BYTES": "bytes",
    "LONG_TAIL_BYTES": "bytes",
    "EMPTY_END_BYTES": "bytes",
    "_SMALLEST": "bytes",
    "MAX_KEY_BYTES": "bytes",
    "MAX_METADATA_BYTES": "bytes",
    "MAX_OUTPUT_URLS_BYTES": "bytes",
    "MAX_SAID": "characters",
    "MAX_OUTPUT_PIXELS": "pixels",
    "MAX_SEGMENTS": "a count",
    "MAX_REQUESTS": "a count",
    "RANK_LENGTH": "characters",
    "_HOUR": "seconds in an hour",
    "MAX_REMEMBERED": "a count",
    "MAX_PAGES": "a count",
    "ORDERED": "a count of entries",
    "MAX_CURSOR": "characters",
    "MAX_TO_ASK": "a count",
    "DUE_BATCH": "a count",
    "RELEASE_BATCH": "a count",
    "LIST_FROM": "a count",
    "MAX_ASKED": "a count",
    "MAX_WAITING": "a count",
    "MAX_NAMES": "a count",
    "MAX_KNOWN_OUTPUTS": "a count",
    "NEWEST_FAILED": "a count",
    "PAGE": "a count",
    "MAX_LISTED": "a count",
    "FEWEST": "a count",
    "MOST_COUNTED": "a count",
    "MAX_OBJECTS": "a count",
    "MAX_OUTPUT_URLS": "a count",
    "status": "of HTTP",
    "DAY_SECONDS": "the length of a day",
    "RETENTION_SECONDS": "how long an item is kept: nothing waits for that",
    "POST_SECONDS": "of an invocation's time, for the POST",
    "SAVE_SECONDS": "of an invocation's time, for what follows the POST, or an output",
    "SPARE_SECONDS": "of an invocation's time, for what follows a sweep",
    "NEEDED_SECONDS": "of an invocation's time, for a page of the input bucket",
    "MEGABYTE": "bytes",
    "MAX_ENTRIES": "of a TIFF's directory",
    "MAX_PIECES": "of a TIFF",
    "_SVG_BYTES": "bytes",
    **dict.fromkeys(("_SUBFILE", "_COMPRESSION", "_PHOTOMETRIC", "_MAKE", "_PARTS", "_DNG"), "a tag of TIFF"),
}
"""The numbers with names outside the table of waits, and what they are."""
OF_PARAMETERS = {"run_timeout_hours * 3600.0", "settings.confirmation_minutes * 60.0"}
"""Waits that are parameters: two rows of the page."""
FORMATS = ("images.py", "image_types.py")
"""Whose unnamed numbers are places in the bytes of a photo."""


def numbers(source: str, name: str) -> list[str]:
    """The numbers of a module that may be times: with a name (a float, or 10 and more), added to something, multiplied,
    handed over, given back, chosen or kept in a collection, or a default; and calls of a back-off.
    """
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and _is_number(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [text for text in map(ast.unparse, targets) if text not in NUMBERS]
        elif isinstance(node, ast.BinOp) and name not in FORMATS and ast.unparse(node) not in OF_PARAMETERS:
            plain = isinstance(node.op, ast.Add | ast.Sub)
            sides = [side.value for side in (node.left, node.right) if isinstance(side, ast.Constant)]
            found += [ast.unparse(node) for one in sides if isinstance(one, float) or (plain and _is_large(one))]
            computed = [side for side in (node.left, node.right) if isinstance(side, ast.BinOp) and _is_number(side)]
            found += [ast.unparse(node) for _ in computed if plain]
        elif isinstance(node, ast.Call):
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            longer = [one for one in given if isinstance(one, ast.Constant) and isinstance(one.value, float)]
            found += [ast.unparse(node) for one in longer if one.value >= 10]  # type: ignore[operator]
            named = [one.value for one in node.keywords if _OF_TIME.search(one.arg or "")]
            found += [ast.unparse(node) for one in named if isinstance(one, ast.Constant) and _is_large(one.value)]
            if ast.unparse(node.func).endswith("backoff"):
                found.append(ast.unparse(node))
        else:
            found += [ast.unparse(node) for one in _values_of(node) if isinstance(one, ast.Constant) and _is_time(one)]
    return found


_OF_TIME = re.compile(r"(?i)delay|timeout|seconds|wait|after")


def _values_of(node: ast.AST) -> list[ast.expr | None]:
    """The values that something gives back, chooses from, adds on, keeps or begins with."""
    match node:
        case ast.Return(value) | ast.AugAssign(value=value):
            return [value]
        case ast.BoolOp(values=values) | ast.Dict(values=values):
            return [*values]
        case ast.IfExp(body=body, orelse=orelse):
            return [body, orelse]
        case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
            return [*elements]
        case ast.arguments(defaults=defaults, kw_defaults=of_keywords):
            return [*defaults, *of_keywords]
    return []


def _is_time(constant: ast.Constant) -> bool:
    """A number of seconds is written as a float."""
    return isinstance(constant.value, float) and constant.value >= 1


def _is_large(value: object) -> bool:
    return isinstance(value, int) and value >= 10


def _is_number(node: ast.expr) -> bool:
    """Whether an expression is only of numbers, and comes to one that may be a time."""
    parts = [part for part in ast.walk(node) if not isinstance(part, ast.operator | ast.unaryop)]
    if not all(isinstance(part, ast.Constant | ast.BinOp | ast.UnaryOp) for part in parts):
        return False
    constants = [part.value for part in parts if isinstance(part, ast.Constant)]
    return any((isinstance(one, float) and one >= 1) or _is_large(one) for one in constants)


def modules() -> list[Path]:
    """What decides, acts or puts together."""
    files = [*(LIBRARY / "services").glob("*.py"), *(LIBRARY / "domain").glob("*.py"), LIBRARY / "app.py"]
    return [path for path in files if path.name not in ("waits.py", "backoff.py")]


def test_no_wait_stands_anywhere_else() -> None:
    """No number of seconds has a name, is added to a time or handed over in what decides, acts or puts together."""
    found = {path: numbers(path.read_text(encoding="utf-8"), path.name) for path in modules()}
    assert {path: here for path, here in found.items() if here} == {}
    assert len(found) == len(modules()) > 20


OF_CALLS = {
    "adapters/aws.py": {
        "CONNECT_SECONDS",
        "READ_SECONDS",
        "PAUSE_SECONDS",
        "KEEP_OTHERS",
        "{'dynamodb': 1.0, 'sqs': 1.0}",
    },
    "adapters/http.py": {"IDLE_SECONDS", "CONNECT_SECONDS"},
    "adapters/runflow.py": {"ACCOUNT_SECONDS", "READ_SECONDS", "PAGE_SECONDS", "KEEP_SECONDS"},
    "adapters/s3.py": {"READ_SECONDS"},
}
"""How long a single call may take, and what it leaves of its invocation, where its adapter says why."""
SIZES = re.compile(r"(?:most|max|pool|block|\w+_limit|\w+_bytes)", re.IGNORECASE)


def test_adapters_bound_their_calls_and_wait_for_nothing_else() -> None:
    files = [path for folder in ("adapters", "ports") for path in (LIBRARY / folder).glob("*.py")]
    found = {
        f"{path.parent.name}/{path.name}": {
            one for one in numbers(path.read_text(encoding="utf-8"), path.name) if not SIZES.match(one)
        }
        for path in files
        if not path.name.endswith("_fake.py")
    }
    assert {name: here for name, here in found.items() if here} == OF_CALLS


@pytest.mark.parametrize(
    "line",
    [
        "_SOON = 61.0",
        "SOON: Final = 2 * 60",
        "later = now + 61.0",
        "later = now + 61",
        "later = now + 5 * 60",
        "send(message, delay=45)",
        "soon = 61.0",
        "poll(job, after=61.0)",
        "later = now + hours * 3600.0",
        "wait = backoff(tries, uniform, base=soon)",
        "later += 61.0",
        "return 61.0",
        "def later(after: float = 61.0): ...",
        "later = soon or 61.0",
        "later = 61.0 if soon else 0.0",
        'WAITS = {"a": 61.0}',
    ],
)
def test_a_wait_that_stands_elsewhere_is_noticed(line: str) -> None:
    assert numbers(line, "deliver.py") != []


def test_every_number_of_the_list_is_in_the_code() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in LIBRARY.rglob("*.py"))
    assert [name for name in NUMBERS if not re.search(rf"^ *{name}(: Final)? = ", text, re.MULTILINE)] == []
