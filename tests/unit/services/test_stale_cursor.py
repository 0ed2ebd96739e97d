"""A search that is continued with a cursor which Runflow does not accept any more begins at the top again."""

from __future__ import annotations

from typing import Any

import pytest

from detag.domain.job import Job, State
from detag.ports.errors import Transient
from detag.ports.runs_fake import Fault
from detag.services import existing_runs
from tests.unit.services.harness import Harness


def test_a_cursor_that_is_refused_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(existing_runs, "MAX_PAGES", 1)
    harness = Harness()
    harness.runs.habits.client_ref_filter, harness.runs.habits.page_limit = "none", 2
    harness.faults = [Fault(effect=True)]
    ours = harness.send(harness.upload()).job_id
    for number in range(3):
        harness.wait(10.0)
        harness.submit.handle(harness.upload(f"other{number}.jpg"), harness.clock.monotonic() + 30.0)
    harness.wait(631.0)

    def searched() -> Job:
        harness.clock.time = max(harness.clock.time, harness.jobs.jobs[ours].not_before)
        harness.send_to(harness.jobs.jobs[ours])
        return harness.jobs.jobs[ours]

    stale = searched().search_from
    assert stale is not None
    read = harness.runs.page

    def page(cursor: str | None = None, *given: Any) -> Any:
        if cursor == stale:
            raise Transient("Runflow answered 400")
        return read(cursor, *given)

    monkeypatch.setattr(harness.runs, "page", page)
    assert searched().search_from is None
    monkeypatch.setattr(existing_runs, "MAX_PAGES", 2)
    harness.runs.habits.page_limit = 3  # no page begins where that cursor stands
    job = searched()
    assert (job.state, len(harness.runs.runs)) == (State.SUBMITTED, 4)
