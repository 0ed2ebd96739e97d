"""Two stacks and one folder of a bucket that is neither's own: only one of them pays."""

from __future__ import annotations

import json

from detag.domain.job import State
from detag.domain.reasons import Reason
from detag.ports.errors import Transient
from detag.ports.stacks_fake import FakeStacks
from tests.unit.services.harness import Harness

DAY = 86_400.0


def stack(stacks: FakeStacks, name: str, prefix: str = "") -> Harness:
    return Harness(stacks=stacks, places={"stack": f"111122223333/eu-central-1/{name}", "input_prefix": prefix})


def minute(harness: Harness) -> None:
    """Reconcile runs, and submit handles what it sends."""
    harness.sweep()
    while harness.uploads.sent:
        harness.send(harness.uploads.sent.pop(0))
    harness.wait(60.0)


def test_a_stack_pays_once_it_has_claimed_its_folder() -> None:
    """Nothing is paid before the claim, which reconcile makes within a minute."""
    harness = stack(FakeStacks(), "a")
    assert harness.send(harness.upload()).state is State.WAITING
    assert not harness.runs.runs
    assert harness.job.reason is Reason.READY
    harness.sweep()
    harness.wait(600.0)
    harness.send_to(harness.job)
    assert harness.job.state is State.SUBMITTED


def test_the_second_stack_pays_nothing_and_names_the_first() -> None:
    stacks = FakeStacks()
    first, second = stack(stacks, "a", "photos/"), stack(stacks, "b", "photos/new/")
    first.sweep()
    second.sweep()
    assert second.send(second.upload("photos/new/a.jpg")).reason is Reason.PREFIX_TAKEN
    assert second.jobs.intake().reason is Reason.PREFIX_TAKEN
    assert not second.runs.runs
    told = {"state": "taken", "by": "111122223333/eu-central-1/a", "prefix": "photos/"}
    assert second.reconcile.report()["folder"] == told
    assert first.send(first.upload("photos/new/a.jpg")).state is State.SUBMITTED
    assert first.reconcile.report()["folder"] == {"state": "claimed"}


def test_a_folder_is_free_two_days_after_its_stack_ended() -> None:
    """The photos that waited are sent then, without a person."""
    stacks = FakeStacks()
    first, second = stack(stacks, "a"), stack(stacks, "b")
    first.sweep()
    second.sweep()
    second.send(second.upload())
    second.wait(2 * DAY - 60.0)
    minute(second)
    assert second.job.reason is Reason.PREFIX_TAKEN
    second.wait(120.0)
    for _ in range(3):
        minute(second)
    assert second.job.state is State.SUBMITTED
    assert len(second.runs.runs) == 1


def test_a_claim_is_renewed_each_day_and_read_seldom() -> None:
    stacks = FakeStacks()
    harness = stack(stacks, "a")
    for _ in range(4 * 24):
        harness.sweep()
        harness.wait(3_600.0)
    (claim,) = json.loads(stacks.text or "")["stacks"]
    assert claim["renewed_at"] >= harness.clock.now() - DAY - 3_600.0


def test_a_stack_whose_claim_lapsed_stops_paying() -> None:
    """Its reconcile stopped, and another stack has taken its place: what it trusted is looked at again."""
    stacks = FakeStacks()
    first, second = stack(stacks, "a"), stack(stacks, "b")
    first.sweep()
    first.send(first.upload("one.jpg"))
    second.wait(3 * DAY)
    first.wait(3 * DAY)
    second.sweep()
    first.submit.handle(first.upload("two.jpg"), first.clock.monotonic() + 30.0)
    assert len(first.runs.runs) == 1
    assert first.jobs.intake().reason is Reason.PREFIX_TAKEN


def test_a_list_that_cannot_be_read_is_nobodys_word() -> None:
    """It is not taken for an empty one: nothing is paid, and the report says that the claim is not made."""
    stacks = FakeStacks()
    stacks.text = "{"
    harness = stack(stacks, "a")
    harness.sweep()
    assert harness.send(harness.upload()).reason is Reason.READY
    assert not harness.runs.runs
    assert stacks.text == "{"
    assert harness.reconcile.report()["folder"] == {"state": "not made yet"}


def test_a_bucket_of_its_own_needs_no_claim() -> None:
    harness = Harness()
    harness.sweep()
    assert harness.send(harness.upload()).state is State.SUBMITTED
    assert harness.reconcile.report()["folder"] == {"state": "the bucket is the stack's own"}


def test_a_failure_to_renew_stops_nothing() -> None:
    stacks = FakeStacks()
    harness = stack(stacks, "a")
    harness.sweep()
    harness.wait(1.5 * DAY)

    def broken() -> tuple[str, str | None]:
        raise Transient("S3 is down")

    stacks.read = broken  # type: ignore[method-assign]
    harness.sweep()
    assert "claim to the folder not renewed" in [line.message for line in harness.telemetry.lines]
