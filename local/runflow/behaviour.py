"""How the mock reads the contract where its pages disagree or say nothing (contract sections 13 and 14).

The defaults are what the model's own page says, or failing that the newest page. Everything here may be changed while
the mock runs, through `POST /_admin/behaviour`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from local.runflow.problems import invalid


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """One reading of everything the contract leaves open. Times in seconds."""

    # Runs
    create_status: Literal[201, 200] = 201  # contract 13.21
    create_id: Literal["id", "run_id"] = "id"  # contract 16.4
    # Of a record (contract 16.5). requoted: a plus sign for each space of the URL; escaped_twice: its escapes escaped
    # again; defaults: with a ratio that was not asked for, or one spelt in another way
    input_shown: Literal["sent", "asset", "elsewhere", "nothing", "requoted", "escaped_twice", "defaults"] = "sent"
    output_shape: Literal[
        "image_urls",
        "outputs",
        "outputs_plain",
        "image",
        "url",
        "output_url",
        "images",
        "image_list",
        "image_url",
        "text",
    ] = "image_urls"  # contract 13.3 and 16.3
    # Output URLs of a record are signed always, only with add_signature=true, only without, or never, only a callback's
    # are; or the parameter is refused (contract 16.1)
    add_signature: Literal["ignored", "needed", "harmful", "useless", "rejected"] = "ignored"
    images_per_run: int = 1  # contract section 10, "Count"
    cancelled_spelling: Literal["canceled", "cancelled"] = "canceled"  # contract 13.1, the run's status_code
    callback_cancelled_spelling: Literal["canceled", "cancelled"] = "cancelled"  # contract 13.1, the callback's status
    failed_output: Literal["null", "flat", "nested"] = "null"  # contract 13.4
    failure_fields: Literal["reference", "errors_page", "sdk", "failure_reason"] = "reference"  # contract 13.6
    completed_field: Literal["completed_at", "finished_at"] = "completed_at"  # contract 13.22
    timestamps: Literal["offset", "z"] = "offset"  # contract 13.20, of what is read; callbacks always have the offset
    client_ref_field: Literal["accepted", "rejected"] = "accepted"  # contract 13.23
    # The run list
    client_ref_filter: Literal["honoured", "ignored", "rejected"] = "honoured"  # contract section 14, "Search"
    list_key: Literal["items", "data", "results"] = "items"  # no page shows it
    # contract 13.15; next_cursor: under a name that no page has; has_more: that more follows, and no cursor; bare: a
    # list, and nothing else
    list_cursors: Literal["next_pq", "next", "next_cursor", "has_more", "bare"] = "next_pq"
    list_cursor_length: int = 0  # a cursor has at least so many characters
    # thin: id, status and time only (contract 16.9); ids: as text; nested: the record under `run`; no_ids: id null
    list_entries: Literal["whole", "thin", "ids", "nested", "no_ids"] = "whole"
    list_fields: Literal["honoured", "ignored", "rejected"] = "honoured"  # contract section 3, "Search"
    list_limit: Literal["honoured", "ignored"] = "honoured"
    list_order: Literal["asked", "ascending", "none"] = "asked"  # by created_at, whatever was asked; or by no field
    # Idempotency: `cached_errors` honours keys, and remembers the error answers too (contract section 14)
    idempotency: Literal["honoured", "ignored", "conflict", "cached_errors"] = "honoured"  # contract 13.10
    # Errors, limits, money
    error_shape: Literal["flat", "nested", "detail"] = "flat"  # contract 13.7
    credit_code: Literal["INSUFFICIENT_CREDIT", "INSUFFICIENT_CREDITS"] = "INSUFFICIENT_CREDIT"  # contract 13.8
    rate_limit: float = 0.0  # requests per second of one key, with bursts of as many; 0: no limit (contract section 7)
    rate_headers: bool = False  # contract 13.11
    balance_body: Literal["decimal", "cents"] = "decimal"  # contract 13.12
    # How often a callback is tried: `brief` is three times, 1 s and 2 s apart, on 5xx and network errors; `patient` is
    # on any answer but 2xx
    callback_retries: Literal["brief", "patient"] = "brief"  # contract 13.28
    callback_delays: tuple[float, ...] | None = None  # waits between attempts; None: (1, 2), patient (1, 2, 4, 8, 16)
    callback_timeout: float = 10.0  # contract section 14
    callback_history: Literal["array", "object", "envelope"] = "array"  # contract 13.16
    new_secret_signs: Literal["first", "newest", "never"] = "first"  # noqa: S105 - contract section 14, "Secrets"
    # The work
    output_seconds: float = 3600.0  # how long an output URL lives (contract 13.26)
    output_type: Literal["webp", "same"] = "webp"  # contract section 10, "Format"
    pixels: Literal["remove", "reencode", "copy"] = "remove"  # `copy` returns the input's own bytes, for load tests
    run_seconds: float = 0.0  # a run takes at least this long
    max_side: int | None = None  # longest side of an input, in pixels (contract section 10: 4096 is only a sample)

    @property
    def delays(self) -> tuple[float, ...]:
        """The waits between the attempts of a callback: one fewer than there are attempts."""
        if self.callback_delays is not None:
            return self.callback_delays
        return (1.0, 2.0) if self.callback_retries == "brief" else (1.0, 2.0, 4.0, 8.0, 16.0)

    def changed(self, changes: object) -> Behaviour:
        """This behaviour with some values replaced. Raises Problem 422 naming the field that is wrong."""
        if not isinstance(changes, dict):
            raise invalid("body", "must be an object of behaviours and their values")
        return replace(self, **{name: _value(name, value) for name, value in changes.items()})


_TYPES: dict[str, Any] = get_type_hints(Behaviour)


def choices() -> dict[str, Any]:
    """What each behaviour may be: a list of values, or the name of a kind of number."""
    return {field.name: _choice(_TYPES[field.name]) for field in fields(Behaviour)}


def _choice(hint: Any) -> Any:
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    if hint is bool:
        return [False, True]
    if hint == tuple[float, ...] | None:
        return "list of seconds, or null"
    return "number or null" if NoneType in get_args(hint) else "number"


def _value(name: str, value: Any) -> Any:
    hint = _TYPES.get(name)
    if hint is None:
        raise invalid(f"body.{name}", f"unknown behaviour; there are: {', '.join(_TYPES)}")
    if get_origin(hint) is Literal:
        if isinstance(value, bool) or value not in get_args(hint):
            raise invalid(f"body.{name}", f"must be one of {list(get_args(hint))}")
        return value
    if hint is bool:
        if not isinstance(value, bool):
            raise invalid(f"body.{name}", "must be true or false")
        return value
    if value is None and NoneType in get_args(hint):
        return None
    if hint == tuple[float, ...] | None:
        if not isinstance(value, list | tuple) or not all(_is_number(item) for item in value):
            raise invalid(f"body.{name}", "must be a list of seconds, or null")
        return tuple(float(item) for item in value)
    if not _is_number(value):
        raise invalid(f"body.{name}", "must be a number that is not negative")
    return float(value) if hint is float else int(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
