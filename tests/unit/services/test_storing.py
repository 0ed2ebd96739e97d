"""Storing outputs of a photo: the newest wins, and nothing is removed but what is surely replaced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from detag import app
from detag.domain.decisions import Busy, Fetched, NotStored, Overtaken, Partway, Stored
from detag.domain.job import Job, State, Upload, new
from detag.domain.naming import SEQUENCER, SOURCE_KEY, Naming
from detag.domain.reasons import Reason
from detag.ports.clock_fake import EPOCH, FakeClock
from detag.ports.errors import Transient
from detag.ports.jobs import Delivered
from detag.ports.jobs_fake import FakeJobStore
from detag.ports.photos_fake import FakePhotoStore
from detag.ports.photos_fake import Stored as Object
from detag.ports.runs_fake import Ending, tiny_image
from detag.ports.telemetry_fake import FakeTelemetry
from tests.unit.services.harness import Harness


class Bench:
    """An output bucket in which photo `a.jpg` has `old.jpg` from an older version."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.broken: dict[str, Exception] = {}
        self.jobs, self.photos = FakeJobStore(self.clock), FakePhotoStore(self.clock, "out", self._effect)
        self.calls = 0
        self.put("old.jpg", "20")
        self.delivered(Delivered("20", ("old.jpg",)))

    @contextmanager
    def _effect(self, name: str) -> Iterator[None]:
        if name in self.broken:
            raise self.broken[name]
        yield

    def looked_for(self) -> bool:
        """Whether the next worker looks for outputs that nobody noted."""
        return self.jobs.begin_delivery("in", "a.jpg", "the next", self.clock.now() + 60.0).unfinished

    def put(self, key: str, sequencer: str, source: str = "in/a.jpg", version: str | None = "v1") -> None:
        metadata = {SOURCE_KEY: source, SEQUENCER: sequencer}
        self.photos.outputs[key] = Object(b"1", "e", metadata, "image/jpeg", version_id=version)

    def delivered(self, known: Delivered) -> None:
        self.jobs.delivered["in", "a.jpg"] = known

    def store(self, fetched: Fetched, sequencer: str = "30") -> Fetched:
        """What is told after outputs of `a.jpg` were stored, so far as they were, of the upload with that sequencer."""

        def fetch() -> Fetched:
            self.calls += 1
            return fetched

        def uniform(low: float, high: float) -> float:
            return low

        records = app._records(Naming(), self.jobs, self.photos, self.clock, uniform)
        storing = app._storing(Naming(), self.jobs, self.photos, records, self.clock, FakeTelemetry(), uniform)
        return storing.alone(job(sequencer), fetch, self.clock.monotonic() + 60.0)


def job(sequencer: str) -> Job:
    return new(Upload("in", "a.jpg", f"v{sequencer}", sequencer, "e7a6", 1_000, EPOCH), EPOCH)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_a_newer_one_replaces_is_removed(bench: Bench) -> None:
    assert bench.store(Stored(("new.jpg",), "")) == Stored(("new.jpg",), "")
    assert "old.jpg" not in bench.photos.outputs
    assert bench.jobs.delivered["in", "a.jpg"] == Delivered("30", ("new.jpg",))


def test_nothing_is_stored_over_a_newer_one(bench: Bench) -> None:
    before = bench.jobs.delivered["in", "a.jpg"]
    assert bench.store(Stored(("late.jpg",), ""), sequencer="10") == Overtaken()
    assert bench.calls == 0
    assert (bench.jobs.delivered["in", "a.jpg"], "old.jpg" in bench.photos.outputs) == (before, True)


def test_the_same_version_is_stored_again(bench: Bench) -> None:
    """A result that comes late, or a new run that was asked for."""
    assert bench.store(Stored(("old.jpg",), ""), sequencer="20") == Stored(("old.jpg",), "")
    assert "old.jpg" in bench.photos.outputs


@pytest.mark.parametrize("other", ["in/b.jpg", "by hand"])
def test_what_is_somebody_elses_by_now_stays(bench: Bench, other: str) -> None:
    bench.put("old.jpg", "20", source=other)
    assert bench.store(Stored(("new.jpg",), "")) == Stored(("new.jpg",), "", leftovers=("old.jpg",))
    assert "old.jpg" in bench.photos.outputs


def test_a_newer_output_under_an_old_name_stays(bench: Bench) -> None:
    """Its worker stored it, and could not say so before the time for that was over."""
    bench.put("old.jpg", "40")
    assert bench.store(Stored(("new.jpg",), "")) == Stored(("new.jpg",), "", leftovers=("old.jpg",))
    assert "old.jpg" in bench.photos.outputs


