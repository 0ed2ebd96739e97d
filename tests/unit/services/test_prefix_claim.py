"""Two stacks and one folder of a bucket that is neither's own: only one of them pays."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest

from detag.domain.intake import pause
from detag.domain.job import Job, State
from detag.domain.prefix_claim import MAX_BYTES, STACKS_KEY, Claim, claims_text
from detag.domain.reasons import Reason
from detag.domain.waits import CLAIM_IN_FORCE, CLAIM_LAPSES, CLAIM_LOOK, CLAIM_PAYS, CLAIM_TRUSTED
from detag.ports.errors import Transient
from detag.ports.runs import NotConfigured
from detag.ports.runs_fake import Fault
from detag.ports.stacks_fake import FakeStacks
from tests.unit.services.harness import Harness

DAY = 86_400.0
IN_FORCE = CLAIM_IN_FORCE.seconds


def places(name: str, prefix: str = "") -> dict[str, str]:
    return {"stack": f"111122223333/eu-central-1/{name}", "input_prefix": prefix}


def stack(stacks: FakeStacks, name: str, prefix: str = "") -> Harness:
    return Harness(stacks=stacks, places=places(name, prefix))


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
    stacks.text = claims_text([Claim("111122223333/eu-central-1/b", "", now, now)])


def sweep(*harnesses: Harness) -> None:
    """Reconcile runs for each, in this order, and whatever they claim is in force then."""
    for harness in harnesses:
        harness.sweep()
    for harness in harnesses:
        harness.wait(IN_FORCE)


def sent(harness: Harness) -> list[str]:
    """The keys of the photos that were paid for."""
    jobs = harness.jobs.jobs.values()
    return [job.upload.key for job in jobs for run in harness.runs.runs.values() if run.run_id in job.runs]


def claims(stacks: FakeStacks) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(stacks.text or "")["stacks"]
    return found


def minute(harness: Harness) -> None:
    """Reconcile runs, and submit handles what it sends."""
    harness.sweep()
    while harness.uploads.sent:
        harness.submit.handle(harness.uploads.sent.pop(0), harness.clock.monotonic() + 30.0)
    harness.wait(60.0)


def minutes(number: int, *harnesses: Harness) -> None:
    for _ in range(number):
        for harness in harnesses:
            minute(harness)


def test_a_stack_pays_once_it_has_claimed_its_folder() -> None:
    """Nothing is paid before the claim, which reconcile makes within a minute, is in force; without a person then."""
    harness = stack(FakeStacks(), "a")
    assert harness.send(harness.upload()).state is State.WAITING
    harness.sweep()
    harness.wait(IN_FORCE - 1.0)
    harness.send_to(harness.job)
    assert not harness.runs.runs
    assert harness.job.reason is Reason.READY
    told = harness.reconcile.report()["folder"]
    assert told == {"state": "claimed", "pays_from": "2026-11-23T11:03:00+00:00"}
    minutes(6, harness)
    assert harness.job.state is State.SUBMITTED
    assert harness.reconcile.report()["folder"] == {"state": "claimed"}


def test_the_second_stack_pays_nothing_and_names_the_first() -> None:
    stacks = FakeStacks()
    first, second = stack(stacks, "a", "photos/"), stack(stacks, "b", "photos/new/")
    sweep(first, second)
    assert second.send(second.upload("photos/new/a.jpg")).reason is Reason.PREFIX_TAKEN
    assert second.jobs.intake().reason is Reason.PREFIX_TAKEN
    assert not second.runs.runs
    told = {"state": "taken", "by": "111122223333/eu-central-1/a", "prefix": "photos/"}
    assert second.reconcile.report()["folder"] == told
    assert first.send(first.upload("photos/new/a.jpg")).state is State.SUBMITTED
    assert first.reconcile.report()["folder"] == {"state": "claimed"}


def ended() -> tuple[Harness, dict[str, Job]]:
    """A stack whose folder was another's, until that ended: its photos by key, once it has the folder, and it is free
    of what waited.
    """
    stacks = FakeStacks()
    first, second = stack(stacks, "a"), stack(stacks, "b")
    sweep(first, second)
    for harness in (first, second):
        send(harness, "old.jpg")
        assert harness.jobs.intake().reason is (Reason.PREFIX_TAKEN if harness is second else None)
    assert len(first.runs.runs) == 1
    second.wait(CLAIM_PAYS.seconds - IN_FORCE - 1.0)
    send(second, "last.jpg")
    second.wait(2.0)
    send(second, "new.jpg")
    second.wait(CLAIM_LAPSES.seconds - CLAIM_PAYS.seconds - 60.0)
    minutes(1, second)
    assert {job.reason for job in second.jobs.jobs.values()} == {Reason.PREFIX_TAKEN}
    minutes(10, second)
    return second, {job.upload.key: job for job in second.jobs.jobs.values()}


def test_a_folder_is_free_two_days_after_its_stack_ended() -> None:
    """What was uploaded in that one's time, it has paid for, or may have. The others are sent, without a person."""
    second, jobs = ended()
    for key in ("old.jpg", "last.jpg"):
        assert (jobs[key].state, jobs[key].reason) == (State.SKIPPED, Reason.OTHER_STACKS)
        (record,) = (one for name, one in second.photos.outputs.items() if name == f"_skipped/{key}.txt")
        assert b"reopen it (unpaid)" in record.data
    assert jobs["new.jpg"].state is State.SUBMITTED
    assert len(second.runs.runs) == 1
    assert second.jobs.intake().state == "open"
    told = second.reconcile.report()["folder"]
    assert told == {"state": "claimed", "photos_from": "2026-11-24T11:00:00+00:00"}


