"""A key of another account is stored meanwhile: what the services do about photos that were sent with the other."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from detag.domain.job import Job, State
from detag.domain.metrics import Metric
from detag.domain.reasons import Reason
from detag.domain.waits import FIRST_POLL, REDELIVER
from detag.ports.runs import NotConfigured
from detag.ports.runs_fake import Ending, Fault
from tests.unit.services.harness import Harness, submitted

ENDLESS = Ending(seconds=math.inf)


def store(harness: Harness, key: str) -> None:
    """An operator stores another key: its first word is whose it is."""
    harness.runs.habits.accounts = {"key 1": "ours", "ours, rotated": "ours", "theirs": "theirs"}
    harness.runs.habits.key = key


def unconfirmed(*, made: bool) -> Harness:
    """A photo whose POST had no answer, when its confirmation time is over."""
    harness = Harness()
    harness.runs.habits.idempotency = "ignored"
    harness.faults = [Fault(effect=made)]
    assert harness.send(harness.upload()).reason is Reason.UNCONFIRMED
    harness.wait(631.0)
    return harness


def searched(harness: Harness) -> Job:
    """The job after its next search."""
    harness.clock.time = max(harness.clock.time, harness.job.not_before)
    harness.send_to(harness.job)
    return harness.job


@pytest.mark.parametrize("made", [True, False], ids=["a run", "no run"])
def test_none_found_waits_for_the_right_key(made: bool) -> None:
    harness = unconfirmed(made=made)
    store(harness, "theirs")
    job = searched(harness)
    assert (job.state, job.reason) == (State.WAITING, Reason.OTHER_ACCOUNT)
    assert job.body is not None and job.reservation is not None
    assert str(job.decision).startswith("unconfirmed: ")
    store(harness, "key 1")
    assert searched(harness).state is State.SUBMITTED
    assert len(harness.runs.runs) == 1


def test_another_key_of_the_same_account_changes_nothing() -> None:
    harness = unconfirmed(made=False)
    store(harness, "ours, rotated")
    assert searched(harness).state is State.SUBMITTED
    assert len(harness.runs.runs) == 1


def test_where_no_account_is_named_a_rotated_key_is_no_proof() -> None:
    harness = unconfirmed(made=False)
    harness.jobs.jobs[harness.job.job_id] = replace(harness.job, account=("key 1",))
    harness.runs.habits.names_account = False
    store(harness, "ours, rotated")
    assert searched(harness).reason is Reason.OTHER_ACCOUNT


def test_a_run_that_a_rotated_key_shows_is_adopted() -> None:
    """What is found is found, also where nothing says that the key is of the same account."""
    harness = unconfirmed(made=True)
    harness.runs.habits.names_account = False
    store(harness, "ours, rotated")
    assert searched(harness).run_id == harness.run.run_id


def test_an_item_without_an_account_proves_nothing() -> None:
    """Earlier versions did not record it: the key may have been changed since."""
    harness = unconfirmed(made=False)
    harness.jobs.jobs[harness.job.job_id] = replace(harness.job, account=())
    assert searched(harness).reason is Reason.OTHER_ACCOUNT


def test_it_is_given_up_after_three_days_and_stays_counted() -> None:
    harness = unconfirmed(made=True)
    store(harness, "theirs")
    searched(harness)
    harness.wait(72 * 3_600.0)
    job = searched(harness)
    assert (job.state, job.reason) == (State.FAILED, Reason.NOT_CONFIRMED)
    assert job.reservation is not None and f"{job.client_ref}: " in str(job.detail)


def test_a_key_changed_between_claim_and_post_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was recorded with the claim is the account that is sent to, or nothing is sent."""
    harness = Harness()
    account = harness.runs.account

    def changed() -> tuple[str, ...]:
        names = account()
        store(harness, "theirs")
        return names

    monkeypatch.setattr(harness.runs, "account", changed)
    job = harness.send(harness.upload())
    assert (job.state, job.reason) == (State.WAITING, Reason.READY)
    assert harness.runs.posts == []
    monkeypatch.undo()
    harness.send_to(job)
    assert harness.job.account == ("theirs", "of theirs")


def test_a_key_that_is_gone_at_the_claim_pauses_intake(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()

    def gone() -> tuple[str, ...]:
        raise NotConfigured

    monkeypatch.setattr(harness.runs, "account", gone)
    assert harness.send(harness.upload()).reason is Reason.NOT_CONFIGURED
    assert harness.runs.posts == []


def test_each_look_at_a_photo_that_waits_is_counted() -> None:
    harness = unconfirmed(made=False)
    store(harness, "theirs")
    searched(harness)
    harness.clock.time = harness.job.not_before
    harness.sweep()
    assert harness.telemetry.counts[Metric.OTHER_ACCOUNT] == 1


def test_a_foreign_404_is_counted_and_keeps_no_other_waiting() -> None:
    """A run that another account's key does not show stays open, is told of, and the next one is asked for."""
    harness = submitted(ENDLESS)
    store(harness, "theirs")
    harness.endings = [ENDLESS]
    harness.submit.handle(harness.upload("b.jpg"), harness.clock.monotonic() + 30.0)
    harness.wait(FIRST_POLL.seconds)
    done = harness.sweep()
    assert (done["sent_to_deliver"], done["still_running"]) == (1, 1)
    assert harness.telemetry.counts[Metric.OTHER_ACCOUNT] == 1
    ours = next(job for job in harness.jobs.jobs.values() if job.upload.key == "shoe.jpg")
    for _ in range(10):
        harness.give({"job_id": ours.job_id, "run_id": ours.run_id})
        harness.wait(REDELIVER.seconds)
    ours = harness.jobs.jobs[ours.job_id]
    assert (ours.state, ours.reason) == (State.SUBMITTED, None)
    assert "another account" in str(ours.detail)
