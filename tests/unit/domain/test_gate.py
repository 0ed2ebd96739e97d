"""The gate: who is let through, and when it is asked again."""

from __future__ import annotations

import pytest

from detag.domain import gate as gates
from detag.domain import job as jobs
from detag.domain.gate import MAX_PROBE_SECONDS, PROBE_LEASE_SECONDS, PROBE_SECONDS, Gate
from detag.domain.job import GATE_REASONS, Reason, Upload

NOW = 1_795_426_200.0
NEW = jobs.new(Upload("in", "a.jpg", "v1", "01", "e", 1, NOW), NOW)
HELD = jobs.hold(NEW, Reason.RUNFLOW_DOWN)
RELEASED = jobs.release(HELD, NOW, NOW + 300)
CLOSED = gates.close(Gate(), Reason.RUNFLOW_DOWN, NOW)


def test_an_open_gate_lets_everything_through() -> None:
    assert Gate().lets_through(NEW) and Gate().lets_through(HELD)


def test_a_closed_gate_lets_only_its_probe_through() -> None:
    assert not any(CLOSED.lets_through(job) for job in (NEW, HELD, RELEASED))
    assert gates.probe(CLOSED, RELEASED.job_id, NOW).lets_through(RELEASED)


def test_a_draining_gate_lets_the_line_go_before_newcomers() -> None:
    draining = gates.drain(CLOSED)
    assert draining.lets_through(RELEASED)
    assert not draining.lets_through(NEW)
    assert not draining.lets_through(HELD)


def test_probes_come_less_and_less_often_while_the_cause_lasts() -> None:
    gate, waits = CLOSED, [CLOSED.probe_at - NOW]
    for _ in range(6):
        gate = gates.close(gates.probe(gate, HELD.job_id, NOW), Reason.RUNFLOW_DOWN, NOW)
        waits.append(gate.probe_at - NOW)
    assert waits[:4] == [PROBE_SECONDS, 120, 240, 480]
    assert waits[-1] == MAX_PROBE_SECONDS
    assert gate.since == CLOSED.since


def test_a_probe_that_is_lost_gives_way_to_the_next() -> None:
    assert gates.probe(CLOSED, "x", NOW).probe_at == NOW + PROBE_LEASE_SECONDS


def test_another_cause_starts_anew() -> None:
    gate = gates.close(gates.probe(CLOSED, "x", NOW), Reason.OUT_OF_CREDIT, NOW + 50)
    assert (gate.reason, gate.since, gate.probes) == (Reason.OUT_OF_CREDIT, NOW + 50, 0)


def test_the_spending_limit_is_asked_again_at_midnight() -> None:
    assert gates.close(Gate(), Reason.SPEND_LIMIT, NOW).probe_at == 1_795_478_400.0


@pytest.mark.parametrize("reason", sorted(set(Reason) - GATE_REASONS))
def test_only_a_cause_of_the_whole_intake_closes_the_gate(reason: Reason) -> None:
    with pytest.raises(ValueError, match=reason):
        gates.close(Gate(), reason, NOW)


def test_every_move_is_a_new_revision() -> None:
    moves = [gates.probe(CLOSED, "x", NOW), gates.drain(CLOSED), gates.reopen(CLOSED), gates.inconclusive(CLOSED, NOW)]
    assert {gate.rev for gate in moves} == {CLOSED.rev + 1}
