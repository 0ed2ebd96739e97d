"""A photo that meets a known picture asks the output bucket as little as it can, however many names are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from detag.domain.job import Job, State
from detag.domain.naming import JOB_ID, SEQUENCER, SOURCE_KEY
from detag.domain.picture import MAX_NAMES, Result
from detag.domain.reasons import Reason
from detag.ports.errors import Transient
from detag.ports.photos import Denied, Existing, Missing
from detag.ports.runs_fake import Ending, Fault, tiny_image
from detag.services.reuse import SPARE_SECONDS
from tests.environment import ENVIRON
from tests.unit.services.harness import Harness

PAGE = (Path(__file__).parents[3] / "docs/pictures.md").read_text(encoding="utf-8")
PHOTO = tiny_image("image/jpeg", b"a shoe")
MANY = [1, 2, 5, MAX_NAMES]


class Known(Harness):
    """The outputs of one picture under so many names. `asked` counts the requests about them from then on."""

    def __init__(self, names: int) -> None:
        super().__init__()
        self.send(self.upload("0.jpg", PHOTO))
        self.wait(60.0)
        self.arrive()
        for number in range(1, names):
            self.drop(f"{number}.jpg")
        (picture,) = self.jobs.pictures.values()
        self.keys = [delivery.outputs[0].key for delivery in picture.deliveries]
        assert len(self.keys) == names
        self.calls.clear()
        self.asked: Counter[str] = Counter()
        for name in ("existing", "tags", "copy_output"):
            setattr(self.photos, name, self._counted(name, getattr(self.photos, name)))

    def _counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any) -> Any:
            about = given if name != "copy_output" else given[:2]
            self.asked[f"{name} {about}"] += 1
            return real(*given)

        return counted

    def drop(self, key: str, seconds: float = 30.0) -> Job:
        """Upload the same photo; its job once it was handled."""
        before = set(self.jobs.jobs)
        self.submit.handle(self.upload(key, PHOTO), self.clock.monotonic() + seconds)
        (job_id,) = set(self.jobs.jobs) - before
        return self.jobs.jobs[job_id]

    @property
    def requests(self) -> int:
        return self.asked.total()


def archive(known: Known) -> None:
    """None can be copied, which only the attempt shows."""
    known.photos.archived |= {("out", key) for key in known.keys}


def remove(known: Known) -> None:
    """A person deleted them all: their versions are left."""
    for key in known.keys:
        del known.photos.outputs[key]


def lose(known: Known) -> None:
    """Each is gone as soon as it is copied."""

    def copy_output(source: Any, key: str, metadata: Mapping[str, str], replaces: Existing | None) -> Existing:
        known.asked[f"copy_output {source, key}"] += 1
        raise Missing("NoSuchKey")

    known.photos.copy_output = copy_output  # type: ignore[method-assign]


def replace_and_lose(known: Known) -> None:
    """Newer outputs of the same photos are at their names; each version of before is gone as soon as it is copied."""
    for key in known.keys:
        shown = known.photos.outputs[key]
        metadata = {**shown.metadata, JOB_ID: "newer"}
        known.photos.outputs[key] = replace(shown, etag="newer", version_id="newer", metadata=metadata)
    lose(known)


def store_anew_and_lose(known: Known) -> None:
    """Each was copied onto itself."""
    for key in known.keys:
        known.photos.outputs[key] = replace(known.photos.outputs[key], version_id="newer")
    lose(known)


@pytest.mark.parametrize("names", MANY)
@pytest.mark.parametrize(
    ("spoil", "of_each"),
    [(archive, 4), (remove, 3), (lose, 6), (replace_and_lose, 8), (store_anew_and_lose, 10)],
    ids=["archived", "deleted", "lost", "replaced and lost", "stored anew and lost"],
)
def test_many_names_ask_in_proportion(names: int, spoil: Callable[[Known], None], of_each: int) -> None:
    """What is there, whether it was rejected, and the attempt; one of them all is of the photo's own name."""
    known = Known(names)
    spoil(known)
    found = known.drop("another.jpg")
    assert (found.state, found.reused_from) == (State.SUBMITTED, None)
    assert of_each * names <= known.requests <= of_each * names + 1
    assert "at\nmost ten requests for each output, and one for each name that its copy may get" in PAGE


def test_a_name_is_looked_at_once() -> None:
    """But for the photo's own, at each attempt to copy something there."""
    known = Known(MAX_NAMES)
    archive(known)
    known.drop("another.jpg")
    own = [asked for asked in known.asked if "another.jpg" in asked and asked.startswith("existing")]
    assert [known.asked.pop(asked) for asked in own] == [MAX_NAMES]
    assert set(known.asked.values()) == {1}


