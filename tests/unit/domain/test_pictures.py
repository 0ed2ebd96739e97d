"""Who waits for an equal photo, for how long, and who pays."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from detag.domain import waits
from detag.domain.decisions import Photo, Reusable, Step, TakeOver, Untold, begin, meet_picture
from detag.domain.job import Job, Reservation, State, Upload, new
from detag.domain.picture import Output, Picture, Result
from detag.domain.reasons import Reason

NOW = 1_795_431_600.0
PICTURE = "0123456789abcdef"
OUTPUT = Output(1, "shoes/0.jpg", "v1", "e1", 9, "image/webp")


def job_of(number: int) -> Job:
    return new(Upload("in", f"{number}.jpg", f"v{number}", f"0{number}", "e7a6", 1_000, NOW), NOW)


MEETS = job_of(1)
PAYS = replace(job_of(2), state=State.SUBMITTED, reason=None, picture=PICTURE, picture_until=NOW + 86_400.0)
TAKEN = Picture(picture_id=PICTURE, version=3, taken_by=PAYS.job_id, taken_until=NOW + 86_400.0)
KNOWN = replace(TAKEN, results=(Result(outputs=(OUTPUT,), originals=(OUTPUT,)),))


def due_of(decided: object) -> float:
    """When a job that waits for an equal photo is due."""
    assert isinstance(decided, Step)
    assert decided.move is not None
    waiting = decided.move.of(MEETS)
    assert (waiting.reason, decided.met is not None) == (Reason.SAME_PICTURE, True)
    assert waiting.due_at is not None
    return waiting.due_at


@pytest.mark.parametrize(
    "payer",
    [
        PAYS,
        replace(PAYS, state=State.SUBMITTING),
        replace(PAYS, state=State.WAITING, reason=Reason.UNCONFIRMED),
        Untold(),  # what cannot be told is not taken for "no"
    ],
    ids=["submitted", "submitting", "unconfirmed", "untold"],
)
@pytest.mark.parametrize("picture", [TAKEN, KNOWN], ids=["free", "known"])
def test_an_equal_photo_waits_while_another_is_paid_for(payer: Job | Untold, picture: Picture) -> None:
    assert due_of(meet_picture(MEETS, picture, [payer], now=NOW)) > NOW
    ended = replace(PAYS, state=State.FAILED, reason=Reason.REFUSED)
    assert due_of(meet_picture(MEETS, picture, [ended, payer], now=NOW)) > NOW, "its run turned up meanwhile"


@pytest.mark.parametrize(
    "payer",
    [
        None,
        replace(PAYS, state=State.FAILED, reason=Reason.REFUSED),
        replace(PAYS, state=State.WAITING, reason=Reason.READY),
        replace(PAYS, picture="another"),
        replace(PAYS, picture=None),
        replace(PAYS, picture_until=0.0),
        replace(PAYS, upload=MEETS.upload),
    ],
    ids=["no such job", "closed", "gave it up", "another picture", "no picture", "for itself alone", "the job itself"],
)
def test_nobody_waits_for_one_that_does_not_pay(payer: Job | None) -> None:
    payers = [payer] if payer is not None else []
    assert meet_picture(MEETS, TAKEN, payers, now=NOW) == TakeOver(TAKEN, None)
    assert meet_picture(MEETS, KNOWN, payers, now=NOW) == Reusable()


@pytest.mark.parametrize("payer", [PAYS, Untold()], ids=["pays", "untold"])
def test_nobody_waits_longer_than_a_run_may_take(payer: Job | Untold) -> None:
    over = replace(TAKEN, taken_until=NOW)
    assert meet_picture(MEETS, over, [payer], now=NOW) == TakeOver(over, None)


@pytest.mark.parametrize(("left", "wait"), [(0.5, waits.SAME_NAME.seconds), (90.0, 90.0)])
def test_a_wait_ends_with_the_time_of_the_payer(left: float, wait: float) -> None:
    """However often the job has waited before; and never at once again."""
    patient = replace(MEETS, reason=Reason.SAME_PICTURE, tries=50)
    assert wait < waits.SAME_PICTURE.seconds(50, max)
    decided = meet_picture(patient, replace(TAKEN, taken_until=NOW + left), [PAYS], now=NOW)
    assert due_of(decided) == NOW + wait


def test_a_new_run_that_was_asked_for_reuses_nothing() -> None:
    asked = replace(MEETS, again="r-1")
    met = meet_picture(asked, replace(KNOWN, taken_by=None), [], now=NOW)
    assert met == TakeOver(replace(KNOWN, taken_by=None), "another result was asked for")


@pytest.mark.parametrize(
    "over", [None, TakeOver(TAKEN), TakeOver(KNOWN, "it is gone")], ids=["new", "taken over", "known"]
)
def test_no_claim_takes_what_detag_delivered(over: TakeOver | None) -> None:
    """Also where its picture is known, since it was paid for once: that was asked for then."""
    step = begin(
        MEETS,
        Reservation("2026-11-23", Decimal("0.14")),
        photo=Photo("image/jpeg", (), None, picture=PICTURE, as_output="an output"),
        body="{}",
        now=NOW,
        url_expires_at=NOW + 3_600.0,
        account=(),
        run_timeout_hours=24,
        over=over,
    )
    assert (step.unless_output, step.met) == ("an output", over and over.picture)
