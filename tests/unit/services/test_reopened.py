"""A job that is opened again has what it needs, whatever comes first."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from detag.domain.job import Job, State
from detag.domain.reasons import Reason
from detag.ports.errors import Transient
from detag.ports.runs_fake import Ending, Fault, tiny_image
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


def asked(harness: Harness, request_id: str, ahead: float = 0.0) -> dict[str, object]:
    """A request that names a key; `ahead`: seconds by which the clock of whoever asks is fast."""
    at = datetime.fromtimestamp(harness.clock.now() + ahead, UTC).isoformat()
    return {"reopen": {"key": "shoe.jpg", "how": "paid", "by": "anna", "id": request_id, "at": at}}


def send(harness: Harness, message: dict[str, object]) -> None:
    harness.submit.handle(message, harness.clock.monotonic() + 30.0)
    harness.wait(100.0)
    for job in list(harness.jobs.jobs.values()):
        if job.state is State.SUBMITTED:
            harness.give({"job_id": job.job_id, "run_id": job.run_id})


def test_a_request_by_key_is_for_one_upload_when_another_came() -> None:
    """SQS may deliver it once more when a newer photo is at the key: nobody asked to pay for that again."""
    harness = Harness()
    send(harness, harness.upload(data=tiny_image("image/jpeg", b"A")))
    message = asked(harness, "r-1", ahead=7_200.0)
    send(harness, message)
    assert len(harness.runs.runs) == 2
    harness.clock.advance(1_800.0)
    send(harness, harness.upload(data=tiny_image("image/jpeg", b"B")))
    send(harness, message)
    assert len(harness.runs.runs) == 3
    assert refusals(harness) == ["this request was for another upload of the name: ask anew"]
    send(harness, asked(harness, "r-2"))
    assert len(harness.runs.runs) == 4


def test_a_request_by_key_is_for_one_upload_when_that_is_gone() -> None:
    """Its version was deleted, and the one before is at the key again."""
    harness = Harness()
    send(harness, harness.upload(data=tiny_image("image/jpeg", b"A")))
    harness.clock.advance(60.0)
    harness.endings = [Ending(status="failed", code="X", cost=Decimal("0.14"))] * 2
    send(harness, harness.upload(data=tiny_image("image/jpeg", b"B")))
    newest = max(harness.jobs.jobs.values(), key=lambda job: job.upload.rank)
    message = asked(harness, "r-1")
    for _ in range(2):
        send(harness, message)
    assert len(harness.runs.runs) == 3
    harness.clock.advance(600.0)
    harness.photos.delete("in", "shoe.jpg", newest.upload.version_id)
    send(harness, message)
    assert len(harness.runs.runs) == 3
    assert refusals(harness) == ["this request was for another upload of the name: ask anew"]


def refusals(harness: Harness) -> list[object]:
    return [line.fields["why"] for line in harness.telemetry.lines if line.message == "reopen refused"]


def by_name(harness: Harness, key: str) -> Job:
    return next(job for job in harness.jobs.jobs.values() if job.upload.key == key)


@pytest.mark.parametrize("first", ["refused", "failed free", "unclear"])
def test_unpaid_pays_for_no_known_picture(first: str) -> None:
    """Also after a new run was asked for, and paid for by nobody: whoever asks for it unpaid wants what is known."""
    harness, photo = Harness(), tiny_image("image/jpeg", b"A")
    for number in range(2):
        faults: dict[str, list[Fault | None]]
        faults = {"refused": [Fault(400)], "unclear": [Fault() if number else Fault(400)], "failed free": []}
        harness.faults = faults[first]
        harness.runs.habits.may_list = first != "unclear"
        harness.endings = [Ending(status="failed", code="invalid_input", cost=Decimal(0))]
        send(harness, asked(harness, f"r-{number}") if number else harness.upload("shoe.jpg", photo))
        for _ in range(80):
            harness.wait(3_600.0)
            if by_name(harness, "shoe.jpg").state.terminal:
                break
            harness.send_to(by_name(harness, "shoe.jpg"))
    assert by_name(harness, "shoe.jpg").state is State.FAILED
    harness.faults, harness.endings, harness.runs.habits.may_list = [], [], True
    harness.clean("b.jpg", photo)
    made = len(harness.runs.runs)
    message = asked(harness, "r-9")
    message["reopen"] |= {"how": "unpaid"}  # type: ignore[operator]
    send(harness, message)
    for _ in range(5):
        harness.wait(3_600.0)
        harness.send_to(by_name(harness, "shoe.jpg"))
    found = by_name(harness, "shoe.jpg")
    assert (found.state, found.reused_from, len(harness.runs.runs)) == (State.DELIVERED, "b.jpg.webp", made), found


def test_a_delivered_photo_reopened_for_nothing_is_no_delivery() -> None:
    """Its output was deleted, and Runflow has the result no more: the log tells whoever asked."""
    harness = Harness()
    harness.sweep()
    for number in range(10):
        harness.clean(f"{number}.jpg", tiny_image("image/jpeg", b"%d" % number))
    for _ in range(20):
        harness.wait(60.0)
        harness.sweep()
    assert [kind for kind, _ in harness.events.published][-1:] == ["Batch Finished"]
    harness.runs.runs.clear()
    harness.events.published.clear()
    harness.telemetry.counts.clear()
    for job in list(harness.jobs.jobs.values()):
        message = asked(harness, f"r-{job.upload.key}")
        message["reopen"] |= {"how": "ask", "key": job.upload.key}  # type: ignore[operator]
        harness.photos.remove(f"{job.upload.key}.webp")
        send(harness, message)
    for job in harness.jobs.jobs.values():
        assert (job.state, job.decision) == (State.DELIVERED, "closed as before: no run of it has a result")
    for _ in range(30):
        harness.wait(60.0)
        harness.sweep()
    assert harness.events.published == []
    assert (harness.telemetry.counts["Delivered"], harness.telemetry.counts["Reopened"]) == (0, 10)
    assert [line.message for line in harness.telemetry.lines].count("closed as before") == 10


def test_a_delivered_photo_that_is_not_paid_anew_is_no_delivery() -> None:
    """It was deleted before it could be sent: the request counts as refused."""
    harness = Harness()
    send(harness, harness.upload())
    harness.deploy(paused=True)
    send(harness, asked(harness, "r-1"))
    harness.events.published.clear()
    harness.telemetry.counts.clear()
    harness.photos.delete("in", "shoe.jpg")
    harness.deploy()
    for _ in range(30):
        harness.wait(60.0)
        harness.sweep()
        sent, harness.uploads.sent = harness.uploads.sent, []
        for message in sent:
            send(harness, message)
    assert (harness.job.state, harness.job.decision) == (State.DELIVERED, "closed as before: not sent, deleted")
    assert harness.events.published == []
    assert (harness.telemetry.counts["Delivered"], harness.telemetry.counts["ReopenRefused"]) == (0, 1)


SAME = tiny_image("image/jpeg", b"the same")


def unconfirmed() -> tuple[Harness, str]:
    """A photo failed because Runflow could not tell for three days whether there is a run; there is one."""
    harness = Harness()
    harness.faults = [Fault(effect=True)]
    harness.broken |= {name: Transient("the list is denied") for name in ("runs.named", "runs.page")}
    job_id = harness.send(harness.upload(data=SAME)).job_id
    for _ in range(400):
        harness.wait(900.0)
        harness.submit.handle({"job_id": job_id}, harness.clock.monotonic() + 30.0)
    assert harness.jobs.jobs[job_id].reason is Reason.NOT_CONFIRMED
    return harness, job_id


@pytest.mark.parametrize("how", ["paid", "unpaid"])
@pytest.mark.parametrize("while_searching", [True, False])
def test_a_reopened_photo_that_is_searched_for_has_its_picture(how: str, *, while_searching: bool) -> None:
    """Its run is found, and delivered for an equal photo too: that one waits meanwhile."""
    harness, job_id = unconfirmed()
    at = datetime.fromtimestamp(harness.clock.now(), UTC).isoformat()
    request = {"reopen": {"job_id": job_id, "how": how, "by": "anna", "id": "r-1", "at": at}}
    if not while_searching:
        harness.broken.clear()
    harness.submit.handle(request, harness.clock.monotonic() + 30.0)
    second = dict.fromkeys(harness.jobs.jobs)
    harness.submit.handle(harness.upload("boot.jpg", SAME), harness.clock.monotonic() + 30.0)
    (other,) = harness.jobs.jobs.keys() - second
    harness.broken.clear()
    for _ in range(20):
        harness.wait(900.0)
        for one in (job_id, other):
            job = harness.jobs.jobs[one]
            if job.state is State.SUBMITTED:
                harness.give({"job_id": one, "run_id": job.run_id})
            elif not job.state.terminal:
                harness.submit.handle({"job_id": one}, harness.clock.monotonic() + 30.0)
    assert [harness.jobs.jobs[one].state for one in (job_id, other)] == [State.DELIVERED] * 2
    assert (len(harness.runs.runs), harness.runs.billed) == (1, Decimal("0.14"))


def test_what_was_paid_for_is_not_advised_to_be_reopened_unpaid() -> None:
    """Runflow refuses the new run of a delivered photo: nothing more was charged, but the first run was."""
    harness = Harness()
    send(harness, harness.upload())
    harness.faults = [Fault(422, code="BAD")]
    send(harness, asked(harness, "r-1"))
    ended = harness.events.published[-1][1]
    assert (ended["reason"], "(paid)" in ended["what_to_do"], "(unpaid)" in ended["what_to_do"]) == (
        "refused",
        True,
        False,
    )
    again = harness.upload("boot.jpg", tiny_image("image/jpeg", b"B"))
    harness.faults = [Fault(422, code="BAD")]
    send(harness, again)
    assert "(unpaid)" in harness.events.published[-1][1]["what_to_do"]