def test_what_could_not_be_brought_back_stays(bench: Bench) -> None:
    bench.put("old.jpg", "20", version=None)
    stored = bench.store(Stored(("new.jpg",), ""))
    assert stored == Stored(("new.jpg",), "", leftovers=("old.jpg",))
    assert "old.jpg" in bench.photos.outputs
    assert bench.jobs.delivered["in", "a.jpg"].keys == ("new.jpg", "old.jpg"), "the next one looks at it again"


def test_what_may_not_be_removed_stays(bench: Bench) -> None:
    bench.photos.denied.add((bench.photos.output_bucket, "old.jpg"))
    assert bench.store(Stored(("new.jpg",), "")) == Stored(("new.jpg",), "", leftovers=("old.jpg",))


def test_what_is_gone_already_is_no_leftover(bench: Bench) -> None:
    del bench.photos.outputs["old.jpg"]
    assert bench.store(Stored(("new.jpg",), "")) == Stored(("new.jpg",), "")


@pytest.mark.parametrize("fetched", [Partway(("new.jpg", "")), NotStored("broken off", ("new.jpg", ""))])
def test_a_part_is_noted_and_removes_nothing(bench: Bench, fetched: Fetched) -> None:
    assert bench.store(fetched) == fetched
    assert bench.jobs.delivered["in", "a.jpg"] == Delivered("20", ("old.jpg", "new.jpg"))
    assert "old.jpg" in bench.photos.outputs


def test_what_was_stored_before_a_newer_was_seen_is_removed(bench: Bench) -> None:
    """Of an older version: beside the newest, under another name, and nobody was told."""
    bench.put("beside.jpg", "10")
    bench.delivered(Delivered("10", ("old.jpg",)))
    assert bench.store(Overtaken(("beside.jpg", "", "old.jpg")), sequencer="10") == Overtaken(
        ("beside.jpg", "", "old.jpg")
    )
    assert [*bench.photos.outputs] == ["old.jpg"]
    assert bench.jobs.delivered["in", "a.jpg"] == Delivered("10", ("old.jpg",))


def test_what_stays_beside_the_newest_is_noted(bench: Bench) -> None:
    bench.put("beside.jpg", "10", version=None)
    bench.delivered(Delivered("10", ("old.jpg",)))
    bench.store(Overtaken(("beside.jpg",)), sequencer="10")
    assert bench.jobs.delivered["in", "a.jpg"] == Delivered("10", ("old.jpg", "beside.jpg"))


def test_what_may_lie_beside_the_newest_is_looked_for(bench: Bench) -> None:
    bench.delivered(Delivered("10", ("old.jpg",)))
    bench.put("beside.jpg", "10")
    bench.broken["photos.existing"] = Transient("503")
    bench.store(Overtaken(("beside.jpg",)), sequencer="10")
    assert bench.looked_for()


def test_what_is_not_delivered_is_looked_for_by_the_next(bench: Bench) -> None:
    """A callback's first URL gave an output, and its second leads nowhere safe."""
    assert bench.store(Stored((), "output 2: not https")) == Stored((), "output 2: not https")
    assert bench.jobs.delivered["in", "a.jpg"] == Delivered("20", ("old.jpg",))
    assert bench.looked_for()


def test_only_one_worker_stores_at_a_time(bench: Bench) -> None:
    bench.jobs.begin_delivery("in", "a.jpg", "another", bench.clock.now() + 60.0)
    assert bench.store(Stored(("new.jpg",), "")) == Busy()
    assert bench.calls == 0


def test_what_is_stored_and_cannot_be_finished_is_given_up_once() -> None:
    """The output of an older photo, under another name, can never be removed; once it can, the photo is delivered."""
    harness = Harness()
    harness.endings = [Ending(content_type="image/webp"), Ending(content_type="image/jpeg")]
    harness.send(harness.upload())
    harness.wait(60.0)
    harness.arrive()
    harness.submit.handle(harness.upload(data=tiny_image("image/jpeg", b"two")), harness.clock.monotonic() + 30.0)
    job_id = list(harness.jobs.jobs)[-1]
    harness.broken["photos.remove"] = Transient("DeleteObject: 409")
    for hour in range(24 * 6):
        if hour == 24 * 5:
            assert harness.jobs.jobs[job_id].reason is Reason.UNDELIVERABLE
            harness.broken.clear()
        harness.wait(3_600.0)
        harness.sweep()
        messages, harness.results.sent = harness.results.sent, []
        for message in messages:
            with suppress(Transient):
                harness.give(message)
    assert harness.jobs.jobs[job_id].state is State.DELIVERED