def test_another_stacks_photo_is_sent_if_a_person_asks() -> None:
    second, jobs = ended()
    second.wait(60.0)
    second.submit.handle(reopen(second, jobs["old.jpg"]), second.clock.monotonic() + 30.0)
    assert second.jobs.jobs[jobs["old.jpg"].job_id].state is State.SUBMITTED
    assert len(second.runs.runs) == 2


def reopen(harness: Harness, job: Job, how: str = "unpaid") -> dict[str, Any]:
    at = datetime.fromtimestamp(harness.clock.now(), UTC).isoformat()
    return {"reopen": {"id": "r-1", "how": how, "by": "anna", "at": at, "job_id": job.job_id}}


@pytest.mark.parametrize("rival", [True, False])
def test_two_stacks_never_pay_once_the_list_is_deleted(rival: bool) -> None:
    """Whichever claims the folder first, photo for photo; a stack that is alone goes on by itself."""
    stacks = FakeStacks()
    both = (stack(stacks, "a"), stack(stacks, "b"))[: 2 if rival else 1]
    sweep(*both)
    for number in range(30):
        if number == 10:
            stacks.text = None
        for harness in both[number % 2 :] + both[: number % 2]:
            send(harness, f"{number}.jpg")
            minute(harness)
    minutes(20, *both)
    paid = [key for harness in both for key in sent(harness)]
    assert len(paid) == len(set(paid)) >= 20
    assert rival or len(paid) == 30
    assert len(claims(stacks)) == 1


def test_a_list_that_was_deleted_is_made_anew_within_minutes() -> None:
    """What is sent meanwhile waits until the claim is in force, and no longer."""
    stacks = FakeStacks()
    harness = stack(stacks, "a")
    sweep(harness)
    stacks.text = None
    send(harness, "shoe.jpg")
    minutes(2, harness)
    assert harness.job.reason is Reason.READY
    (claim,) = claims(stacks)
    assert claim["claimed_at"] >= harness.clock.now() - 60.0 - CLAIM_LOOK.seconds
    minutes(10, harness)
    assert harness.job.state is State.SUBMITTED


def test_whoever_finds_no_list_leaves_the_photos_that_waited() -> None:
    """Another stack had the folder, and may have trusted its claim until this one is in force."""
    stacks = FakeStacks()
    first, second = stack(stacks, "a"), stack(stacks, "b")
    sweep(first, second)
    send(second, "old.jpg")
    stacks.text = None
    second.deploy(stacks=stacks, places=places("b"))  # new processes
    second.sweep()
    (claim,) = claims(stacks)
    assert claim["since"] == second.clock.now() + IN_FORCE
    minutes(10, second)
    assert second.job.reason is Reason.OTHER_STACKS


