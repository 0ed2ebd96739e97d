"""Keeps two stacks from cleaning the same folder of a bucket that is neither's own."""

from __future__ import annotations

from detag.domain import waits
from detag.domain.naming import readable
from detag.domain.prefix_claim import Claim, claims_text, own, read_claims, renewed, rival
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
        self._trusted_until = 0.0
        self._renew_at = 0.0
        self._rival: Claim | None = None

    def is_claimed(self) -> bool:
        """Whether the claim was seen lately, or is there now. Raises `Transient` where that cannot be told."""
        now = self._clock.now()
        if now < self._trusted_until:
            return True
        claims, _ = self._read()
        self._rival = rival(claims, self._stack, self._prefix, now=now)
        ours = own(claims, self._stack, self._prefix, now=now)
        if ours is None and self._rival is None:
            raise Transient("this stack has not claimed its folder yet")
        if ours is not None:
            lapses = ours.renewed_at + waits.CLAIM_LAPSES.seconds - waits.CLOCK_SKEW
            self._trusted_until = min(now + waits.CLAIM_TRUSTED.seconds, lapses)
        return ours is not None

    def renew(self) -> None:
        """Make or renew the claim where that is due. A failure is logged: the next minute tries again."""
        now = self._clock.now()
        if now < self._renew_at:
            return
        try:
            claims, etag = self._read()
            self._rival = rival(claims, self._stack, self._prefix, now=now)
            if self._rival is not None:
                self._telemetry.warning("folder claimed by another stack", **self.state())
                return
            ours = own(claims, self._stack, self._prefix, now=now)
            if ours is None or now >= ours.renewed_at + waits.CLAIM_RENEWAL.seconds:
                ours = Claim(self._stack, self._prefix, now)
                self._stacks.replace(claims_text(renewed(claims, self._stack, self._prefix, now=now)), etag)
        except (Conflict, Transient) as error:
            self._telemetry.warning("claim to the folder not renewed", error=str(error))
            return
        self._renew_at = ours.renewed_at + waits.CLAIM_RENEWAL.seconds

    def state(self) -> dict[str, str]:
        """For the status report: whether the folder is this stack's, or whose it is."""
        if self._rival is not None:
            return {"state": "taken", "by": self._rival.stack, "prefix": readable(self._rival.prefix)}
        return {"state": "claimed" if self._renew_at else "not made yet"}

    def _read(self) -> tuple[tuple[Claim, ...], str | None]:
        text, etag = self._stacks.read()
        try:
            return (read_claims(text) if etag is not None else ()), etag
        except ValueError as error:
            raise Transient(f"the list of stacks cannot be read: {error}") from None
