"""The environment of each function, as one frozen object: nothing else reads environment variables."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar

from detag.domain.prefix_claim import overlap
from detag.domain.runs import PHOTO_TYPES, aspect_ratio
from detag.domain.values import dataclass


class Misconfigured(Exception):
    """A variable is missing or malformed; the message names it and says what it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitSettings:
    """What `submit` needs."""

    job_table: str
    input_bucket: str
    input_prefix: str
    stack: str
    """What it claims its folder as; empty where the input bucket is its own."""
    output_bucket: str
    output_prefix: str
    output_name: str
    event_bus: str
    runflow_api_url: str
    runflow_api_key_arn: str
    callback_url: str
    price_per_image_usd: Decimal
    daily_spend_limit_usd: Decimal | None
    aspect_ratio: str | None
    ignored_names: tuple[str, ...]
    photo_types: tuple[str, ...]
    max_image_megabytes: int
    max_image_megapixels: int
    url_lifetime_minutes: int
    confirmation_minutes: int
    run_timeout_hours: int
    reuse_results: bool
    paused: bool

    def __post_init__(self) -> None:
        """Refuse outputs that would be photos. Raises `Misconfigured`."""
        if self.input_bucket == self.output_bucket and overlap(self.input_prefix, self.output_prefix):
            raise Misconfigured(
                f"OutputPrefix {self.output_prefix!r} and InputPrefix {self.input_prefix!r} are in one bucket, and one"
                " is inside the other: each output would be taken for a photo. Choose two folders side by side, such as"
                " incoming/ and cleaned/."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackSettings:
    """What `callback` needs."""

    result_queue_url: str
    callback_secrets_arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverSettings:
    """What `deliver` needs."""

    job_table: str
    input_prefix: str
    output_bucket: str
    output_prefix: str
    output_name: str
    event_bus: str
    runflow_api_url: str
    runflow_api_key_arn: str
    price_per_image_usd: Decimal
    daily_spend_limit_usd: Decimal | None
    max_attempts: int
    run_timeout_hours: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileSettings:
    """What `reconcile` needs."""

    job_table: str
    input_bucket: str
    input_prefix: str
    stack: str
    event_bus: str
    upload_queue_url: str
    result_queue_url: str
    runflow_api_url: str
    runflow_api_key_arn: str
    price_per_image_usd: Decimal
    daily_spend_limit_usd: Decimal | None
    run_timeout_hours: int
    paused: bool


S = TypeVar("S", SubmitSettings, CallbackSettings, DeliverSettings, ReconcileSettings)


def load(kind: type[S], environ: Mapping[str, str]) -> S:
    """Settings from variables named as the fields, in capitals. Raises `Misconfigured`."""
    values: dict[str, Any] = {}
    for field in fields(kind):
        name = field.name.upper()
        text = environ.get(name)
        if text is None:
            raise Misconfigured(f"the environment variable {name} is missing")
        try:
            values[field.name] = _PARSERS.get(field.name, _text)(text)
        except (ValueError, InvalidOperation) as error:
            raise Misconfigured(f"the environment variable {name} is {text[:100]!r}: {error}") from None
    return kind(**values)


def _text(text: str) -> str:
    if not text:
        raise ValueError("it must not be empty")
    return text


_PREFIX: Final = r"((?!\.\.?/)[ !#%&()+,.0-9;=@A-Z_a-z\xA1-\xFF-]+/)*"
"""As the template takes it, which says why."""
_MAX_PREFIX: Final = 200


def _prefix(text: str) -> str:
    if len(text) > _MAX_PREFIX or not re.fullmatch(_PREFIX, text):
        raise ValueError(
            "it must be empty, or folders with a slash after each and none before, such as photos/incoming/, none"
            f" of them named . or .., at most {_MAX_PREFIX} characters, without * ? $ ' and letters beyond Latin-1"
        )
    return text


def _output_name(text: str) -> str:
    if text not in ("append", "replace"):
        raise ValueError("it must be append or replace")
    return text


def _money(text: str) -> Decimal:
    amount = Decimal(text)
    if not amount.is_finite() or amount <= 0:
        raise ValueError("it must be an amount above 0, such as 0.14")
    return amount


def _limit(text: str) -> Decimal | None:
    if text == "none":
        return None
    amount = Decimal(text)
    if not amount.is_finite() or amount < 0:
        raise ValueError('it must be an amount, such as 10, or "none"')
    return amount


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _types(text: str) -> tuple[str, ...]:
    if unknown := [name for name in text.split(",") if name not in PHOTO_TYPES]:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(PHOTO_TYPES)}")
    return tuple(kind for name in text.split(",") for kind in PHOTO_TYPES[name])


def _whole(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,5}", text):
        raise ValueError("it must be a whole number above 0")
    return int(text)


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("it must be true or false")
    return text == "true"


_PARSERS: Final[dict[str, Callable[[str], Any]]] = {
    "input_prefix": _prefix,
    "stack": str,
    "output_prefix": _prefix,
    "output_name": _output_name,
    "price_per_image_usd": _money,
    "daily_spend_limit_usd": _limit,
    "aspect_ratio": aspect_ratio,
    "ignored_names": _names,
    "photo_types": _types,
    "max_image_megabytes": _whole,
    "max_image_megapixels": _whole,
    "url_lifetime_minutes": _whole,
    "confirmation_minutes": _whole,
    "max_attempts": _whole,
    "run_timeout_hours": _whole,
    "paused": _flag,
    "reuse_results": _flag,
}
