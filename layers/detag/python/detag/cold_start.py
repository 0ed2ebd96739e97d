"""What Lambda calls init: from the first import of a handler, which should be this one, to its first event.

Hardly any garbage is made meanwhile, so it is not collected: benchmarks/results.md has what that saves.
"""

from __future__ import annotations

import gc

gc.disable()


def done() -> None:
    """The end of init: what exists now is never collected, what events bring is collected as usual."""
    gc.freeze()
    gc.enable()
