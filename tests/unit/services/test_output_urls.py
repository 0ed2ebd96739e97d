"""An output that cannot be had by one URL is tried by the others that Runflow gave for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from detag.domain.job import State
from detag.domain.runs import Run
from detag.ports.runs_fake import Ending
from tests.unit.services.harness import submitted


def test_an_output_refused_by_one_url_is_tried_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record's first URL is not safe and its second answers 403; the callback's are both good."""
    harness = submitted(Ending(images=2))
    harness.wait(60.0)
    run = harness.run
    good = harness.runs.get(run.run_id)
    assert good is not None
    get = harness.runs.get

    def bad(run_id: str, **how: Any) -> Run | None:
        record = get(run_id, **how)
        assert record is not None
        return replace(record, output_urls=("https://elsewhere.test/1.webp", good.output_urls[1].partition("?")[0]))

    monkeypatch.setattr(harness.runs, "get", bad)
    job = harness.arrive(run, status="succeeded", links=list(good.output_urls))
    assert (job.state, len(job.outputs), job.partial) == (State.DELIVERED, 2, False)
