"""What fails in a simulation, and how often: drawn once from its seed.

A kind of fault is either absent from a simulation or has a rate of its own there (swarm testing: a simulation in which
everything fails a little hides what happens where one thing fails often).
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
    "another photo of the batch overtakes": (0.5, (0.05, 0.3)),
}
"""At the boundary of any effect: the share of simulations that have it, and the rates it may have for each effect."""

AT: Final = {
    "photos.put": "worker stalled before it stores",
    "photos.remove": "worker stalled before it removes",
    "photos.copy_output": "worker stalled before it copies",
    "runs.create": "worker stalled before it sends",
    "jobs.save_intake": "worker stalled before it changes the intake",
}
"""The boundaries at which a stall is worst, and what it is called there."""

PORTS: Final = {
    "jobs": ("DynamoDB throttled", "DynamoDB timeout"),
    "queue": ("SQS throttled", "SQS timeout"),
    "photos": ("S3 throttled", "S3 timeout"),
    "events": ("EventBridge throttled", "EventBridge timeout"),
    "secrets": ("secret unreadable", "secret unreadable"),
    "fetcher": ("output unreachable", "output unreachable"),
    "runs": ("API key unreadable", "API key unreadable"),
}
"""By the first word of an effect's name: how a call fails before it had its effect, and after."""

HANGS: Final = {
    "jobs": "DynamoDB hangs",
    "photos": "S3 hangs",
    "runs": "Runflow hangs",
    "fetcher": "output hangs",
}
"""By the first word of an effect's name: a call that takes all the time that its worker has left for it, before it has
its effect or after.
"""

RATES: Final = {
    **EFFECTS,
    **dict.fromkeys(HANGS.values(), (0.3, (0.002, 0.01, 0.04))),
    **dict.fromkeys(AT.values(), (0.4, (0.05, 0.3))),
    AT["photos.remove"]: (0.7, (0.5, 1.0)),  # one simulation in six removes anything
    **{kind: (0.45, (0.01, 0.04, 0.15)) for kinds in PORTS.values() for kind in kinds},
    "DynamoDB conflict after the write": (0.4, (0.01, 0.05)),
    "clock skewed": (0.5, (0.3, 1.0)),
    "event duplicated": (0.5, (0.1, 0.5)),
    "event delayed": (0.5, (0.1, 0.3)),
    "event reordered": (0.5, (0.1, 0.3)),
    "event lost to the rule's dead letters": (0.3, (0.05, 0.2)),
    "event never comes": (0.3, (0.05, 0.2)),
    "message duplicated": (0.5, (0.05, 0.3)),
    "message delayed": (0.4, (0.05, 0.2)),
    "message reordered": (0.5, (0.1, 0.5)),
    "message lost": (0.3, (0.05, 0.2)),
    "callback lost": (0.6, (0.1, 0.5, 1.0)),
    "callback duplicated": (0.5, (0.1, 0.5)),
    "callback delayed": (0.4, (0.1, 0.3)),
    "callback replayed": (0.4, (0.1, 0.3)),
    "callback immediate": (0.5, (0.1, 0.5)),
    "callback response lost": (0.4, (0.05, 0.3)),
    "Runflow 429": (0.5, (0.05, 0.2)),
    "Runflow 5xx": (0.5, (0.05, 0.2)),
    "Runflow 5xx with effect": (0.5, (0.05, 0.2)),
    "Runflow timeout": (0.5, (0.05, 0.2)),
    "Runflow timeout with effect": (0.5, (0.05, 0.2)),
    "Runflow timeout with late effect": (0.4, (0.05, 0.2)),
    "Runflow unreachable": (0.5, (0.05, 0.3)),
    "run list slow": (0.3, (0.3, 1.0)),
    "run listed late": (0.5, (0.3, 1.0)),
    "run unknown at first": (0.3, (0.1, 0.3)),
    "run forgotten": (0.25, (0.05, 0.2)),
    "run failed free of charge": (0.5, (0.05, 0.3)),
    "run failed permanently": (0.4, (0.05, 0.2)),
    "run failed and charged": (0.3, (0.05, 0.2)),
    "run cancelled": (0.3, (0.05, 0.2)),
    "run partial": (0.3, (0.1, 0.3)),
    "run slow": (0.4, (0.1, 0.3)),
    "run queued too long": (0.1, (1.0,)),
    "run never ends": (0.25, (0.03, 0.1)),
    "run ends after its timeout": (0.35, (0.05, 0.15)),
    "run without an output": (0.25, (0.05, 0.1)),
    "run with a bad output": (0.25, (0.05, 0.1)),
    "run with an unsafe output URL": (0.25, (0.05, 0.1)),
    "run reports no cost": (0.3, (0.1, 0.5)),
    "run costs another amount": (0.4, (0.1, 0.5)),
    "output slow": (0.3, (0.1, 0.5)),
    "output of another type": (0.5, (0.3, 1.0)),
    "several outputs": (0.3, (0.1, 0.3)),
    "upload deleted": (0.4, (0.05, 0.2)),
    "version deleted for good": (0.4, (0.05, 0.2)),
    "upload renamed": (0.4, (0.05, 0.2)),
    "upload overwritten by no photo": (0.4, (0.05, 0.2)),
    "upload overwritten by an equal one": (0.6, (0.2, 0.4)),
    "upload overwritten soon": (0.5, (0.1, 0.4)),
    "upload equal to another": (0.6, (0.2, 0.6)),
    "upload equal to another, cleaned anew": (0.3, (0.1, 0.3)),
    "event key encoded": (0.2, (0.3, 1.0)),
    "run list thin": (0.3, (1.0,)),
    "run list in another order": (0.3, (1.0,)),
    "run list forbidden": (0.3, (0.1, 0.5)),
    "run list cursor too long to keep": (0.2, (1.0,)),
    "photo shown by another link": (0.3, (1.0,)),
    "Runflow's clock behind": (0.3, (1.0,)),
    "output URLs signed by one road only": (0.3, (1.0,)),
    "failed run tried again by Runflow": (0.3, (0.2, 0.5)),
}
"""The share of simulations that have a kind of fault, and the rates it may have wherever it can fire."""

