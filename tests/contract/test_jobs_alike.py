"""The fake of the job store and DynamoDB give the same answers to the same calls, whatever these are."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from detag.adapters.dynamodb import DynamoJobStore
from detag.domain.intake import Intake
from detag.domain.job import CLOSED_ORDER, Job, Reservation, State, Upload, new
from detag.domain.reasons import Reason
from detag.ports.clock_fake import EPOCH, FakeClock
from detag.ports.errors import Conflict
from detag.ports.jobs import BudgetLost, Counts, DayNotOpen, JobStore, LimitReached
from detag.ports.jobs_fake import FakeJobStore
from tests.emulator import Aws

DAYS = ("2026-11-23", "2026-11-24", "2026-11-25")
LIMITS = (Decimal(0), Decimal("0.42"), Decimal(10))

Call = Callable[[JobStore], object]


@dataclass
class Workload:
    """Calls drawn at random. Jobs and intakes are remembered as they were meant to be saved, so that many are stale."""

    chance: random.Random
    jobs: list[Job] = field(default_factory=list)
    intakes: list[Intake] = field(default_factory=lambda: [Intake()])
    charges: dict[str, list[Reservation]] = field(default_factory=dict)

    def call(self) -> Call:
        draw = self.chance.choices(
            (self.save, self.open_day, self.charge, self.newest_upload, self.intake, self.look),
            (12, 2, 2, 1, 1, 2),
        )[0]
        return draw()

    def save(self) -> Call:
        number = self.chance.randrange(8)
        upload = Upload("photos", f"{number}.jpg", f"v{number}", "01", "e", 1, EPOCH - number)
        known = [job for job in self.jobs if job.upload == upload]
        before = self.chance.choice(known[-2:]) if known else new(upload, EPOCH)
        after = self.moved(before)
        limit = self.chance.choice((None, *LIMITS))
        self.jobs.append(after)
        return lambda store: store.save(before, after, limit=limit)

    def moved(self, job: Job) -> Job:
        state = self.chance.choice(list(State))
        reason = (
            self.chance.choice((Reason.READY, Reason.PAUSED, Reason.UNCONFIRMED)) if state is State.WAITING else None
        )
        closed = state in CLOSED_ORDER
        reservation = self.chance.choice((None, job.reservation, self.reservation()))
        return replace(
            job,
            version=job.version + 1,
            state=state,
            reason=reason,
            due_at=None if closed and self.chance.random() < 0.8 else EPOCH + self.chance.uniform(0, 60),
            closed_at=EPOCH + self.chance.uniform(0, 3 * 86_400) if closed else None,
            reservation=reservation,
        )

    def reservation(self) -> Reservation:
        return Reservation(self.chance.choice(DAYS), Decimal(self.chance.choice(("0.14", "0.14", "0.28", "0.1375"))))

    def open_day(self) -> Call:
        day = self.chance.choice(DAYS)
        return lambda store: store.open_day(day)

    def charge(self) -> Call:
        run_id, reservation = f"run_{self.chance.randrange(10)}", self.reservation()
        before = self.chance.choice((None, *self.charges.get(run_id, ())[-2:]))
        self.charges.setdefault(run_id, []).append(reservation)
        return lambda store: store.charge(run_id, before, reservation)

    def newest_upload(self) -> Call:
        key, sequencer = f"{self.chance.randrange(3)}.jpg", f"{self.chance.randrange(64):x}"
        return lambda store: store.raise_newest_upload("photos", key, sequencer)

    def intake(self) -> Call:
        before = self.chance.choice(self.intakes[-2:])
        after = replace(before, reason=self.chance.choice((None, Reason.PAUSED)), version=before.version + 1)
        self.intakes.append(after)
        return lambda store: store.save_intake(before, after)

    def look(self) -> Call:
        day, now, limit = self.chance.choice(DAYS), EPOCH + self.chance.uniform(0, 60), self.chance.randrange(10)
        return lambda store: (store.due(now, limit), store.waiting_for_intake(now, limit), counted(store.counts(day)))


def counted(counts: Counts) -> tuple[dict[str, int], dict[str, int]]:
    return dict(counts.open), dict(counts.closed)


def answer(store: JobStore, call: Call) -> object:
    try:
        return call(store)
    except (Conflict, BudgetLost, DayNotOpen, LimitReached) as error:
        return type(error)


def whole(store: JobStore, workload: Workload) -> tuple[Any, ...]:
    """Everything that a store can show."""
    found = [store.get(job_id) for job_id in sorted({job.job_id for job in workload.jobs})]
    spent = [store.spent(day) for day in DAYS]
    charged = [store.charged(f"run_{number}") for number in range(10)]
    return found, spent, charged, store.intake(), [counted(store.counts(day)) for day in DAYS]


@pytest.mark.parametrize("seed", range(4))
def test_the_fake_and_dynamodb_answer_alike(aws: Aws, name: str, job_table: dict[str, Any], seed: int) -> None:
    client = aws.client("dynamodb")
    client.create_table(TableName=name, **job_table)
    real, fake = DynamoJobStore(client, name, FakeClock()), FakeJobStore(FakeClock())
    workload, answers = Workload(random.Random(seed)), []
    for _ in range(250):
        call = workload.call()
        said = answer(real, call)
        assert said == answer(fake, call)
        answers.append(said)
    assert whole(real, workload) == whole(fake, workload)
    assert {Conflict, DayNotOpen, LimitReached, None} <= {said for said in answers if not isinstance(said, tuple)}
