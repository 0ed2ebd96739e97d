"""Runflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from detag.domain.outcomes import Outcome
from detag.domain.runs import Run


class NotConfigured(Exception):
    """No API key is stored."""


class Unauthorized(Exception):
    """Runflow refuses the API key (401, 403)."""


@dataclass(frozen=True, slots=True)
class RunPage:
    """A page of the run list. Newest first was asked for and is not promised; an entry may show less than the record.
    `next` continues the list; None is the end.
    """

    runs: tuple[Run, ...]
    next: str | None


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
