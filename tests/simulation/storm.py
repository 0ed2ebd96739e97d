"""What goes wrong in a world, and how often: drawn once from its seed.

A kind of fault is either absent from a world or has a rate of its own there (swarm testing: a world in which everything
fails a little hides what happens where one thing fails often).
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Final

READINGS: Final = ("honoured", "ignored", "conflict", "cached")
"""What Runflow may do with an Idempotency-Key that it knows (contract sections 8 and 14)."""

EFFECTS: Final = {
    "worker crashed": (0.5, (0.001, 0.004, 0.01)),
    "worker stalled": (0.5, (0.002, 0.006, 0.015)),
    "another photo of the batch goes first": (0.5, (0.05, 0.3)),
}
"""At the boundary of any effect: how many worlds have it, and with what chance for each effect."""

AT: Final = {
    "photos.put": "worker stalled before it stores",
    "runs.create": "worker stalled before it sends",
    "jobs.save_intake": "worker stalled before it moves the intake",
}
"""The boundaries at which a stall is worst, and what it is called there."""

PORTS: Final = {
    "jobs": ("DynamoDB throttled", "DynamoDB unanswered"),
    "queue": ("SQS throttled", "SQS unanswered"),
    "photos": ("S3 throttled", "S3 unanswered"),
    "events": ("EventBridge throttled", "EventBridge unanswered"),
    "secrets": ("secret unreadable", "secret unreadable"),
    "fetcher": ("output unreachable", "output unreachable"),
    "runs": ("API key unreadable", "API key unreadable"),
}
"""By the first word of an effect's name: what it is to fail before the call had its effect, and after."""

RATES: Final = {
    **EFFECTS,
    **dict.fromkeys(AT.values(), (0.4, (0.05, 0.3))),
    **{kind: (0.45, (0.01, 0.04, 0.15)) for kinds in PORTS.values() for kind in kinds},
    "DynamoDB conflict after the write": (0.4, (0.01, 0.05)),
    "clock skewed": (0.5, (0.3, 1.0)),
    "event duplicated": (0.5, (0.1, 0.5)),
    "event delayed": (0.5, (0.1, 0.3)),
    "event reordered": (0.5, (0.1, 0.3)),
    "event lost to the rule's dead letters": (0.3, (0.05, 0.2)),
    "message duplicated": (0.5, (0.05, 0.3)),
    "message delayed": (0.4, (0.05, 0.2)),
    "message reordered": (0.5, (0.1, 0.5)),
    "message lost": (0.3, (0.05, 0.2)),
    "callback lost": (0.6, (0.1, 0.5, 1.0)),
    "callback duplicated": (0.5, (0.1, 0.5)),
    "callback delayed": (0.4, (0.1, 0.3)),
    "callback replayed": (0.4, (0.1, 0.3)),
    "callback at once": (0.5, (0.1, 0.5)),
    "callback answer lost": (0.4, (0.05, 0.3)),
    "Runflow 429": (0.5, (0.05, 0.2)),
    "Runflow 5xx": (0.5, (0.05, 0.2)),
    "Runflow 5xx with effect": (0.5, (0.05, 0.2)),
    "Runflow timeout": (0.5, (0.05, 0.2)),
    "Runflow timeout with effect": (0.5, (0.05, 0.2)),
    "Runflow timeout with late effect": (0.4, (0.05, 0.2)),
    "Runflow cannot be asked": (0.5, (0.05, 0.3)),
    "run list slow": (0.3, (0.3, 1.0)),
    "run listed late": (0.5, (0.3, 1.0)),
    "run unknown at first": (0.3, (0.1, 0.3)),
    "run forgotten": (0.25, (0.05, 0.2)),
    "run failed free": (0.5, (0.05, 0.3)),
    "run failed for good": (0.4, (0.05, 0.2)),
    "run failed and charged": (0.3, (0.05, 0.2)),
    "run cancelled": (0.3, (0.05, 0.2)),
    "run partial": (0.3, (0.1, 0.3)),
    "run slow": (0.4, (0.1, 0.3)),
    "run never ends": (0.25, (0.03, 0.1)),
    "run ends after its time": (0.35, (0.05, 0.15)),
    "run without a picture": (0.25, (0.05, 0.1)),
    "run with a bad picture": (0.25, (0.05, 0.1)),
    "run with a dangerous link": (0.25, (0.05, 0.1)),
    "run says no cost": (0.3, (0.1, 0.5)),
    "output of another type": (0.5, (0.3, 1.0)),
    "several outputs": (0.3, (0.1, 0.3)),
    "upload deleted": (0.4, (0.05, 0.2)),
    "upload overwritten soon": (0.5, (0.1, 0.4)),
}
"""How many worlds have a kind of fault, and with what chance for each thing that it may strike."""

