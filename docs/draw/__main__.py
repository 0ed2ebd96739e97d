"""`python -m docs.draw`: draw every page and picture anew."""

from __future__ import annotations

from docs.draw import data_model, duplicates, states

for page in (states, data_model, duplicates):
    page.PLACE.write_text(page.draw(), encoding="utf-8", newline="\n")
    print(page.PLACE.relative_to(page.PLACE.parents[1]))