def test_whose_a_deleted_name_was_is_asked_once() -> None:
    """Of the job table, although it is looked at again for each of the others that cannot be copied."""
    asked = {}
    for deleted in (0, 5):
        known = Known(MAX_NAMES)
        archive(known)
        for key in known.keys[:deleted]:
            del known.photos.outputs[key]
        known.drop("another.jpg")
        asked[deleted] = known.calls.count("jobs.delivered_of")
    assert asked[5] == asked[0] + 5


def test_what_changed_at_an_attempt_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was rejected, and then deleted for good, while a copy was made."""
    known = Known(3)
    first, copy = known.keys[0], known.photos.copy_output

    def copy_output(source: Any, *how: Any) -> Existing:
        if source.key == first:
            known.photos.output_tags[source.key, source.version_id] = {"detag-review": "rejected"}
            raise Missing("NoSuchKey")
        return copy(source, *how)

    monkeypatch.setattr(known.photos, "copy_output", copy_output)
    assert known.drop("another.jpg").not_reused == "the earlier result was rejected"


@pytest.mark.parametrize("lost", [True, False])
def test_without_versions_a_lost_key_may_be_anothers(monkeypatch: pytest.MonkeyPatch, lost: bool) -> None:
    """Its tags are then those of what took its place while a copy was made, and speak of nothing else."""
    known = Known(2)
    (picture,) = known.jobs.pictures.values()
    known.photos.keeps_versions = False
    known.photos.outputs |= {key: replace(known.photos.outputs[key], version_id=None) for key in known.keys}
    named = tuple(replace(one, outputs=(replace(one.outputs[0], version_id=None),)) for one in picture.deliveries)
    first = replace(picture.first, source_key="1.jpg", outputs=named[0].outputs, originals=named[1].outputs)
    first = replace(first, older=named[1:])
    known.jobs.pictures[picture.picture_id] = replace(picture, results=(first,))
    copy, lost_key = known.photos.copy_output, known.keys[0]

    def copy_output(source: Any, *how: Any) -> Existing:
        if source.key == lost_key:
            if lost:
                known.photos.outputs[lost_key] = replace(known.photos.outputs[lost_key], etag="another")
            known.photos.output_tags[lost_key, None] = {"detag-review": "rejected"}
            raise Missing("NoSuchKey")
        return copy(source, *how)

    monkeypatch.setattr(known.photos, "copy_output", copy_output)
    found = known.drop("another.jpg")
    assert found.reused_from == (known.keys[1] if lost else None)


def test_a_rejected_copy_speaks_of_its_own_result_alone() -> None:
    """At the photo's own name, under none that is remembered: another run's result is used."""
    known = Known(1)
    (picture,) = known.jobs.pictures.values()
    made, there = picture.first, known.photos.outputs[known.keys[0]]
    mine = replace(there, version_id="mine", metadata={**there.metadata, SOURCE_KEY: "in/another.jpg", SEQUENCER: "0"})
    known.photos.outputs["another.jpg.webp"] = known.photos.older["another.jpg.webp", "mine"] = mine
    known.photos.output_tags["another.jpg.webp", "mine"] = {"detag-review": "rejected"}
    other = replace(there, data=b"other", etag="other", version_id="o")
    known.photos.outputs["9.jpg.webp"] = known.photos.older["9.jpg.webp", "o"] = other
    outputs = (replace(made.outputs[0], key="9.jpg.webp", version_id="o", etag="other", size=5),)
    second = Result(source_key="9.jpg", outputs=outputs, originals=outputs, run_id="run-9")
    known.jobs.pictures[picture.picture_id] = replace(picture, results=(made, second))
    assert known.drop("another.jpg").reused_from == "9.jpg.webp"


def test_tags_that_cannot_be_read_are_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the first of two results was rejected cannot be told, and the second cannot be copied."""
    known = Known(2)
    (picture,) = known.jobs.pictures.values()
    results = tuple(
        Result(source_key=one.source_key, outputs=one.outputs, originals=one.outputs) for one in picture.deliveries
    )
    known.jobs.pictures[picture.picture_id] = replace(picture, results=results)
    archive(known)
    tags = known.photos.tags

    def denied(key: str, version_id: str | None) -> Mapping[str, str]:
        found = tags(key, version_id)
        if key == known.keys[0]:
            raise Denied("AccessDenied")
        return found

    monkeypatch.setattr(known.photos, "tags", denied)
    assert known.drop("another.jpg").not_reused is not None
    assert {name: times for name, times in known.asked.items() if times > 1} == {}
    assert known.asked.total() == 6


REQUESTS = ("photos.existing", "photos.tags", "photos.copy_output")


def slow(known: Known, seconds: float, names: Collection[str] = REQUESTS) -> None:
    """Each such request about an output takes so long."""
    effect = known.photos._effect

    def taking(name: str) -> AbstractContextManager[None]:
        if name in names:
            known.clock.advance(seconds)
        return effect(name)

    known.photos._effect = taking


