"""What a deploy with all defaults makes, as it was committed: whoever changes that changes the snapshot, deliberately.

    .venv/test/bin/python -m tests.template.snapshot     # renews it

`make generate` leaves it alone, so that no change of what is deployed goes by unseen. It has resources and outputs
only: a new parameter whose default changes nothing leaves it as it is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from tests.template.stack import Stack, read_stack

PLACE: Final = Path(__file__).with_name("snapshot.json")
RENEW: Final = ".venv/test/bin/python -m tests.template.snapshot"


def taken(stack: Stack) -> str:
    """The snapshot as the template would have it."""
    return json.dumps(stack.given().deployed, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PLACE.write_text(taken(read_stack()), encoding="utf-8")
