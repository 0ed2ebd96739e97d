"""detag's services over the fakes, without a simulation around them: each test takes the steps itself."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from detag import app
from detag.domain.job import Job, State
from detag.ports.clock_fake import FakeClock
from detag.ports.events_fake import FakeEvents
from detag.ports.jobs_fake import FakeJobStore
from detag.ports.outputs_fake import FakeFetcher
from detag.ports.photos_fake import FakePhotoStore
from detag.ports.queue_fake import FakeQueue
from detag.ports.runs_fake import Ending, FakeRun, FakeRuns, Fault, tiny_image
from detag.ports.stacks_fake import FakeStacks
from detag.ports.telemetry_fake import FakeTelemetry
from detag.settings import DeliverSettings, ReconcileSettings, SubmitSettings
from tests.environment import settings

PRICE = Decimal("0.14")


def of(kind: type[Any], places: Mapping[str, str]) -> dict[str, str]:
    """Those of some settings that a function has."""
    return {name: text for name, text in places.items() if name in kind.__dataclass_fields__}


class Harness:
    """Everything, with one photo store for both buckets. `broken` maps the name of an effect to what it raises;
    `deployed` is what `deploy` takes.
    """

    def __init__(self, **deployed: Any) -> None:
        self.broken: dict[str, Exception] = {}
        self.calls: list[str] = []
        self.clock = FakeClock()
        self.jobs = FakeJobStore(self.clock, self._effect)
        self.photos = FakePhotoStore(self.clock, "out", self._effect)
        self.events = FakeEvents(self._effect)
        self.telemetry = FakeTelemetry()
        self.endings: list[Ending] = []
        self.faults: list[Fault | None] = []
        self.runs = FakeRuns(self.photos, self.clock, self._effect, ending=self._ending, fault=self._fault)
        self.uploads, self.results = FakeQueue("uploads", self._effect), FakeQueue("results", self._effect)
        self.deploy(**deployed)

    def deploy(
        self,
        *,
        limit: Decimal | None = None,
        paused: bool = False,
        stacks: FakeStacks | None = None,
        places: Mapping[str, str] = MappingProxyType({}),
        **changes: Any,
    ) -> None:
        """Make all functions anew, with these settings: what they remember is lost, what they stored is there.

        `places`: settings of buckets and names, for all functions that have them; `changes`: others of `submit`.
        """
        self.photos.output_prefix = places.get("output_prefix", "")
        common: Any = {"jobs": self.jobs, "runs": self.runs, "clock": self.clock, "telemetry": self.telemetry}
        ends: Any = {"photos": self.photos, "events": self.events, "uniform": self._uniform}
        deployed = {"daily_spend_limit_usd": limit}
        submit = settings(
            SubmitSettings, **{"max_image_megabytes": 1, "paused": paused} | deployed | dict(places) | changes
        )
        self.submit = app.submit(submit, **common, **ends, stacks=stacks)
        fetcher = FakeFetcher(self.runs.read_output_url, self._effect)
        self.deliver = app.deliver(
            settings(DeliverSettings, **deployed | of(DeliverSettings, places)), **common, **ends, fetcher=fetcher
        )
        reconcile = settings(ReconcileSettings, **deployed | {"paused": paused} | of(ReconcileSettings, places))
        self.reconcile = app.reconcile(
            reconcile,
            **common,
            listing=self.photos,
            uploads=self.uploads,
            results=self.results,
            events=self.events,
            stacks=stacks,
        )

    def _effect(self, name: str) -> AbstractContextManager[None]:
        self.calls.append(name)
        if name in self.broken:
            raise self.broken[name]
        return nullcontext()

    @staticmethod
    def _uniform(low: float, high: float) -> float:
        """Chance at its highest: every wait is as long as it may be."""
        return high if high > 16 else low

    def _ending(self, _request: Mapping[str, Any]) -> Ending:
        return self.endings.pop(0) if self.endings else Ending()

    def _fault(self, operation: str) -> Fault | None:
        return self.faults.pop(0) if self.faults and operation == "create" else None

    # What happens

    def upload(self, key: str = "shoe.jpg", data: bytes | None = None, **metadata: str) -> dict[str, Any]:
        """An event of a photo that was just uploaded."""
        note = f"{key}{len(self.photos.puts)}{self.clock.time}".encode()
        return self.photos.upload("in", key, tiny_image("image/jpeg", note) if data is None else data, metadata)

    def send(self, message: Mapping[str, Any], seconds: float = 30.0) -> Job:
        """`submit` handles a message; the job after it."""
        self.submit.handle(message, self.clock.monotonic() + seconds)
        return self.job

    def clean(self, key: str, data: bytes) -> Job:
        """A photo is uploaded, and delivered: by a run that succeeds, or as a copy."""
        self.wait(1.0)
        self.submit.handle(self.upload(key, data), self.clock.monotonic() + 30.0)
        self.wait(100.0)
        job = list(self.jobs.jobs.values())[-1]
        if job.state is State.SUBMITTED:
            self.give({"job_id": job.job_id, "run_id": job.run_id})
        arrived = self.jobs.jobs[job.job_id]
        assert arrived.state is State.DELIVERED
        return arrived

    def send_to(self, job: Job) -> None:
        """`submit` handles what `reconcile` sends about a job."""
        self.submit.handle({"job_id": job.job_id}, self.clock.monotonic() + 30.0)

    def arrive(self, run: FakeRun | None = None, **changes: Any) -> Job:
        """`deliver` handles what `reconcile` would send about a run; the job after it."""
        run_id = run.run_id if run else self.job.run_id
        self.give({"job_id": self.job.job_id, "run_id": run_id} | changes)
        return self.job

    def give(self, message: Mapping[str, Any], seconds: float = 120.0) -> None:
        """`deliver` handles a message."""
        self.deliver.handle(message, self.clock.monotonic() + seconds)

    def wait(self, seconds: float) -> None:
        """Time passes, at Runflow too."""
        self.clock.advance(seconds)
        self.runs.tick()

    def sweep(self) -> dict[str, int]:
        """One minute's reconciliation."""
        return self.reconcile.sweep(self.clock.monotonic() + 55.0)

    @property
    def job(self) -> Job:
        """The one job."""
        (job,) = self.jobs.jobs.values()
        return job

    @property
    def run(self) -> FakeRun:
        """The newest run."""
        return list(self.runs.runs.values())[-1]


def submitted(*endings: Ending, key: str = "shoe.jpg", **changes: Any) -> Harness:
    """A harness with one photo whose run was created."""
    harness = Harness(**changes)
    harness.endings = list(endings)
    assert harness.send(harness.upload(key)).state is State.SUBMITTED
    return harness
