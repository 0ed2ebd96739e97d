"""Keeps two stacks from cleaning the same folder of a bucket that is neither's own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from detag.domain import waits
from detag.domain.naming import readable
from detag.domain.prefix_claim import MAX_BYTES, Claim, claims_text, own, read_claims, renewed, rival, why_not_yet
from detag.ports.clock import Clock
from detag.ports.errors import Conflict, Transient
from detag.ports.stacks import Stacks
from detag.ports.telemetry import Telemetry


class PrefixClaim:
    """One stack's claim: `reconcile` makes and renews it, `submit` pays only while there is one.

    `stack` is its identity, `prefix` its folder of the bucket.
    """

    def __init__(self, *, stack: str, prefix: str, stacks: Stacks, clock: Clock, telemetry: Telemetry) -> None:
        self._stack, self._prefix, self._stacks = stack, prefix, stacks
        self._clock, self._telemetry = clock, telemetry
        self._trusted: tuple[float, Claim] | None = None
        self._look_at = 0.0
        self._rival: Claim | None = None
        self._own: Claim | None = None
        self._trouble = ""

    def look(self) -> Claim | None:
        """The claim, as it was seen lately or is now; None where another stack has the folder. Raises `Transient` where
        that cannot be told, and where the stack does not pay by its claim yet, or any more.
        """
        now, trusted = self._clock.now(), self._trusted
        if trusted is not None and now < trusted[0]:
            return trusted[1]
        self._trusted = None
        claims, _ = self._read()
        ours = own(claims, self._stack, self._prefix, now=now)
        if self._rival is not None:
            return None
        why = why_not_yet(ours, now=now)
        if ours is None or why is not None:
            raise Transient(why or "")
        self._trusted = min(now + waits.CLAIM_TRUSTED.seconds, ours.trusted_until), ours
        return ours

    def renew(self, was_taken: Callable[[], bool]) -> None:
        """Look whether the claim is there, and make or renew it where that is due. A failure is logged: the next minute
        tries again. `was_taken`: whether the stack knows that another one had its folder.
        """
        if self._clock.now() < self._look_at:
            return
        try:
            knew = self._rival is not None
            claims, etag = self._read()
            now = self._clock.now()  # by then a claim that is gone was gone: no stack looks at it later
            if self._rival is None:
                self._own = self._renewed(claims, etag, now, lambda: knew or was_taken())
            else:
                self._telemetry.warning("folder claimed by another stack", **self.state())
        except (Conflict, Transient) as error:
            self._telemetry.warning("claim to the folder not renewed", error=str(error))
            return
        self._look_at = now + waits.CLAIM_LOOK.seconds

    def is_stopped(self) -> bool:
        """Whether no photo is paid for want of a claim that can be told and was renewed. Where another stack has the
        folder, the intake says so.
        """
        return bool(self._trouble) or (self._rival is None and not self._is_trusted())

    def _is_trusted(self) -> bool:
        return self._own is not None and self._clock.now() < self._own.trusted_until

    def state(self) -> dict[str, str]:
        """For the status report: whether the folder is this stack's, or whose it is."""
        if self._trouble:
            return {"state": "cannot be told", "why": self._trouble}
        if self._rival is not None:
            return {"state": "taken", "by": self._rival.stack, "prefix": readable(self._rival.prefix)}
        if self._own is None:
            return {"state": "not made yet"}
        told = {"state": "claimed" if self._is_trusted() else "not renewed"}
        if self._clock.now() < self._own.in_force_at:
            told["pays_from"] = _time(self._own.in_force_at)
        if self._own.since:
            told["photos_from"] = _time(self._own.since)
        return told

    def _renewed(self, claims: tuple[Claim, ...], etag: str | None, now: float, was_taken: Callable[[], bool]) -> Claim:
        self._own = ours = own(claims, self._stack, self._prefix, now=now)
        if ours is not None and now < ours.renewed_at + waits.CLAIM_RENEWAL.seconds:
            return ours
        *others, ours = renewed(claims, self._stack, self._prefix, now=now, was_taken=ours is None and was_taken())
        text = claims_text([*others, ours])
        if len(text.encode()) > MAX_BYTES:
            raise Transient("the list of stacks is full")
        self._stacks.replace(text, etag)
        return ours

    def _read(self) -> tuple[tuple[Claim, ...], str | None]:
        """What the list holds, once a rival in it is noted."""
        try:
            text, etag = self._stacks.read()
            now = self._clock.now()
            claims = read_claims(text, now=now) if etag is not None else ()
        except ValueError as error:
            self._trouble = f"the list of stacks cannot be read: {error}"
            raise Transient(self._trouble) from None
        except Transient as error:
            self._trouble = str(error)
            raise
        self._trouble = ""
        self._rival = rival(claims, self._stack, self._prefix, now=now)
        return claims, etag


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