KINDS: Final = (
    *RATES,
    # Drawn from random numbers of their own: a simulation without them is what it was
    "record of one run unreadable",
    "photo refused after a request without an answer",
    "cancelled run that ends well",
    "run's cost shown late",
    # What follows from others
    "upload recovered by the scan",
    "batch finished",
    "worker killed",
    "event of an older version after a newer one's",
    "callback before the response",
    "callback after the job closed",
    "output URL expired",
    "output URLs signed in callbacks only",
    "callback sent again",
    "photo URL expired",
    "run made after the confirmation time",
    *(f"idempotency key {reading}" for reading in READINGS),
    # What the shop does
    "bucket without versions",
    "upload overwritten",
    "upload not a photo",
    "upload with an ignored name",
    "upload overwritten by no photo, which is taken back",
    "picture back under its name after another",
    "output deleted by hand",
    "output overwritten by hand",
    "output rejected",
    "output uploaded as a photo",
    "result reused",
    "equal photo waited for",
    # What an operator does, and the calendar
    "index behind",
    "midnight",
    "spend limit reached",
    "spend limit lowered",
    "spend limit raised",
    "spend limit lifted",
    "spend limit never lifted",
    "price changed",
    "limit deployed anew",
    "Lambda throttled",
    "item unreadable",
    "intake unreadable",
    "day budget deleted",
    "credit runs out",
    "credit used up",
    "credit topped up",
    "key not set at first",
    "key revoked",
    "key refused",
    "key of another account stored",
    "key of the same account stored",
    "key put back",
    "secret not set at first",
    "secret rotated",
    "paused",
    "Runflow down",
    "rights not spread yet",
    "dead letters redriven",
    # What strangers do
    "callback forged",
    "callback garbage",
    "callback of an unrelated run",
    # What is asked for
    "asked to reopen: ask",
    "asked to reopen: unpaid",
    "asked to reopen: paid",
    "asked to reopen: carried out",
    "asked to reopen: by its key",
    "asked to reopen: an earlier run calls back",
    "asked to reopen: again and again",
    "asked to reopen: refused",
)
"""Everything that may happen in a simulation."""
_KNOWN: Final = frozenset(KINDS)


class FaultProfile:
    """The rates of one simulation, while faults are active, and what has fired so far."""

    def __init__(self, random: Random, *, faults: bool = True) -> None:
        self._random = random
        self.active = faults
        self.rates = {
            kind: random.choice(rates) for kind, (share, rates) in RATES.items() if random.random() < share and faults
        }
        self.seen: Counter[str] = Counter()
        self._of_an_effect: dict[str, tuple[tuple[float, str, bool], ...]] = {}

    def has(self, kind: str) -> bool:
        """Whether this kind of fault is one of this simulation's."""
        return kind in self.rates

    def fires(self, kind: str) -> bool:
        """Whether this kind of fault happens now."""
        rate = self.rates.get(kind)
        if not self.active or rate is None or self._random.random() >= rate:
            return False
        self.happens(kind)
        return True

    def happens(self, kind: str) -> None:
        """Note that something has happened."""
        if kind not in _KNOWN:
            raise ValueError(kind)
        if self.active:
            self.seen[kind] += 1

    def at_effect(self, name: str) -> tuple[str, bool] | None:
        """What happens around the effect `name`, if anything: the kind, and whether it happens after the effect."""
        if not self.active:
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
        hangs = HANGS.get(name.partition(".")[0])
        if hangs and name != "runs.create":  # of which nobody knows what became: one of Runflow's own faults
            found += [(self.rates.get(hangs, 0.0) / 2, hangs, after) for after in (False, True)]
        if name in ("jobs.save", "jobs.save_intake", "jobs.charge"):
            kind = "DynamoDB conflict after the write"
            found.append((self.rates.get(kind, 0.0), kind, True))
        return tuple(chance for chance in found if chance[0])