def test_a_slow_output_bucket_does_not_kill_the_process() -> None:
    """Nothing is decided before the time is over: the photo comes due again, and may be reused or paid for then."""
    known = Known(MAX_NAMES)
    archive(known)
    slow(known, 1.0)
    begun = known.clock.time
    found = known.drop("another.jpg")
    assert known.clock.time <= begun + 30.0 - SPARE_SECONDS + 3.0
    assert (found.state, found.submission_no) == (State.WAITING, 0)
    assert found.due_at is not None and found.due_at > known.clock.time
    assert len(known.runs.runs) == 1
    known.photos._effect = lambda name: nullcontext()
    known.wait(found.due_at - known.clock.time)
    known.send_to(found)
    assert known.jobs.jobs[found.job_id].state is State.SUBMITTED


@pytest.mark.parametrize(
    ("spoil", "name"), list(zip((remove, lambda known: None, archive), REQUESTS, strict=True)), ids=REQUESTS
)
def test_each_kind_of_request_minds_the_time(spoil: Callable[[Known], None], name: str) -> None:
    """Where no other takes long: none is begun once the time is over."""
    known = Known(MAX_NAMES)
    spoil(known)
    slow(known, 2.0, [name])
    begun = known.clock.time
    assert known.drop("another.jpg").state is State.WAITING
    assert known.clock.time <= begun + 30.0 - SPARE_SECONDS + 2.0


def test_a_copy_is_not_begun_too_late() -> None:
    """Its worker would be killed while no other may store outputs of the photo."""
    known = Known(1)
    slow(known, 10.5)
    assert known.drop("another.jpg").state is State.WAITING
    assert len(known.photos.puts) == 1


def test_an_item_of_another_output_is_no_item() -> None:
    """A picture whose item names an output that was never at its name is paid for as if it were new."""
    known = Known(1)
    ((picture_id, picture),) = known.jobs.pictures.items()
    (output,) = picture.first.outputs
    damaged = replace(picture.first, outputs=(replace(output, etag="0" * 32),), originals=())
    known.jobs.pictures[picture_id] = replace(picture, version=picture.version + 1, results=(damaged,))
    assert known.drop("another.jpg").state is State.SUBMITTED


class TurnedUp(Harness):
    """A submission without an answer is given up, and an equal photo is paid for; then the run of the first turns up,
    whose output cannot be stored yet.
    """

    def __init__(self) -> None:
        super().__init__()
        lifetime = 60.0 * int(ENVIRON["URL_LIFETIME_MINUTES"])
        self.faults = [Fault(effect=True, late=lifetime - 60.0)]
        self.first = self.drop("first.jpg")
        self.wait(lifetime - 290.0)
        self.broken["photos.read_head"] = Transient("S3 is slow")
        self.send_to(self.job_of(self.first))
        assert self.job_of(self.first).reason is Reason.READY
        del self.broken["photos.read_head"]
        self.endings = [Ending(queued=1.0, seconds=1.0, status="failed", code="MODEL_ERROR", cost=Decimal(0))]
        self.second = self.drop("second.jpg")
        self.wait(400.0)
        self.run_id = next(one for one in self.runs.runs if one != self.job_of(self.second).run_id)
        self.broken["photos.put"] = Transient("S3 is slow")
        self.end(self.first, self.run_id)
        assert self.job_of(self.first).run_id == self.run_id

    def job_of(self, job_id: str) -> Job:
        return self.jobs.jobs[job_id]

    def drop(self, key: str) -> str:
        """Upload the same photo; its job's id once it was handled."""
        before = set(self.jobs.jobs)
        self.submit.handle(self.upload(key, PHOTO), self.clock.monotonic() + 30.0)
        (job_id,) = set(self.jobs.jobs) - before
        return job_id

    def end(self, job_id: str, run_id: str | None) -> None:
        with suppress(Transient):
            self.give({"job_id": job_id, "run_id": run_id})


def test_a_run_that_turned_up_pays_for_the_next() -> None:
    """It is paid, though another had the picture when it turned up: once that one has failed, nobody pays again."""
    harness = TurnedUp()
    harness.end(harness.second, harness.job_of(harness.second).run_id)
    assert harness.job_of(harness.second).reason is Reason.RETRY
    third = harness.drop("third.jpg")
    assert harness.job_of(third).reason is Reason.SAME_PICTURE
    del harness.broken["photos.put"]
    harness.wait(600.0)
    harness.end(harness.first, harness.run_id)
    assert harness.job_of(harness.first).state is State.DELIVERED
    for job_id in (harness.second, third):
        harness.wait(600.0)
        harness.send_to(harness.job_of(job_id))
        assert harness.job_of(job_id).state is State.DELIVERED
    assert len(harness.runs.runs) == 2
    assert harness.runs.billed == Decimal("0.14")
