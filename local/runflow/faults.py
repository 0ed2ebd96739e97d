"""Faults: rules that are posted to the mock, and that fire on what it does next.

A rule names an occasion (`on`) and what goes wrong then (`do`); it fires on each such occasion, or on the next `times`
of them, or on a share of them drawn with its own seed, after skipping the first `skip`. Each counts how often it fired.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from local.runflow.model import Fate, Json, Status
from local.runflow.problems import Problem, invalid

ROUTES: Final = (
    "create_run", "get_run", "list_runs", "statuses", "callback_history", "redeliver", "secrets",
    "balance", "me", "health", "output",
)  # fmt: skip
"""The names of the HTTP routes a rule may be on; `any` means every one of them."""


@dataclass(frozen=True)
class Kind:
    """What may go wrong: the options it takes with their defaults, and whether it excludes others of its kind.

    Of several exclusive rules only the first that fires counts: a request is answered once, a run ends once.
    """

    meaning: str
    options: Json = field(default_factory=dict)
    exclusive: bool = False


_WHEN: Final = {"when": "before"}
_HTTP: Final = {
    "status": Kind(
        "answer with this status instead; `when` is before or after the request was processed",
        {"status": 503, "body": None, "headers": {}} | _WHEN,
        exclusive=True,
    ),
    "delay": Kind("wait so many seconds, before or after the request is processed", {"seconds": 1.0} | _WHEN),
    "drop": Kind("close the connection without an answer, before or after the request was processed", _WHEN, True),
}
_END: Final[Json] = {"code": "INFERENCE_FAILED", "message": "the run failed", "stage": "inference", "cost": None}

KINDS: Final[dict[str, dict[str, Kind]]] = dict.fromkeys((*ROUTES, "any"), _HTTP) | {
    "run": {
        "fail": Kind("the run fails; `status_code` failed, errored or timeout", _END | {"status_code": "failed"}, True),
        "cancel": Kind("the run is cancelled", {"cost": None}, True),
        "partial": Kind("the run ends partial_succeeded, with its output", {"cost": None}, True),
        "empty": Kind(
            "the run succeeds, and is charged, without any output URL",
            {"cost": None, "status_code": "succeeded"},
            True,
        ),
        "stall": Kind("the run stays running so many seconds longer; null: forever", {"seconds": None}),
        "forget": Kind("the run is unknown for so many seconds; null: forever", {"seconds": None}),
        "hide": Kind("the run list leaves the run out for so many seconds", {"seconds": 60.0}),
    },
    "callback": {
        "lose": Kind("the callback is never sent", exclusive=True),
        "duplicate": Kind("it is sent so many times more, some seconds later", {"copies": 1, "seconds": 0.0}),
        "reorder": Kind("it waits until the next callback was sent, at most so many seconds", {"seconds": 5.0}),
        "delay": Kind("it is sent so many seconds later", {"seconds": 5.0}),
        "corrupt": Kind("it is corrupted on the way: body, truncated, signature or unsigned", {"how": "body"}, True),
    },
    "output_url": {"expire": Kind("the URL has expired from the start", exclusive=True)},
    "account": {
        "no_credit": Kind("creating a run is answered with 402", exclusive=True),
        "revoke_key": Kind("the API key (null: every key) is answered with 401", {"key": None}, True),
    },
}

_ALLOWED: Final[dict[str, tuple[str, ...]]] = {
    "when": ("before", "after"),
    "how": ("body", "truncated", "signature", "unsigned"),
}
_STATUS_CODES: Final = {"fail": ("failed", "errored", "timeout"), "empty": ("succeeded", "partial_succeeded")}


@dataclass
class Rule:
    """One posted rule. `left` is how often it may still fire, None for no limit."""

    id: str
    on: str
    do: str
    options: Json
    left: int | None = None
    share: float | None = None
    seed: int = 0
    skip: int = 0
    client_ref: str | None = None
    seen: int = 0
    fired: int = 0

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed).random

    def fires(self) -> bool:
        """Whether the rule fires on this occasion, which is counted."""
        self.seen += 1
        drawn = self.share is None or self._draw() < self.share
        if self.seen <= self.skip or not drawn or self.left == 0:
            return False
        if self.left is not None:
            self.left -= 1
        self.fired += 1
        return True

    def as_json(self) -> Json:
        """The rule as it was posted, and its counts."""
        return {
            "id": self.id, "on": self.on, "do": self.do, **self.options, "client_ref": self.client_ref,
            "left": self.left, "share": self.share, "seed": self.seed, "skip": self.skip,
            "seen": self.seen, "fired": self.fired,
        }  # fmt: skip


class Faults:
    """The active rules, in the order they were posted."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}
        self._count = 0

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules.values())

    def add(self, *posted: object) -> list[Rule]:
        """Add rules, all or none. Raises Problem 422 that says what is wrong with one."""
        rules = [_parse(each, f"f{number}") for number, each in enumerate(posted, self._count + 1)]
        self._count += len(rules)
        self._rules |= {rule.id: rule for rule in rules}
        return rules

    def remove(self, rule_id: str) -> None:
        """Remove a rule. Raises Problem 404."""
        if self._rules.pop(rule_id, None) is None:
            raise Problem(404, "FAULT_NOT_FOUND", f"there is no fault {rule_id}")

    def clear(self) -> None:
        """Remove every rule."""
        self._rules.clear()

    def take(
        self, *occasions: str, client_ref: str | None = None, only: Callable[[Rule], bool] = lambda rule: True
    ) -> list[Rule]:
        """The rules that fire now, in order. `client_ref` is the run's, for rules that are limited to some runs."""
        firing: list[Rule] = []
        ended = False
        for rule in self:
            exclusive = KINDS[rule.on][rule.do].exclusive
            about = rule.client_ref is None or rule.client_ref in (client_ref or "")
            if rule.on in occasions and about and only(rule) and not (exclusive and ended) and rule.fires():
                ended = ended or exclusive
                firing.append(rule)
        return firing

    def fate(self, client_ref: str | None) -> Fate:
        """What the rules on `run` decide for a run that is being created."""
        values: Json = {}
        for rule in self.take("run", client_ref=client_ref):
            options = rule.options
            match rule.do:
                case "fail" | "cancel" | "partial" | "empty":
                    ends = {"cancel": "canceled", "partial": "partial_succeeded"}
                    values["end"] = Status(ends.get(rule.do) or options["status_code"])
                    values["without_output"] = rule.do == "empty"
                    values["cost"] = None if options["cost"] is None else Decimal(options["cost"])
                    values |= {name: options[name] for name in ("code", "message", "stage") if name in options}
                case _:
                    seconds = options["seconds"]
                    values[f"{rule.do}_seconds"] = float("inf") if seconds is None else seconds
        return Fate(**values)