KINDS: Final = (
    *RATES,
    # What comes of others
    "worker killed",
    "event of an older version after a newer one's",
    "callback before the answer",
    "callback after the end",
    "output link expired",
    "the photo's link was dead",
    *(f"idempotency key {reading}" for reading in READINGS),
    # What the shop does
    "bucket without versions",
    "upload overwritten",
    "upload is no photo",
    # What an operator does, and the calendar
    "index behind",
    "midnight",
    "cap reached",
    "cap lowered",
    "cap raised",
    "cap lifted",
    "credit runs out",
    "credit gone",
    "credit back",
    "key not set at first",
    "key revoked",
    "key refused",
    "secret not set at first",
    "secret rotated",
    "paused",
    "Runflow down",
    "dead letters sent again",
    # What strangers do
    "callback forged",
    "callback garbage",
    "callback of somebody else's run",
)
"""Everything that may happen to a world."""


class Storm:
    """The rates of one world, until the storm is over, and what has struck so far."""

    def __init__(self, random: Random, *, calm: bool = False) -> None:
        self._random = random
        self.over = calm
        self.rates = {
            kind: random.choice(rates) for kind, (share, rates) in RATES.items() if random.random() < share and not calm
        }
        self.seen: Counter[str] = Counter()
        self._of_an_effect: dict[str, tuple[tuple[float, str, bool], ...]] = {}

    def has(self, kind: str) -> bool:
        """Whether this kind of fault is one of this world's."""
        return kind in self.rates

    def strikes(self, kind: str) -> bool:
        """Whether this kind of fault happens now."""
        rate = self.rates.get(kind)
        if self.over or rate is None or self._random.random() >= rate:
            return False
        self.happens(kind)
        return True

    def happens(self, kind: str) -> None:
        """Note that something has happened."""
        if kind not in KINDS:
            raise ValueError(kind)
        if not self.over:
            self.seen[kind] += 1

    def at_effect(self, name: str) -> tuple[str, bool] | None:
        """What happens around the effect `name`, if anything: the kind, and whether it happens after the effect."""
        if self.over:
            return None
        chances = self._of_an_effect.get(name)
        if chances is None:
            chances = self._of_an_effect[name] = self._chances(name)
        place = self._random.random()
        for rate, kind, after in chances:
            place -= rate
            if place < 0:
                return kind, after
        return None

    def _chances(self, name: str) -> tuple[tuple[float, str, bool], ...]:
        found = []
        for kind in EFFECTS:
            found += [(self.rates.get(kind, 0.0) / 2, kind, after) for after in (False, True)]
        if name in AT:
            found.append((self.rates.get(AT[name], 0.0), AT[name], False))
        before, afterwards = PORTS[name.partition(".")[0]]
        if name not in ("runs.create", "runs.get", "runs.page"):  # Runflow's own faults are drawn where it answers
            found += [(self.rates.get(before, 0.0), before, False), (self.rates.get(afterwards, 0.0), afterwards, True)]
        if name in ("jobs.save", "jobs.save_intake", "jobs.set_day_budget"):
            kind = "DynamoDB conflict after the write"
            found.append((self.rates.get(kind, 0.0), kind, True))
        return tuple(chance for chance in found if chance[0])
