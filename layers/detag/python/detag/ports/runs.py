"""Runflow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, Self

from detag.domain.outcomes import Outcome
from detag.domain.runs import Run, read_entry
from detag.domain.values import dataclass


class NotConfigured(Exception):
    """No API key is stored, or the one that is may not be read."""


class Unauthorized(Exception):
    """Runflow refuses the API key (401, 403)."""


class OtherAccount(Exception):
    """A run is not shown, and the API key is of another account than the run is looked for in: that proves nothing."""


@dataclass(frozen=True, slots=True)
class RunPage:
    """A page of the run list. Newest first was asked for and is not promised; an entry may show less than the record.
    `next` continues the list; None is the end. `foreign`: it was read with a key of another account than was named, or
    may have been: what it does not show may exist. `without_id`: how many more entries it has, whose id cannot be read.
    """

    runs: tuple[Run, ...]
    next: str | None
    foreign: bool = False
    without_id: int = 0

    @classmethod
    def of(cls, entries: Iterable[object], following: str | None) -> Self:
        """A page of such entries, as Runflow sends them."""
        read = [read_entry(entry) for entry in entries]
        return cls(tuple(run for run in read if run), following, without_id=read.count(None))


class Runs(Protocol):
    """Runflow's API. No call is repeated by the adapter.

    Each account sees its own runs only, and an operator may store another account's key at any time: a call that is to
    prove something names the `account` that it is about, as `account` gave it.
    """

    def ready(self) -> None:
        """Raises `NotConfigured` where there is no API key to call with, `Transient` where it cannot be read."""
        ...

    def account(self) -> tuple[str, ...]:
        """What the account of the stored API key is known by: a hash of the key, and one of the organisation that
        Runflow names, if it names one. Two keys are of one account if they share either. Asked once for each key.

        Raises `NotConfigured` where there is no key, `Transient` where it cannot be read.
        """
        ...

    def create(
        self, body: str, idempotency_key: str, timeout: float, account: tuple[str, ...] | None = None
    ) -> Outcome:
        """Send one POST and return how it ended; gives up after about `timeout` seconds. Raises `NotConfigured` and
        `Transient` only before anything is sent: the latter too where the key is not of the `account` named.
        """
        ...

    def get(self, run_id: str, *, signed: bool = True, account: tuple[str, ...] | None = None) -> Run | None:
        """A run's record; None where Runflow does not know it. `signed`: its output URLs are asked for with signatures
        (contract 16.1). Raises `Transient`, `Unauthorized`, `NotConfigured`; in place of None `OtherAccount`, where the
        key is not of the `account` named.
        """
        ...

    def redeliver(self, run_id: str) -> None:
        """Ask Runflow to send a run's callback again, with output URLs that are signed anew (contract section 4).

        Raises `Unauthorized`, `NotConfigured`, or `Transient` for any other answer than that it will.
        """
        ...

    def page(self, cursor: str | None = None, account: tuple[str, ...] | None = None) -> RunPage:
        """A page of all runs of the organisation. Raises `Transient`, `Unauthorized`, `NotConfigured`."""
        ...

    def named(self, client_ref: str) -> tuple[Run, ...]:
        """A few entries of the list, filtered by `client_ref`: what is found so exists, and "none" proves nothing
        (contract 16.2). Raises `Transient`, `Unauthorized`, `NotConfigured`.
        """
        ...
