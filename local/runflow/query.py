"""The run list: filter, order, pages, projection (contract section 3, "Search")."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from local.runflow.model import Json
from local.runflow.problems import invalid

Row = Json
Test = Callable[[Row], bool]

FILTERS: Final = (
    "id",
    "status_code",
    "created_at",
    "started_at",
    "completed_at",
    "duration_ms",
    "model_id",
    "client_ref",
)
"""Fields that `q` and `sort_by` know. No page says that metadata or callback_url can be searched (contract section
14)."""
_TIMES: Final = ("created_at", "started_at", "completed_at")

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<paren>[()])|(?P<word>AND|OR|NOT)(?=[\s()]|$)
    |(?P<field>[A-Za-z_]\w*)(?:\.EQ(?=:))?\s*(?P<op><=|>=|[=:<>])\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s()]+)))""",
    re.VERBOSE,
)


def parse_filter(q: str, client_ref: Literal["honoured", "ignored", "rejected"] = "honoured") -> Test:
    """A test of a run from a `q` such as `status_code:failed AND created_at>=2026-05-06T10:00:00Z`.

    Operators `= : > < >= <= AND OR NOT`, `.EQ:` as an official script writes it (contract 16.2) and parentheses; upper
    and lower case differ. `client_ref` says how a filter
    on that field is read, since no page says that there is one. Raises Problem 422.
    """
    tokens: list[re.Match[str]] = []
    place = 0
    while q[place:].strip():
        token = _TOKEN.match(q, place)
        if token is None:
            raise invalid("query.q", f"cannot be read from {q[place:].strip()[:40]!r}")
        tokens.append(token)
        place = token.end()
    if not tokens:
        return lambda row: True
    parser = _Parser(tokens, client_ref)
    test = parser.either()
    if parser.rest:
        raise invalid("query.q", f"cannot be read from {parser.rest[0][0].strip()[:40]!r}")
    return test


class _Parser:
    def __init__(self, tokens: Sequence[re.Match[str]], client_ref: str) -> None:
        self.rest = list(tokens)
        self._client_ref = client_ref

    def _next_is(self, *texts: str) -> bool:
        return bool(self.rest) and (self.rest[0]["paren"] or self.rest[0]["word"]) in texts

    def either(self) -> Test:
        tests = [self.both()]
        while self._next_is("OR"):
            self.rest.pop(0)
            tests.append(self.both())
        return lambda row: any(test(row) for test in tests)

    def both(self) -> Test:
        tests = [self.one()]
        while self.rest and not self._next_is("OR", ")"):
            if self._next_is("AND"):
                self.rest.pop(0)
            tests.append(self.one())
        return lambda row: all(test(row) for test in tests)

    def one(self) -> Test:
        if not self.rest:
            raise invalid("query.q", "ends too early")
        token = self.rest.pop(0)
        if token["word"] == "NOT":
            test = self.one()
            return lambda row: not test(row)
        if token["paren"] == "(":
            test = self.either()
            if not self._next_is(")"):
                raise invalid("query.q", "a parenthesis is not closed")
            self.rest.pop(0)
            return test
        if token["field"] is None:
            raise invalid("query.q", f"{token[0].strip()!r} is out of place")
        return self._comparison(token)

    def _comparison(self, token: re.Match[str]) -> Test:
        name, operator = token["field"], token["op"]
        if name not in FILTERS or (name == "client_ref" and self._client_ref == "rejected"):
            raise invalid("query.q", f"there is no filter on {name!r}")
        if name == "client_ref" and self._client_ref == "ignored":
            return lambda row: True
        text = next(value for value in (token["double"], token["single"], token["bare"]) if value is not None)
        wanted = _comparable(name, text)
        if wanted is None:
            raise invalid("query.q", f"{text!r} is not a value of {name}")

        def test(row: Row) -> bool:
            found = _comparable(name, row.get(name))
            if found is None:
                return False
            match operator:
                case "=" | ":":
                    return bool(found == wanted)
                case ">":
                    return bool(found > wanted)
                case "<":
                    return bool(found < wanted)
                case ">=":
                    return bool(found >= wanted)
                case _:
                    return bool(found <= wanted)

        return test


def _comparable(name: str, value: Any) -> Any:
    """A value of a field in a form that compares as the field does; None where it has none."""
    if value is None:
        return None
    try:
        if name in _TIMES:
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return float(value) if name == "duration_ms" else str(value)
    except (TypeError, ValueError):
        return None


def parse_sort(sort_by: str) -> list[tuple[str, bool]]:
    """`created_at:desc,id` as pairs of field and whether it descends. Raises Problem 422."""
    order = []
    for part in sort_by.split(","):
        name, _, direction = part.strip().partition(":")
        if name not in FILTERS or direction not in ("", "asc", "desc"):
            raise invalid("query.sort_by", f"{part!r} is not a field and asc or desc")
        order.append((name, direction == "desc"))
    return order


@dataclass(frozen=True)
class Page:
    """One page of rows; `next` and `previous` are cursors, None at either end."""

    rows: list[Row]
    next: str | None
    previous: str | None


def page(
    rows: Sequence[Row],
    order: Sequence[tuple[str, bool]],
    limit: int,
    pq: str | None,
    from_prev: bool,
    cursor_length: int = 0,
) -> Page:
    """At most `limit` rows in order, after the row that cursor `pq` names, or before it with `from_prev`.

    A cursor names the last row seen by its values, so that runs created meanwhile neither repeat nor hide others.
    """
    order = [*order, ("id", order[0][1])]
    ordered = list(rows)
    for name, descending in reversed(order):
        ordered.sort(key=lambda row: _rank(name, row.get(name)), reverse=descending)
    start, end = 0, limit
    if pq is not None:
        seen = _read_cursor(pq, order)
        if from_prev:
            end = next((at for at, row in enumerate(ordered) if not _before(row, seen, order)), len(ordered))
            start = max(0, end - limit)
        else:
            start = next((at for at, row in enumerate(ordered) if _before(seen, row, order)), len(ordered))
            end = start + limit
    chosen = ordered[start:end]
    return Page(
        rows=chosen,
        next=_cursor(chosen[-1], order, cursor_length) if chosen and end < len(ordered) else None,
        previous=_cursor(chosen[0], order, cursor_length) if chosen and start > 0 else None,
    )


def _rank(name: str, value: Any) -> tuple[bool, Any]:
    comparable = _comparable(name, value)
    return (comparable is not None, comparable if comparable is not None else 0)


def _before(one: Row, other: Row, order: Sequence[tuple[str, bool]]) -> bool:
    for name, descending in order:
        first, second = _rank(name, one.get(name)), _rank(name, other.get(name))
        if first != second:
            return second < first if descending else first < second
    return False


def _cursor(row: Row, order: Sequence[tuple[str, bool]], length: int) -> str:
    values = {"": "-" * length} | {name: row.get(name) for name, _ in order}
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def _read_cursor(pq: str, order: Sequence[tuple[str, bool]]) -> Row:
    try:
        values = json.loads(base64.urlsafe_b64decode(pq + "=" * (-len(pq) % 4)))
    except ValueError:
        values = None
    if not isinstance(values, dict) or any(name not in values for name, _ in order):
        raise invalid("query.pq", "is not a cursor of this list")
    return values
