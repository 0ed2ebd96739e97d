"""Two stacks and one folder of a bucket that is neither's own: only one of them pays."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext

import pytest

from detag.domain.intake import pause
from detag.domain.job import State
from detag.domain.prefix_claim import Claim, claims_text
from detag.domain.reasons import Reason
from detag.domain.waits import CLAIM_LAPSES, CLAIM_TRUSTED, CLOCK_SKEW
from detag.ports.errors import Transient
from detag.ports.runs import NotConfigured
from detag.ports.runs_fake import Fault
from detag.ports.stacks_fake import FakeStacks
from tests.unit.services.harness import Harness

DAY = 86_400.0


def stack(stacks: FakeStacks, name: str, prefix: str = "") -> Harness:
    return Harness(stacks=stacks, places={"stack": f"111122223333/eu-central-1/{name}", "input_prefix": prefix})


def counted() -> tuple[FakeStacks, list[str]]:
    """A list of stacks, and the requests about it."""
    asked: list[str] = []

    def effect(name: str) -> AbstractContextManager[None]:
        asked.append(name)
        return nullcontext()

    return FakeStacks(effect), asked


def send(harness: Harness, key: str) -> None:
    harness.submit.handle(harness.upload(key), harness.clock.monotonic() + 30.0)


def take_over(stacks: FakeStacks, now: float) -> None:
    """Another stack has claimed the folder, whatever was there."""
    stacks.text = claims_text([Claim("111122223333/eu-central-1/b", "", now)])


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
    stacks, asked = counted()
    harness = stack(stacks, "a")
    for _ in range(4 * 24):
        harness.sweep()
        harness.wait(3_600.0)
    (claim,) = json.loads(stacks.text or "")["stacks"]
    assert claim["renewed_at"] >= harness.clock.now() - DAY - 3_600.0
    assert asked == ["stacks.read", "stacks.replace"] * 4


def test_a_new_process_renews_no_earlier() -> None:
    """It reads when the claim was renewed, and goes on from there."""
    stacks, asked = counted()
    stack(stacks, "a").sweep()
    harness = stack(stacks, "a")
    asked.clear()
    for seconds in (DAY - 60.0, 30.0, 30.0):
        harness.wait(seconds)
        harness.sweep()
    assert asked == ["stacks.read", "stacks.read", "stacks.replace"]


def test_a_claim_is_looked_at_once_an_hour() -> None:
    """Not for each photo, and no more seldom: somebody may have edited the list."""
    stacks, asked = counted()
    harness = stack(stacks, "a")
    harness.sweep()
    asked.clear()
    for number in range(3):
        send(harness, f"{number}.jpg")
        harness.wait(1_000.0)
    assert (asked, len(harness.runs.runs)) == (["stacks.read"], 3)
    take_over(stacks, harness.clock.now())
    harness.wait(CLAIM_TRUSTED.seconds - 3_000.0)
    send(harness, "late.jpg")
    assert len(harness.runs.runs) == 3
    assert harness.jobs.intake().reason is Reason.PREFIX_TAKEN


@pytest.mark.parametrize(("before", "paid"), [(CLOCK_SKEW + 1.0, 2), (CLOCK_SKEW - 1.0, 1)])
def test_no_claim_is_trusted_up_to_its_lapse(before: float, paid: int) -> None:
    """Another stack, whose clock may be ahead, may take the folder then."""
    stacks = FakeStacks()
    harness = stack(stacks, "a")
    harness.sweep()
    harness.wait(CLAIM_LAPSES.seconds - 600.0)
    send(harness, "one.jpg")
    take_over(stacks, harness.clock.now())
    harness.wait(600.0 - before)
    send(harness, "two.jpg")
    assert len(harness.runs.runs) == paid


def test_nobody_asks_for_the_claim_of_what_is_not_sent() -> None:
    """While intake is paused, or the key is missing, that is the reason that is told; what is no photo needs none."""
    stacks, asked = counted()
    harness = Harness(stacks=stacks, places={"stack": "111122223333/eu-central-1/a"}, paused=True)
    assert harness.send(harness.upload()).reason is Reason.PAUSED
    send(harness, "notes.txt")
    harness = stack(stacks, "a")
    harness.broken["runs.ready"] = NotConfigured("no key")
    assert harness.send(harness.upload()).reason is Reason.NOT_CONFIGURED
    assert asked == []


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


def test_nothing_is_sent_again_in_another_stacks_folder() -> None:
    """A POST without an answer, just before the claim lapses: by the time at which it would be sent again, the folder
    is another stack's.
    """
    stacks = FakeStacks()
    first, second = stack(stacks, "a"), stack(stacks, "b")
    first.sweep()
    for harness in (first, second):
        harness.wait(2 * DAY - 300.0)
    first.faults = [Fault()]
    assert first.send(first.upload()).reason is Reason.UNCONFIRMED
    for harness in (first, second):
        harness.wait(700.0)
    second.sweep()
    first.send_to(first.job)
    assert first.job.reason is Reason.PREFIX_TAKEN
    assert not first.runs.runs


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


def test_a_failure_to_renew_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stacks = FakeStacks()
    harness = stack(stacks, "a")
    harness.sweep()
    harness.wait(1.5 * DAY)

    with monkeypatch.context() as patch:
        patch.setattr(FakeStacks, "read", broken)
        harness.sweep()
    assert "claim to the folder not renewed" in [line.message for line in harness.telemetry.lines]
    harness.sweep()
    (claim,) = json.loads(stacks.text or "")["stacks"]
    assert claim["renewed_at"] == harness.clock.now(), "the next minute"


def test_a_stack_that_is_forestalled_sees_it_a_minute_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both read the list before either writes: the later one is refused, and stops nothing."""
    stacks = FakeStacks()
    first, second, read = stack(stacks, "a"), stack(stacks, "b"), stacks.read

    def meanwhile() -> tuple[str, str | None]:
        found = read()
        monkeypatch.undo()
        first.sweep()
        return found

    monkeypatch.setattr(stacks, "read", meanwhile)
    second.sweep()
    assert second.reconcile.report()["folder"] == {"state": "not made yet"}
    second.sweep()
    assert second.reconcile.report()["folder"]["by"] == "111122223333/eu-central-1/a"
    assert first.reconcile.report()["folder"] == {"state": "claimed"}
    (claim,) = json.loads(stacks.text or "")["stacks"]
    assert claim["stack"] == "111122223333/eu-central-1/a"


