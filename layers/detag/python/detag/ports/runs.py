"""Runflow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, Self

from detag.domain.outcomes import Outcome
from detag.domain.runs import Run, read_entry


class NotConfigured(Exception):
    """No API key is stored."""


class Unauthorized(Exception):
    """Runflow refuses the API key (401, 403)."""


@dataclass(frozen=True, slots=True)
class RunPage:
    """A page of the run list. Newest first was asked for and is not promised; an entry may show less than the record.
    `next` continues the list; None is the end. `without_id`: how many more entries it has, whose id cannot be read.
    """

    runs: tuple[Run, ...]
    next: str | None
    without_id: int = 0

    @classmethod
    def of(cls, entries: Iterable[object], following: str | None) -> Self:
        """A page of such entries, as Runflow sends them."""
        read = [read_entry(entry) for entry in entries]
        return cls(tuple(run for run in read if run), following, read.count(None))


class Runs(Protocol):
    """Runflow's API. No call is repeated by the adapter."""

    def ready(self) -> None:
        """Raises `NotConfigured` where there is no API key to call with, `Transient` where it cannot be read."""
        ...

    def create(self, body: str, idempotency_key: str, timeout: float) -> Outcome:
        """Send one POST and return how it ended; gives up after about `timeout` seconds. Raises `NotConfigured` and
        `Transient` only before anything is sent.
        """
        ...

    def get(self, run_id: str, *, signed: bool = True) -> Run | None:
        """A run's record; None where Runflow does not know it. `signed`: its output URLs are asked for with signatures
        (contract 16.1). Raises `Transient`, `Unauthorized`, `NotConfigured`.
        """
        ...

    def page(self, cursor: str | None = None) -> RunPage:
        """A page of all runs of the organisation. Raises `Transient`, `Unauthorized`, `NotConfigured`."""
        ...

    def named(self, client_ref: str) -> tuple[Run, ...]:
        """A few entries of the list, filtered by `client_ref`: what is found so exists, and "none" proves nothing
        (contract 16.2). Raises `Transient`, `Unauthorized`, `NotConfigured`.
        """
        ...
