"""Two organisations at the mock Runflow, seen by the real adapter: each sees its own runs, and detag pays once."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest

from detag import app
from detag.adapters.runflow import RunflowRuns
from detag.domain.job import State
from detag.domain.outcomes import Accepted
from detag.domain.reasons import Reason
from detag.domain.runs import create_body
from detag.ports.clock_fake import FakeClock
from detag.ports.events_fake import FakeEvents
from detag.ports.jobs_fake import FakeJobStore
from detag.ports.photos_fake import FakePhotoStore
from detag.ports.runs import OtherAccount
from detag.ports.runs_fake import tiny_image
from detag.ports.telemetry_fake import FakeTelemetry
from detag.settings import SubmitSettings
from tests.contract.test_runs import JOB, StoredKey
from tests.environment import settings
from tests.mock_runflow import API_KEY, Runflow

THEIRS = "rf_live_of_another"
ME: dict[str, dict[str, Any]] = {
    "names the organisation": {},
    "empty": {"status": 200, "body": {}},
    "no JSON": {"status": 200, "body": "ok"},
    "forbidden": {"status": 403},
    "unknown": {"status": 404},
    "failing": {"status": 503},
}


@pytest.fixture
def key() -> StoredKey:
    return StoredKey()


@pytest.fixture
def runs(runflow: Runflow, key: StoredKey) -> Iterator[RunflowRuns]:
    runflow.key_of_another(THEIRS, "theirs")
    made = RunflowRuns(runflow.url, key, ssl.create_default_context())
    yield made
    made.close()


@pytest.mark.parametrize("me", ME)
def test_each_organisation_sees_its_own_runs(runflow: Runflow, key: StoredKey, runs: RunflowRuns, me: str) -> None:
    """Whatever `GET /v1/auth/me` answers, a key of another organisation proves nothing, and the own key does."""
    if ME[me]:
        runflow.fault("me", "status", times=None, **ME[me])
    account = runs.account()
    body = create_body(
        image_url="https://photos.example.com/a.jpg",
        callback_url="https://detag.example.com/callbacks",
        client_ref=f"{JOB}.1",
        job_id=JOB,
        key="a.jpg",
        aspect_ratio=None,
    )
    made = runs.create(body, "f" * 64, 10, account)
    assert isinstance(made, Accepted)
    key.stored = THEIRS
    key.forget()
    with pytest.raises(OtherAccount):
        runs.get(made.run_id, account=account)
    page = runs.page(None, account)
    assert (page.runs, page.foreign) == ((), True)
    key.stored = API_KEY
    key.forget()
    assert runs.get(made.run_id, account=account) is not None
    page = runs.page(None, account)
    assert ([run.run_id for run in page.runs], page.foreign) == ([made.run_id], False)


@pytest.mark.parametrize("me", ME)
def test_a_lost_answer_is_paid_for_once(runflow: Runflow, key: StoredKey, runs: RunflowRuns, me: str) -> None:
    """A photo whose answer was lost waits while another organisation's key is stored, and then its run is found."""
    if ME[me]:
        runflow.fault("me", "status", times=None, **ME[me])
    clock, photos = FakeClock(time.time()), FakePhotoStore(FakeClock(time.time()))
    jobs = FakeJobStore(clock)
    submit = app.submit(
        settings(SubmitSettings),
        jobs=jobs,
        photos=photos,
        runs=runs,
        events=FakeEvents(),
        clock=clock,
        telemetry=FakeTelemetry(),
    )
    event = photos.upload("in", "shoe.jpg", tiny_image("image/jpeg", b"shoe"))
    runflow.fault("create_run", "drop", when="after")
    submit.handle(event, clock.monotonic() + 30.0)
    (job_id,) = jobs.jobs
    assert jobs.jobs[job_id].reason is Reason.UNCONFIRMED
    key.stored = THEIRS
    key.forget()
    clock.advance(631.0)
    submit.handle({"job_id": job_id}, clock.monotonic() + 30.0)
    assert jobs.jobs[job_id].reason is Reason.OTHER_ACCOUNT
    key.stored = API_KEY  # and nobody tells the process: it reads the key anew by itself
    clock.advance(200.0)
    submit.handle({"job_id": job_id}, clock.monotonic() + 30.0)
    assert jobs.jobs[job_id].state is State.SUBMITTED
    assert runflow.billing()["creates"] == 1