def test_a_claim_is_renewed_twice_a_day_and_read_often() -> None:
    stacks, asked = counted()
    harness = stack(stacks, "a")
    for _ in range(3 * 24 * 60):
        harness.sweep()
        harness.wait(60.0)
    (claim,) = claims(stacks)
    assert claim["claimed_at"] == harness.clock.now() - 3 * DAY
    assert claim["renewed_at"] >= harness.clock.now() - DAY / 2 - 60.0
    assert asked.count("stacks.replace") == 6
    assert asked.count("stacks.read") == 3 * 24 * 60 / (CLAIM_LOOK.seconds / 60.0)


def test_a_new_process_renews_no_earlier() -> None:
    """It reads when the claim was renewed, and goes on from there."""
    stacks, asked = counted()
    stack(stacks, "a").sweep()
    harness = stack(stacks, "a")
    asked.clear()
    for seconds in (DAY / 2 - 60.0, 30.0, 30.0, 60.0):
        harness.wait(seconds)
        harness.sweep()
    assert asked == ["stacks.read", "stacks.read", "stacks.replace"]


def test_a_claim_is_looked_at_every_two_minutes() -> None:
    """Not for each photo, and no more seldom: somebody may have edited the list."""
    stacks, asked = counted()
    harness = stack(stacks, "a")
    sweep(harness)
    asked.clear()
    for number in range(3):
        send(harness, f"{number}.jpg")
        harness.wait(CLAIM_TRUSTED.seconds / 3 - 1.0)
    assert (asked, len(harness.runs.runs)) == (["stacks.read"], 3)
    take_over(stacks, harness.clock.now())
    send(harness, "trusted.jpg")
    assert len(harness.runs.runs) == 4
    harness.wait(3.0)
    send(harness, "late.jpg")
    assert len(harness.runs.runs) == 4
    assert harness.jobs.intake().reason is Reason.PREFIX_TAKEN


def test_a_photo_waits_while_the_claim_cannot_be_read() -> None:
    """However long: nothing is wrong with the photo. It has an item at once, and needs no person."""
    broken = False

    def effect(name: str) -> AbstractContextManager[None]:
        if broken and name == "stacks.read":
            raise Transient("S3 timeout")
        return nullcontext()

    harness = stack(FakeStacks(effect), "a")
    sweep(harness)
    harness.wait(CLAIM_TRUSTED.seconds + 1.0)
    broken = True
    assert harness.send(harness.upload()).state is State.WAITING
    for _ in range(4 * 24):
        minute(harness)
        harness.wait(3_540.0)
    assert (harness.job.state, harness.job.reason) == (State.WAITING, Reason.READY)
    broken = False
    minutes(20, harness)
    assert harness.job.state is State.SUBMITTED


def test_an_upload_without_an_item_is_sent_again_by_its_queue() -> None:
    """Neither the claim nor the item can be reached."""
    harness = stack(FakeStacks(), "a")
    sweep(harness)
    harness.broken = {"photos.read_head": Transient("S3 timeout"), "jobs.save": Transient("DynamoDB timeout")}
    with pytest.raises(Transient, match="DynamoDB timeout"):
        send(harness, "shoe.jpg")
    assert not harness.jobs.jobs


@pytest.mark.parametrize(("before", "paid"), [(61.0, 2), (59.0, 1)])
def test_a_claim_that_is_not_renewed_is_not_paid_by(before: float, paid: int) -> None:
    """Another stack, whose clock may be ahead, will clean what is uploaded a day after."""
    stacks = FakeStacks()
    harness = stack(stacks, "a")
    harness.sweep()
    harness.wait(CLAIM_PAYS.seconds - 90.0)
    send(harness, "one.jpg")
    harness.wait(90.0 - before)
    send(harness, "two.jpg")
    assert len(harness.runs.runs) == paid
    minutes(10, harness)
    assert len(harness.runs.runs) == 2


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
    sweep(first, second)
    first.send(first.upload("one.jpg"))
    second.wait(3 * DAY)
    first.wait(3 * DAY)
    second.sweep()
    first.submit.handle(first.upload("two.jpg"), first.clock.monotonic() + 30.0)
    assert len(first.runs.runs) == 1
    assert first.jobs.intake().reason is Reason.PREFIX_TAKEN


