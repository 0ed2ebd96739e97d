"""The intake: who is let through, and when it is asked again."""

from __future__ import annotations

import pytest

from detag.domain import intake as intakes
from detag.domain import job as jobs
from detag.domain.intake import Intake
from detag.domain.job import Upload
from detag.domain.reasons import INTAKE_REASONS, Reason
from detag.domain.waits import PROBE, PROBE_LEASE

NOW = 1_795_426_200.0
NEW = jobs.new(Upload("in", "a.jpg", "v1", "01", "e", 1, NOW), NOW)
WAITING = jobs.wait_for_intake(NEW, Reason.RUNFLOW_DOWN)
RELEASED = jobs.release(WAITING, NOW, NOW + 300)
PAUSED = intakes.pause(Intake(), Reason.RUNFLOW_DOWN, NOW)


def test_an_open_intake_lets_everything_through() -> None:
    assert Intake().lets_through(NEW) and Intake().lets_through(WAITING)


def test_a_paused_intake_lets_only_its_probe_through() -> None:
    assert not any(PAUSED.lets_through(job) for job in (NEW, WAITING, RELEASED))
    assert intakes.probe(PAUSED, RELEASED.job_id, NOW).lets_through(RELEASED)


def test_a_draining_intake_lets_released_jobs_go_first() -> None:
    draining = intakes.drain(PAUSED)
    assert draining.lets_through(RELEASED)
    assert not draining.lets_through(NEW)
    assert not draining.lets_through(WAITING)


def test_each_time_another_photo_is_the_first_candidate() -> None:
    intake, first = PAUSED, []
    for _ in range(4):
        first.append(intakes.candidates(intake, ["a", "b", "c"])[0])
        intake = intakes.pause(intakes.probe(intake, first[-1], NOW), Reason.RUNFLOW_DOWN, NOW)
    assert first == ["a", "b", "c", "a"]
    assert intakes.candidates(intake, ["a", "b"]) == ["a", "b"]
    assert intakes.candidates(intake, []) == []


def test_probes_come_less_and_less_often_while_the_cause_lasts() -> None:
    intake, waits = PAUSED, [PAUSED.probe_at - NOW]
    for _ in range(6):
        intake = intakes.pause(intakes.probe(intake, WAITING.job_id, NOW), Reason.RUNFLOW_DOWN, NOW)
        waits.append(intake.probe_at - NOW)
    assert waits[:4] == [PROBE.base, 120, 240, 480]
    assert waits[-1] == PROBE.cap
    assert intake.since == PAUSED.since


def test_a_probe_that_is_lost_gives_way_to_the_next() -> None:
    assert intakes.probe(PAUSED, "x", NOW).probe_at == NOW + PROBE_LEASE.seconds


def test_another_cause_starts_anew() -> None:
    intake = intakes.pause(intakes.probe(PAUSED, "x", NOW), Reason.OUT_OF_CREDIT, NOW + 50)
    assert (intake.reason, intake.since, intake.probes) == (Reason.OUT_OF_CREDIT, NOW + 50, 0)


def test_the_spending_limit_is_asked_again_at_midnight() -> None:
    assert intakes.pause(Intake(), Reason.SPEND_LIMIT, NOW).probe_at == 1_795_478_400.0


@pytest.mark.parametrize("reason", sorted(set(Reason) - INTAKE_REASONS))
def test_a_reason_of_one_photo_does_not_pause_the_intake(reason: Reason) -> None:
    with pytest.raises(ValueError, match=reason):
        intakes.pause(Intake(), reason, NOW)


def test_every_move_is_a_new_version() -> None:
    moves = [
        intakes.probe(PAUSED, "x", NOW),
        intakes.drain(PAUSED),
        intakes.reopen(PAUSED),
        intakes.inconclusive(PAUSED, NOW),
    ]
    assert {intake.version for intake in moves} == {PAUSED.version + 1}