def taken() -> Harness:
    """The second stack on a folder, with a photo that waits; the first one's claim has just lapsed."""
    stacks = FakeStacks()
    first, second = stack(stacks, "a"), stack(stacks, "b")
    first.sweep()
    assert second.send(second.upload()).reason is Reason.PREFIX_TAKEN
    second.wait(CLAIM_LAPSES.seconds + 1.0)
    return second


def test_what_waits_is_released_in_the_minute_of_the_claim() -> None:
    """The claim is made before the intake is tended."""
    harness = taken()
    assert harness.sweep()["released"] == 1
    assert harness.jobs.intake().draining


def test_no_claim_no_release_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot be told or made, the intake stays paused, and the minute does what else there is: it probes."""
    harness = taken()
    for name in ("read", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(FakeStacks, name, broken)
            harness.sweep()
        assert harness.jobs.intake().state == "paused"
        harness.wait(60.0)
    harness.sweep()
    assert harness.jobs.intake().state != "paused"


def broken(*given: object) -> None:
    raise Transient("S3 is down")


def test_a_stack_that_moved_to_its_own_bucket_goes_on() -> None:
    """Its intake was paused because the folder was another's."""
    harness = Harness()
    before = harness.jobs.intake()
    harness.jobs.save_intake(before, pause(before, Reason.PREFIX_TAKEN, harness.clock.now()))
    harness.sweep()
    assert harness.jobs.intake().state != "paused"
