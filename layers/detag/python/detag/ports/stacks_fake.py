"""The claims of stacks, in memory."""

from __future__ import annotations

from hashlib import md5

from detag.domain.prefix_claim import MAX_BYTES
from detag.ports.effect_fake import Effect, no_effect
from detag.ports.errors import Conflict, Transient


class FakeStacks:
    """See `detag.ports.stacks.Stacks`."""

    def __init__(self, effect: Effect = no_effect) -> None:
        self.text: str | None = None
        self._effect = effect

    @property
    def _etag(self) -> str | None:
        return None if self.text is None else md5(self.text.encode(), usedforsecurity=False).hexdigest()

    def read(self) -> tuple[str, str | None]:
        """See `Stacks`."""
        with self._effect("stacks.read"):
            if len((self.text or "").encode()) > MAX_BYTES:
                raise Transient("the list of stacks cannot be read: it is too long")
            return self.text or "", self._etag

    def replace(self, text: str, etag: str | None) -> None:
        """See `Stacks`."""
        with self._effect("stacks.replace"):
            if etag != self._etag:
                raise Conflict("the object is another by now")
            self.text = text
