"""What may go wrong at any port."""

from __future__ import annotations


class Transient(Exception):
    """The call failed and may work later: throttled, timed out, no connection, contended. It may have had its effect."""


class Conflict(Exception):
    """The row is not as it was read: read it again and go on from its state."""
