"""Which stack cleans the photos of a folder, where the bucket is not the stack's own.

Two stacks on one folder would each pay for every photo. So each claims its folder in one object of the bucket, and
renews the claim; one that is not renewed lapses. A stack deployed anew under its old name has the same identity, and
goes on at once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from detag.domain import waits

STACKS_KEY: Final = ".detag/stacks.json"
"""The object that holds the claims. No stack's filter matches it."""


def overlap(one: str, other: str) -> bool:
    """Whether one of two folders is the other, or lies inside it. The empty one holds them all."""
    return one.startswith(other) or other.startswith(one)


@dataclass(frozen=True, slots=True)
class Claim:
    """One stack's claim to a folder."""

    stack: str
    """Account, region and name, such as `111122223333/eu-central-1/detag`."""
    prefix: str
    """The folder; empty for the whole bucket."""
    renewed_at: float

    def is_live(self, now: float) -> bool:
        """Whether it was renewed lately."""
        return now < self.renewed_at + waits.CLAIM_LAPSES.seconds


def read_claims(text: str) -> tuple[Claim, ...]:
    """The claims of a text that `claims_text` made. Raises ValueError."""
    try:
        return tuple(
            Claim(str(one["stack"]), str(one["prefix"]), float(one["renewed_at"])) for one in json.loads(text)["stacks"]
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a list of stacks: {type(error).__name__}") from None


def claims_text(claims: Sequence[Claim]) -> str:
    """The claims as the object holds them: JSON, for people to read as well."""
    return json.dumps({"stacks": [asdict(one) for one in claims]}, indent=2) + "\n"


def rival(claims: Sequence[Claim], stack: str, prefix: str, *, now: float) -> Claim | None:
    """Another stack's live claim to the same folder, one inside it or one around it; None where there is none."""
    return next(
        (one for one in claims if one.stack != stack and one.is_live(now) and overlap(one.prefix, prefix)), None
    )


def own(claims: Sequence[Claim], stack: str, prefix: str, *, now: float) -> Claim | None:
    """The stack's live claim to its folder; None where it has none, or a rival has one too."""
    if rival(claims, stack, prefix, now=now) is not None:
        return None
    return next((one for one in claims if one.stack == stack and one.prefix == prefix and one.is_live(now)), None)


def renewed(claims: Sequence[Claim], stack: str, prefix: str, *, now: float) -> tuple[Claim, ...]:
    """The claims with the stack's own made or renewed, and without those that have lapsed."""
    others = (one for one in claims if one.stack != stack and one.is_live(now))
    return (*others, Claim(stack, prefix, now))
