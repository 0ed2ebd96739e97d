"""What the fakes do that no adapter does: they fail where a test says, they lag, and they can be looked into."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from detag.domain.intake import Intake
from detag.domain.job import Job, Reservation, State, Upload, new
from detag.domain.metrics import Metric
from detag.domain.reasons import Reason
from detag.ports.clock_fake import EPOCH, FakeClock
from detag.ports.errors import Conflict, Transient
from detag.ports.events_fake import FakeEvents
from detag.ports.items import LASTING_SECONDS
from detag.ports.jobs import BudgetLost, LimitReached
from detag.ports.jobs_fake import FakeJobStore, Write
from detag.ports.queue_fake import FakeQueue
from detag.ports.secrets_fake import FakeCallbackSecrets
from detag.ports.telemetry_fake import FakeTelemetry, Line

DAY = "2026-11-23"
EVENT = json.loads((Path(__file__).parents[3] / "events" / "photo-delivered.json").read_text(encoding="utf-8"))
RESERVED = Reservation(DAY, Decimal("0.14"))


class Failing:
    """An effect that fails at the n-th call of a name, before or after it happens; it also keeps the names."""

    def __init__(self, name: str = "", when: str = "before", nth: int = 1) -> None:
        self.name, self.when, self.left = name, when, nth
        self.names: list[str] = []

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self.names.append(name)
        hit = False
        if name == self.name:
            self.left -= 1
            hit = self.left == 0
        if hit and self.when == "before":
            raise Transient(name)
        yield
        if hit and self.when == "after":
            raise Transient(name)


def job_of(number: int = 0) -> Job:
    return new(Upload("photos", f"{number}.jpg", f"v{number}", "01", "e", 1, EPOCH), EPOCH)


def moved(job: Job, **changes: object) -> Job:
    return replace(job, version=job.version + 1, **changes)  # type: ignore[arg-type]


STORE_CALLS: dict[str, Callable[[FakeJobStore], object]] = {
    "get": lambda store: store.get(job_of().job_id),
    "save": lambda store: store.save(job_of(), moved(job_of(), reservation=RESERVED), limit=Decimal(10)),
    "raise_newest_upload": lambda store: store.raise_newest_upload("photos", "a.jpg", "01"),
    "spent": lambda store: store.spent(DAY),
    "open_day": lambda store: store.open_day("2026-11-24"),
    "charged": lambda store: store.charged("run_1"),
    "charge": lambda store: store.charge("run_1", None, RESERVED),
    "intake": lambda store: store.intake(),
    "save_intake": lambda store: store.save_intake(Intake(), Intake(reason=Reason.PAUSED, version=1)),
    "override": lambda store: store.override(),
    "due": lambda store: store.due(EPOCH, 10),
    "closed": lambda store: store.closed(State.FAILED, "2026-11-23", 10),
    "waiting_for_intake": lambda store: store.waiting_for_intake(EPOCH, 10),
    "counts": lambda store: store.counts(DAY),
}
CHANGES = ("save", "raise_newest_upload", "open_day", "charge", "save_intake")


def everything(store: FakeJobStore) -> tuple[object, ...]:
    kept = (store.jobs, store.money, store.charges, store.newest_uploads)
    return *(dict(one) for one in kept), set(store.open_days), list(store.writes), store._intake


def opened(effect: Failing) -> FakeJobStore:
    store = FakeJobStore(FakeClock(), effect)
    store.open_day(DAY)
    effect.names.clear()
    return store


@pytest.mark.parametrize("method", STORE_CALLS)
def test_every_call_of_the_job_store_goes_through_its_effect(method: str) -> None:
    effect = Failing()
    store = opened(effect)
    STORE_CALLS[method](store)
    assert effect.names == [f"jobs.{method}"]


@pytest.mark.parametrize("method", STORE_CALLS)
def test_a_call_that_fails_before_it_happens_changes_nothing(method: str) -> None:
    store = opened(Failing(f"jobs.{method}", nth=2 if method == "open_day" else 1))
    before = everything(store)
    with pytest.raises(Transient):
        STORE_CALLS[method](store)
    assert everything(store) == before


@pytest.mark.parametrize("method", CHANGES)
def test_a_call_that_fails_afterwards_has_changed_something(method: str) -> None:
    store = opened(Failing(f"jobs.{method}", "after", nth=2 if method == "open_day" else 1))
    before = everything(store)
    with pytest.raises(Transient):
        STORE_CALLS[method](store)
    assert everything(store) != before


def test_a_conflict_is_raised_before_a_failure_afterwards() -> None:
    store = opened(Failing("jobs.save", "after", nth=2))
    store.save(job_of(), moved(job_of()))
    with pytest.raises(Conflict):
        store.save(job_of(), moved(job_of()))


def test_no_thread_comes_between_the_condition_and_the_write() -> None:
    class Slow(dict[str, Job]):
        def get(self, key: str, default: object = None) -> Job | None:  # type: ignore[override]
            found = super().get(key)
            time.sleep(0.01)
            return found

    def save(worker: int) -> bool:
        try:
            store.save(job_of(), moved(job_of(), detail=str(worker)))
        except Conflict:
            return False
        return True

    store = FakeJobStore(FakeClock())
    store.jobs = Slow()
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(save, range(4))) == 1


def test_an_index_that_lags_shows_the_table_as_it_was() -> None:
    clock = FakeClock()
    store = FakeJobStore(clock, lag=10)
    job = moved(job_of())
    store.save(job_of(), job)
    assert (store.due(EPOCH + 99, 9), dict(store.counts(DAY).open)) == ([], {})
    clock.advance(10)
    assert (store.due(EPOCH + 99, 9), dict(store.counts(DAY).open)) == ([job.job_id], {"waiting/ready": 1})
    store.save(job, moved(job, reason=Reason.PAUSED))
    assert (store.due(EPOCH + 99, 9), store.waiting_for_intake(EPOCH + 99, 9)) == ([job.job_id], [])
    found = store.get(job.job_id)
    assert found is not None
    assert found.reason is Reason.PAUSED
    clock.advance(10)
    assert (store.due(EPOCH + 99, 9), store.waiting_for_intake(EPOCH + 99, 9)) == ([], [job.job_id])


def test_a_longer_lag_stops_an_index_and_does_not_turn_it_back() -> None:
    clock = FakeClock()
    store = FakeJobStore(clock)
    job = moved(job_of())
    store.save(job_of(), job)
    assert store.due(EPOCH, 9) == [job.job_id]
    store.lag = 10
    assert store.due(EPOCH, 9) == [job.job_id]
    store.save(job, moved(job, due_at=EPOCH + 60))
    assert store.due(EPOCH, 9) == [job.job_id]
    store.lag = 0
    assert store.due(EPOCH, 9) == []


def test_the_job_store_shows_everything_that_was_written() -> None:
    clock = FakeClock()
    store = opened(Failing())
    store._clock = clock
    first = moved(job_of(), reservation=RESERVED)
    store.save(job_of(), first)
    clock.advance(5)
    second = moved(first, state=State.SUBMITTED, reason=None)
    store.save(first, second)
    store.charge("run_9", None, RESERVED)
    assert store.writes == [Write(EPOCH, None, first), Write(EPOCH + 5, first, second)]
    assert list(store.jobs.values()) == [second]
    assert store.charges == {"run_9": RESERVED}
    assert store.money == {DAY: 2 * RESERVED.usd}


def test_a_days_budget_is_deleted_once_it_has_expired() -> None:
    """Whether the day was opened or only charged, and no earlier; it cannot be opened again."""
    clock = FakeClock()
    store = FakeJobStore(clock)
    store.open_day(DAY)
    store.charge("run_9", None, Reservation("2026-11-22", RESERVED.usd))
    clock.advance(LASTING_SECONDS - 1)
    store.expire()
    assert (store.spent(DAY), store.money) == (Decimal(0), {"2026-11-22": RESERVED.usd})
    clock.advance(1)
    store.expire()
    assert (store.spent(DAY), store.money) == (None, {})
    with pytest.raises(BudgetLost):
        store.open_day(DAY)


def test_what_was_refused_is_not_shown_as_written() -> None:
    store = opened(Failing())
    with pytest.raises(LimitReached):
        store.save(job_of(), moved(job_of(), reservation=RESERVED), limit=Decimal("0.13"))
    assert (store.writes, store.jobs) == ([], {})


def test_a_queue_that_fails_halfway_keeps_the_batches_before() -> None:
    effect = Failing("queue.uploads.send", "before", nth=2)
    queue = FakeQueue("uploads", effect)
    with pytest.raises(Transient):
        queue.send([{"n": number} for number in range(25)])
    assert [message["n"] for message in queue.sent] == list(range(10))


def test_a_queue_that_fails_afterwards_has_kept_the_batch() -> None:
    queue = FakeQueue("uploads", Failing("queue.uploads.send", "after"))
    with pytest.raises(Transient):
        queue.send([{"n": number} for number in range(25)])
    assert len(queue.sent) == 10


def test_what_is_sent_is_a_copy_of_plain_json() -> None:
    queue, events = FakeQueue(), FakeEvents()
    message, detail = {"urls": ["a"]}, EVENT["detail"] | {"outputs": ["a"]}
    queue.send([message])
    events.publish("Photo Delivered", detail)
    message["urls"].append("b")
    detail["outputs"].append("b")
    assert queue.sent == [{"urls": ["a"]}]
    assert [sent["outputs"] for _, sent in events.published] == [["a"]]
    with pytest.raises(TypeError):
        queue.send([{"urls": {"a"}}])
    with pytest.raises(TypeError):
        events.publish("Photo Delivered", {"urls": {"a"}})


@pytest.mark.parametrize(("when", "kept"), [("before", 0), ("after", 1)])
def test_the_event_bus_fails_before_or_after(when: str, kept: int) -> None:
    events = FakeEvents(Failing("events.publish", when))
    with pytest.raises(Transient):
        events.publish("Photo Delivered", EVENT["detail"])
    assert len(events.published) == kept


def test_secrets_can_fail_to_be_read() -> None:
    secrets = FakeCallbackSecrets("whsec_1", effect=Failing("secrets.read"))
    with pytest.raises(Transient):
        secrets.read()
    assert secrets.read() == (b"whsec_1",)


def test_telemetry_can_be_looked_into() -> None:
    effect = Failing()
    telemetry = FakeTelemetry(effect)
    telemetry.count(Metric.SUBMITTED, 2)
    telemetry.info("sent", job_id="1f3a")
    telemetry.warning("odd")
    assert telemetry.counts == {"Submitted": 2}
    assert telemetry.lines == [Line("info", "sent", {"job_id": "1f3a"}), Line("warning", "odd")]
    assert effect.names == ["telemetry.count", "telemetry.info", "telemetry.warning"]
