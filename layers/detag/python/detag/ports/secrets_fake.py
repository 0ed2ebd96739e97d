"""Callback secrets in memory."""

from __future__ import annotations

from detag.ports.effect_fake import Effect, no_effect
from detag.ports.secrets import Unset


class FakeCallbackSecrets:
    """See `detag.ports.secrets.CallbackSecrets`. Its effect is "secrets.read"."""

    def __init__(self, *secrets: str, effect: Effect = no_effect) -> None:
        self.secrets = secrets
        """The current one first; none at all is a secret that nobody has stored yet."""
        self._effect = effect

    def read(self) -> tuple[bytes, ...]:
        """See `CallbackSecrets`."""
        with self._effect("secrets.read"):
            if not self.secrets:
                raise Unset("it has no value")
            return tuple(secret.encode() for secret in self.secrets)