def test_nothing_is_sent_again_in_another_stacks_folder() -> None:
    """A POST without an answer: by the time at which it would be sent again, the folder is another stack's."""
    stacks = FakeStacks()
    first = stack(stacks, "a")
    sweep(first)
    first.faults = [Fault()]
    assert first.send(first.upload()).reason is Reason.UNCONFIRMED
    first.wait(700.0)
    take_over(stacks, first.clock.now())
    first.send_to(first.job)
    assert first.job.reason is Reason.PREFIX_TAKEN
    assert not first.runs.runs


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[" * 60_000,
        "[" * 200_000,
        " " * (MAX_BYTES + 1),
        '{"stacks": [{"stack": "x", "prefix": "", "renewed_at": %s}]}' % ("9" * 400),
        '{"stacks": [{"stack": "x", "prefix": "", "renewed_at": Infinity}]}',
        '{"stacks": [{"stack": "x", "prefix": "", "renewed_at": 4000000000}]}',
    ],
    ids=lambda text: text[-20:].strip(),
)
def test_a_list_that_cannot_be_read_is_nobodys_word(text: str) -> None:
    """It is not taken for an empty one: nothing is paid, and the report says why; all else goes on. Once somebody has
    deleted it, so does this.
    """
    stacks = FakeStacks()
    harness = stack(stacks, "a")
    stacks.text = text
    minutes(2, harness)
    assert harness.send(harness.upload()).reason is Reason.READY
    assert stacks.text == text
    told = harness.reconcile.report()["folder"]
    assert (told["state"], "list of stacks cannot be read" in told["why"]) == ("cannot be told", True)
    before = harness.telemetry.counts["GateHeld"]
    minutes(10, harness)
    assert not harness.runs.runs
    assert harness.telemetry.counts["GateHeld"] == before + 10, "an alarm says so"
    stacks.text = None
    minutes(10, harness)
    assert harness.job.state is State.SUBMITTED


def test_a_bucket_of_its_own_needs_no_claim() -> None:
    harness = Harness()
    harness.sweep()
    assert harness.send(harness.upload()).state is State.SUBMITTED
    assert harness.reconcile.report()["folder"] == {"state": "the bucket is the stack's own"}


def test_a_failure_to_renew_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stacks = FakeStacks()
    harness = stack(stacks, "a")
    harness.sweep()
    harness.wait(0.75 * DAY)

    with monkeypatch.context() as patch:
        patch.setattr(FakeStacks, "read", broken)
        harness.sweep()
    assert "claim to the folder not renewed" in [line.message for line in harness.telemetry.lines]
    harness.sweep()
    (claim,) = json.loads(stacks.text or "")["stacks"]
    assert claim["renewed_at"] == harness.clock.now(), "the next minute"


def test_a_claim_that_can_no_longer_be_written_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is a day old nothing is paid by it any more: the report says so, and an alarm."""
    harness = stack(FakeStacks(), "a")
    minutes(5, harness)
    monkeypatch.setattr(FakeStacks, "replace", broken)
    for _ in range(2):
        assert (harness.reconcile.report()["folder"]["state"], harness.telemetry.counts["GateHeld"]) == ("claimed", 0)
        harness.wait(CLAIM_PAYS.seconds / 2 - 600.0)
        harness.sweep()
    harness.wait(1_200.0)
    harness.sweep()
    assert (harness.reconcile.report()["folder"]["state"], harness.telemetry.counts["GateHeld"]) == ("not renewed", 1)


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
    assert first.reconcile.report()["folder"]["state"] == "claimed"
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


def test_what_waits_is_released_once_the_claim_is_in_force() -> None:
    harness = taken()
    send(harness, "another.jpg")
    for seconds in (IN_FORCE - 1.0, 1.0):
        harness.sweep()
        assert harness.jobs.intake().state == "paused", "only a probe is sent, which waits for the claim as well"
        harness.wait(seconds)
    harness.sweep()
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
    sweep(harness)
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


def test_the_list_of_stacks_is_no_photo() -> None:
    """Neither where the scan finds it in a bucket without a prefix, nor where somebody sends its event."""
    harness = stack(FakeStacks(), "a")
    harness.sweep()
    event = harness.upload(STACKS_KEY, b"{}")
    harness.wait(2 * 3_600.0)
    assert harness.sweep()["recovered"] == 0
    harness.submit.handle(event, harness.clock.monotonic() + 30.0)
    assert not harness.jobs.jobs
