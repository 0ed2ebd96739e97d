"""Why a photo waits, or how it ended."""

from __future__ import annotations

import inspect
import re

from detag.domain.job import Reason
from detag.domain.reasons import ADVICE
from docs.generate import markdown


def table() -> str:
    """Every reason, under the comment that heads it in the source."""
    rows = []
    for line in inspect.getsource(Reason).splitlines():
        if heading := re.match(r"\s+# (.+)", line):
            rows.append([f"**{heading[1]}**", "", ""])
        elif member := re.match(r"\s+[A-Z_]+ = \"(\w+)\"", line):
            advice = ADVICE[Reason(member[1])]
            rows.append([f"`{member[1]}`", advice.means, advice.do])
    return markdown.table(["reason", "what it means", "what to do"], rows)
