"""A job that is opened again has what it needs, whatever comes first."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from detag.domain.job import State
from tests.unit.services.harness import Harness


@pytest.mark.parametrize("how", ["ask", "paid"])
def test_a_reopened_photo_has_its_own_metadata(how: str) -> None:
    """It waits for intake, and a run that was missing may give its output meanwhile: that has the metadata, too."""
    harness = Harness()
    harness.send(harness.upload(shop="north"))
    harness.wait(100.0)
    assert harness.arrive().source_metadata == ()
    harness.deploy(paused=True)
    at = datetime.fromtimestamp(harness.clock.now(), UTC).isoformat()
    asked = {"key": "shoe.jpg", "how": how, "by": "anna", "id": "r-1", "at": at}
    opened = harness.submit._reopening.open({"reopen": asked})
    assert opened is not None
    assert (opened.state, opened.source_metadata) == (State.WAITING, (("shop", "north"),))
