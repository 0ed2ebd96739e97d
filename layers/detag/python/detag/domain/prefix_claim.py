"""Which stack cleans the photos of a folder, where the bucket is not the stack's own.

Two stacks on one folder would each pay for every photo. So each claims its folder in one object of the bucket, and
renews the claim; one that is not renewed lapses. A stack deployed anew under its old name has the same identity, and
goes on at once.

Somebody may delete the object at any time, while a stack still trusts what it saw there. So a new claim is in force
only once all such trust is over. And a stack that gets a folder after another leaves the photos of that one's time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from detag.domain import waits
from detag.domain.values import dataclass

STACKS_KEY: Final = ".detag/stacks.json"
"""The object that holds the claims; no stack takes it for a photo."""
MAX_BYTES: Final = 65_536
"""Of the object, which has space for hundreds of claims: nobody knows what a longer one is."""


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
    claimed_at: float
    """When it was first made: a renewal leaves it."""
    since: float = 0.0
    """Photos that were uploaded before this are another stack's, which had the folder then; 0 where none had."""

    def is_live(self, now: float) -> bool:
        """Whether it was renewed lately."""
        return now < self.renewed_at + waits.CLAIM_LAPSES.seconds

    @property
    def in_force_at(self) -> float:
        """From when on its stack pays: before, another one may trust what it saw before this claim was made."""
        return self.claimed_at + waits.CLAIM_IN_FORCE.seconds

    @property
    def trusted_until(self) -> float:
        """What its stack begins to send before this is paid for before it counts as not renewed, whatever the clocks
        say.
        """
        return self.renewed_at + waits.CLAIM_PAYS.seconds - waits.SUBMIT_TIMEOUT - waits.CLOCK_SKEW


def read_claims(text: str, *, now: float) -> tuple[Claim, ...]:
    """The claims of a text that `claims_text` made. Raises ValueError."""
    try:
        return tuple(_claim(one, now) for one in json.loads(text)["stacks"])
    except (AttributeError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"not a list of stacks: {type(error).__name__}") from None


def _claim(one: Any, now: float) -> Claim:
    """A claim of the list. One from the future would be believed for longer than one that is made now."""
    stack, prefix, renewed_at = one["stack"], one["prefix"], float(one["renewed_at"])
    claim = Claim(stack, prefix, renewed_at, float(one.get("claimed_at", renewed_at)), float(one.get("since", 0.0)))
    if not isinstance(stack, str) or not isinstance(prefix, str):
        raise TypeError
    (stack + prefix).encode()  # half of a character is none
    latest = now + waits.CLOCK_SKEW
    known = 0.0 <= claim.renewed_at <= latest and 0.0 <= claim.claimed_at <= latest  # which what is no number is not
    if not known or not 0.0 <= claim.since <= latest + waits.CLAIM_IN_FORCE.seconds:
        raise ValueError("a time is in the future, or none")
    return claim


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


def why_not_yet(claim: Claim | None, *, now: float) -> str | None:
    """Why a stack does not pay now, though no other has its folder; None where it may. `claim`: its own, live one."""
    if claim is None:
        return "this stack has not claimed its folder yet"
    if now < claim.in_force_at:
        return f"this stack's claim to its folder is in force in {claim.in_force_at - now:.0f} s"
    return None if now < claim.trusted_until else "this stack's claim to its folder is not renewed"


def renewed(
    claims: Sequence[Claim], stack: str, prefix: str, *, now: float, was_taken: bool = False
) -> tuple[Claim, ...]:
    """The claims with the stack's own made or renewed, where it has no rival, and without those that have lapsed.
    `was_taken`: another stack had its folder, as far as this one knows.
    """
    others = (one for one in claims if one.stack != stack and one.is_live(now))
    mine = next((one for one in claims if one.stack == stack and one.prefix == prefix), None)
    if mine is not None and mine.is_live(now):
        return (*others, replace(mine, renewed_at=now))
    earlier = mine.since if mine is not None else 0.0
    since = max(earlier, _since(claims, stack, prefix, now, was_taken))
    return (*others, Claim(stack, prefix, renewed_at=now, claimed_at=now, since=since))


def _since(claims: Sequence[Claim], stack: str, prefix: str, now: float, was_taken: bool) -> float:
    """From when on photos are surely no other stack's. One that did not renew its claim has stopped paying then. One
    whose claim is gone may have trusted it until that of this stack is in force.
    """
    lapsed = [one for one in claims if one.stack != stack and overlap(one.prefix, prefix)]
    if lapsed:
        return max(one.renewed_at for one in lapsed) + waits.CLAIM_PAYS.seconds
    return now + waits.CLAIM_IN_FORCE.seconds if was_taken else 0.0