def _parse(posted: object, rule_id: str) -> Rule:
    if not isinstance(posted, dict):
        raise invalid("body", "a fault is an object with `on` and `do`")
    on, do = posted.get("on"), posted.get("do")
    if not isinstance(on, str) or on not in KINDS:
        raise invalid("body.on", f"must be one of {list(KINDS)}")
    if not isinstance(do, str) or do not in KINDS[on]:
        raise invalid("body.do", f"on {on} must be one of {list(KINDS[on])}")
    about_runs = on in ("run", "callback", "output_url")
    known = {"on", "do", "times", "share", "seed", "skip"} | ({"client_ref"} if about_runs else set())
    defaults = KINDS[on][do].options
    if unknown := set(posted) - known - set(defaults):
        raise invalid(f"body.{min(unknown)}", f"{do} on {on} takes {sorted(known | set(defaults))}")
    options = {name: _option(do, name, posted.get(name, default)) for name, default in defaults.items()}
    times = _number("times", posted.get("times"), whole=True, optional=True)
    share = _number("share", posted.get("share"), optional=True)
    if share is not None and share > 1:
        raise invalid("body.share", "must be between 0 and 1")
    return Rule(
        id=rule_id,
        on=on,
        do=do,
        options=options,
        left=None if times is None else int(times),
        share=share,
        seed=int(_number("seed", posted.get("seed", 0), whole=True) or 0),
        skip=int(_number("skip", posted.get("skip", 0), whole=True) or 0),
        client_ref=_text("client_ref", posted["client_ref"]) if posted.get("client_ref") is not None else None,
    )


def _option(do: str, name: str, value: Any) -> Any:
    match name:
        case "when" | "how":
            if value not in _ALLOWED[name]:
                raise invalid(f"body.{name}", f"must be one of {list(_ALLOWED[name])}")
        case "status_code":
            if value not in _STATUS_CODES[do]:
                raise invalid("body.status_code", f"must be one of {list(_STATUS_CODES[do])}")
        case "status":
            if not isinstance(value, int) or isinstance(value, bool) or not 200 <= value <= 599:
                raise invalid("body.status", "must be an HTTP status from 200 to 599")
        case "headers":
            if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
                raise invalid("body.headers", "must be an object of strings")
        case "seconds":
            return _number(name, value, optional=do in ("stall", "forget"))
        case "copies":
            return _number(name, value, whole=True)
        case "cost":
            return None if value is None else _cost(value)
        case "code" | "message" | "stage":
            return _text(name, value)
        case "key":
            return None if value is None else _text(name, value)
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise invalid(f"body.{name}", "must be a string")
    return value


def _number(name: str, value: Any, *, whole: bool = False, optional: bool = False) -> float | None:
    if value is None and optional:
        return None
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not 0 <= value < float("inf"):
        raise invalid(f"body.{name}", f"must be a {'whole ' if whole else ''}number that is not negative")
    return value


def _cost(value: Any) -> str:
    try:
        amount = Decimal(value) if isinstance(value, str) else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise invalid("body.cost", 'must be an amount in USD as a string, such as "0.14"')
    return value if isinstance(value, str) else str(amount)
