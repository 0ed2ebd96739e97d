"""What is left of this invocation: Lambda kills the process at its end, in the middle of whatever call is under way."""

from __future__ import annotations

import math
import time
from typing import Final


class Invocation:
    """The invocation that this process is at; it has one at a time. Outside of one, time is without end."""

    def __init__(self) -> None:
        self._deadline = math.inf

    def begin(self, milliseconds: float) -> None:
        """So much is left from now on."""
        self._deadline = time.monotonic() + milliseconds / 1000

    def end(self) -> None:
        """It has answered."""
        self._deadline = math.inf

    def left(self, keep: float) -> float:
        """Seconds that a call may take so that `keep` seconds are left after it; never less than 0."""
        return max(0.0, self._deadline - time.monotonic() - keep)


INVOCATION: Final = Invocation()
