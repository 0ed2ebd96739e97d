"""What every Runflow does, as far as its contract goes."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, Protocol

import pytest

from detag.adapters.outputs import Guard, SafeFetcher
from detag.adapters.runflow import RunflowRuns
from detag.domain.images import sniff
from detag.domain.outcomes import Accepted, Ambiguous, Outcome, Refused
from detag.domain.runs import Run, RunStatus, create_body
from detag.ports.clock_fake import FakeClock
from detag.ports.errors import Transient
from detag.ports.outputs import Fetcher, OutputUrlExpired
from detag.ports.outputs_fake import FakeFetcher
from detag.ports.photos_fake import FakePhotoStore
from detag.ports.runs import NotConfigured, Runs, Unauthorized
from detag.ports.runs_fake import CANCELLED, FAILED, Ending, FakeRuns, Fault, clean, tiny_image
from tests.mock_runflow import API_KEY, Runflow

JOB = "0123456789abcdef0123456789abcdef"
KEY = "f" * 64


class Side(Protocol):
    """A Runflow, and what happens at it."""

    @property
    def runs(self) -> Runs: ...
    @property
    def fetcher(self) -> Fetcher: ...

    def photo(self, name: str) -> str:
        """A URL at which a photo of this name is, for as long as the test takes."""

    def cleaned(self, name: str) -> bytes:
        """The output of that photo."""

    def dead_url(self) -> str: ...
    def fault(self, on: str, fault: Fault) -> None:
        """What becomes of the next "create", "get" or "page"."""

    def ending(self, ending: Ending) -> None:
        """How the runs made from now on go."""

    def idempotency(self, reading: str) -> None: ...
    def hide_next(self, seconds: float) -> None: ...
    def short_urls(self) -> None: ...
    def spend_all(self) -> None: ...
    def key(self, *, stored: bool = True, good: bool = True) -> None: ...
    def wait_until_ended(self) -> None: ...
    def wait(self, seconds: float) -> None: ...
    def made(self) -> int:
        """How many runs there are."""

    def billed(self) -> Decimal: ...


class FakeSide:
    """The fake, two runs to a page."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.photos = FakePhotoStore(self.clock)
        self.runs = self.fake = FakeRuns(self.photos, self.clock)
        self.fake.habits.page_limit = 2
        self.fetcher = FakeFetcher(self.fake.read_output_url)

    def photo(self, name: str) -> str:
        self.photos.upload("in", f"{name}.png", tiny_image("image/png", name.encode()))
        return self.photos.presign("in", f"{name}.png", None, 3600, "image/png")

    def cleaned(self, name: str) -> bytes:
        return clean(tiny_image("image/png", name.encode()), "image/webp")

    def dead_url(self) -> str:
        self.photos.upload("in", "dead.png", b"")
        url = self.photos.presign("in", "dead.png", None, 1)
        self.clock.advance(1)
        return url

    def fault(self, on: str, fault: Fault) -> None:
        faults = [fault]
        self.fake.fault = lambda operation: faults.pop() if operation == on and faults else None

    def ending(self, ending: Ending) -> None:
        self.fake.ending = lambda request: ending

    def idempotency(self, reading: Any) -> None:
        self.fake.habits.idempotency = reading

    def hide_next(self, seconds: float) -> None:
        self.fake.habits.visible_after = seconds

    def short_urls(self) -> None:
        self.fake.habits.output_url_seconds = 1

    def spend_all(self) -> None:
        self.fake.habits.credit = Decimal(0)

    def key(self, *, stored: bool = True, good: bool = True) -> None:
        self.fake.habits.configured, self.fake.habits.key_good = stored, good

    def wait_until_ended(self) -> None:
        self.clock.advance(60)
        self.fake.tick()

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def made(self) -> int:
        return len(self.fake.runs)

    def billed(self) -> Decimal:
        return self.fake.billed


class StoredKey:
    """An API key that an operator changes behind our back."""

    def __init__(self) -> None:
        self.stored: str | None = API_KEY
        self._kept: str | None = None

    def __call__(self) -> str:
        self._kept = self._kept or self.stored
        if self._kept is None:
            raise NotConfigured("nothing is stored")
        return self._kept

    def forget(self) -> None:
        self._kept = None


class HttpSide:
    """The adapter, two runs to a page, and the mock Runflow."""

    def __init__(self, runflow: Runflow) -> None:
        self.runflow, self._key = runflow, StoredKey()
        tls = ssl.create_default_context()
        self.runs = RunflowRuns(runflow.url, self._key, tls, page_limit=2)
        host, _, port = runflow.url.removeprefix("http://").partition(":")
        self.fetcher = SafeFetcher(tls, Guard((host, int(port))))

    def photo(self, name: str) -> str:
        self.runflow.photos[f"/{name}.png"] = tiny_image("image/png", name.encode())
        return f"{self.runflow.photos_url}/{name}.png"

    def cleaned(self, name: str) -> bytes:
        return tiny_image("image/png", name.encode())

    def dead_url(self) -> str:
        return f"{self.runflow.photos_url}/dead.png"

    def fault(self, on: str, fault: Fault) -> None:
        when = "after" if fault.effect else "before"
        on = {"create": "create_run", "get": "get_run", "page": "list_runs"}[on]
        if fault.status is None:
            self.runflow.fault(on, "drop", when=when)
            return
        body = {"code": fault.code, "message": fault.message, "errors": None}
        headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        self.runflow.fault(on, "status", status=fault.status, when=when, body=body, headers=headers)

    def ending(self, ending: Ending) -> None:
        cost = {"cost": str(ending.cost)}
        if ending.status == "canceled":
            self.runflow.fault("run", "cancel", None, **cost)
        elif ending.status == "partial_succeeded":
            self.runflow.fault("run", "partial", None, **cost)
        elif ending.status == "succeeded" and not ending.images:
            self.runflow.fault("run", "empty", None, **cost)
        elif ending.status != "succeeded":
            said = {"code": ending.code, "message": ending.message, "status_code": ending.status}
            self.runflow.fault("run", "fail", None, **said, **cost)
        self.runflow.behave(images_per_run=max(1, ending.images))

    def idempotency(self, reading: str) -> None:
        self.runflow.behave(idempotency={"cached": "cached_errors"}.get(reading, reading))

    def hide_next(self, seconds: float) -> None:
        self.runflow.fault("run", "hide", seconds=seconds)

    def short_urls(self) -> None:
        self.runflow.behave(output_seconds=1)

    def spend_all(self) -> None:
        self.runflow.balance("0.00")

    def key(self, *, stored: bool = True, good: bool = True) -> None:
        self._key.stored = (API_KEY if good else "rf_live_revoked") if stored else None
        if not stored:
            self._key.forget()
        elif not good:
            self._key._kept = "rf_live_revoked"

    def wait_until_ended(self) -> None:
        self.runflow.wait_until_ended()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def made(self) -> int:
        return int(self.runflow.billing()["runs"])

    def billed(self) -> Decimal:
        return Decimal(self.runflow.billing()["total"])


@pytest.fixture(params=["fake", "runflow"])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    if request.param == "fake":
        yield FakeSide()
        return
    real = HttpSide(request.getfixturevalue("runflow"))
    yield real
    real.runs.close()


def body_of(url: str, number: int = 1) -> str:
    return create_body(
        image_url=url,
        callback_url="http://127.0.0.1:9/callbacks",
        client_ref=f"{JOB}.{number}",
        job_id=JOB,
        key="Größe/a b.jpg",
        aspect_ratio=None,
    )


def create(side: Side, name: str = "shoe", number: int = 1, key: str | None = None) -> Outcome:
    return side.runs.create(body_of(side.photo(name), number), key or f"{number:064x}", 10)


def made(outcome: Outcome) -> str:
    assert isinstance(outcome, Accepted)
    return outcome.run_id


def record(side: Side, run_id: str) -> Run:
    run = side.runs.get(run_id)
    assert run is not None
    return run


def listed(side: Side) -> list[Run]:
    """All runs, page by page."""
    runs: list[Run] = []
    page = side.runs.page()
    runs += page.runs
    while page.next is not None:
        page = side.runs.page(page.next)
        runs += page.runs
    return runs


# A run that is made


def test_a_run_bears_what_was_sent_with_it(side: Side) -> None:
    url = side.photo("shoe")
    run = record(side, made(side.runs.create(body_of(url), KEY, 10)))
    assert (run.client_ref, run.job_id, run.image_url) == (f"{JOB}.1", JOB, url)
    assert run.created_at is not None


def test_a_run_that_ended_well_has_its_output_and_one_bill(side: Side) -> None:
    """A run that ended well has the URL of its photo's output, and was billed once."""
    run_id = made(create(side))
    side.wait_until_ended()
    run = record(side, run_id)
    assert (run.status, run.cost, side.billed()) == (RunStatus.SUCCEEDED, Decimal("0.14"), Decimal("0.14"))
    assert len(run.output_urls) == 1
    with side.fetcher.open(run.output_urls[0]) as download:
        assert download.body.read() == side.cleaned("shoe")


def test_each_run_has_the_output_of_its_own_photo(side: Side) -> None:
    ids = {name: made(create(side, name, number)) for number, name in enumerate(("shoe", "hat", "bag"), 1)}
    side.wait_until_ended()
    for name, run_id in ids.items():
        with side.fetcher.open(record(side, run_id).output_urls[0]) as download:
            assert download.body.read() == side.cleaned(name)
    assert len({side.cleaned(name) for name in ids}) == 3


def test_a_run_may_have_several_outputs(side: Side) -> None:
    side.ending(Ending(images=3))
    run_id = made(create(side))
    side.wait_until_ended()
    urls = record(side, run_id).output_urls
    assert len(set(urls)) == 3
    for url in urls:
        with side.fetcher.open(url) as download:
            assert sniff(download.head, download.length).width


def test_an_output_url_expires_and_the_record_has_a_fresh_one(side: Side) -> None:
    side.short_urls()
    run_id = made(create(side))
    side.wait_until_ended()
    stale = record(side, run_id).output_urls[0]
    side.wait(1.1)
    with pytest.raises(OutputUrlExpired), side.fetcher.open(stale):
        pass
    with side.fetcher.open(record(side, run_id).output_urls[0]) as download:
        assert download.body.read() == side.cleaned("shoe")


@pytest.mark.parametrize("status", ["failed", "errored", "timeout"])
def test_a_failed_run_says_why_and_is_free(side: Side, status: str) -> None:
    side.ending(replace(FAILED, status=status, code="MODEL_ERROR", message="the model gave up"))
    run_id = made(create(side))
    side.wait_until_ended()
    run = record(side, run_id)
    assert (run.status, run.failure_code, run.failure_message) == (RunStatus.FAILED, "MODEL_ERROR", "the model gave up")
    assert (run.output_urls, run.charged, side.billed()) == ((), False, Decimal(0))


def test_a_failed_run_may_have_been_charged(side: Side) -> None:
    side.ending(replace(FAILED, cost=Decimal("0.07")))
    run_id = made(create(side))
    side.wait_until_ended()
    assert (record(side, run_id).charged, side.billed()) == (True, Decimal("0.07"))


def test_a_cancelled_run_is_told_from_a_failed_one(side: Side) -> None:
    side.ending(CANCELLED)
    run_id = made(create(side))
    side.wait_until_ended()
    assert (record(side, run_id).status, record(side, run_id).output_urls) == (RunStatus.CANCELLED, ())


def test_a_partial_success_is_one_with_output_urls(side: Side) -> None:
    side.ending(Ending(status="partial_succeeded"))
    run_id = made(create(side))
    side.wait_until_ended()
    run = record(side, run_id)
    assert (run.status, len(run.output_urls), side.billed()) == (RunStatus.PARTIAL, 1, Decimal("0.14"))


def test_a_success_may_have_no_output(side: Side) -> None:
    side.ending(Ending(images=0))
    run_id = made(create(side))
    side.wait_until_ended()
    assert (record(side, run_id).status, record(side, run_id).output_urls) == (RunStatus.SUCCEEDED, ())


def test_a_run_of_an_unreadable_photo_fails_free_of_charge(side: Side) -> None:
    """A photo that cannot be read fails its run, free of charge."""
    run_id = made(side.runs.create(body_of(side.dead_url()), KEY, 10))
    side.wait_until_ended()
    run = record(side, run_id)
    assert (run.status, run.charged, side.billed()) == (RunStatus.FAILED, False, Decimal(0))
    assert run.failure_code


def test_a_run_that_never_was_is_unknown(side: Side) -> None:
    assert side.runs.get("0198c0de-7a11-7000-8000-ffffffffffff") is None


# The Idempotency-Key


def test_honoured_keys_make_one_run_of_the_same_bytes(side: Side) -> None:
    """The same bytes under the same key are one run where keys are honoured."""
    side.idempotency("honoured")
    assert made(create(side, key=KEY)) == made(side.runs.create(body_of(side.photo("shoe")), KEY, 10))
    assert side.made() == 1


def test_honoured_keys_make_a_conflict_of_other_bytes(side: Side) -> None:
    """Other bytes under the same key are a conflict where keys are honoured."""
    side.idempotency("honoured")
    made(create(side, key=KEY))
    again = create(side, number=2, key=KEY)
    assert isinstance(again, Ambiguous)
    assert not again.down
    assert side.made() == 1


def test_ignored_keys_make_two_runs_of_the_same_bytes(side: Side) -> None:
    """The same bytes under the same key are two runs where keys are ignored."""
    side.idempotency("ignored")
    assert made(create(side, key=KEY)) != made(create(side, key=KEY))
    assert side.made() == 2


def test_a_known_key_may_be_a_conflict_whatever_the_bytes(side: Side) -> None:
    side.idempotency("conflict")
    made(create(side, key=KEY))
    again = create(side, key=KEY)
    assert isinstance(again, Ambiguous)
    assert not again.down
    assert side.made() == 1


@pytest.mark.parametrize("effect", [False, True])
def test_an_error_may_be_remembered_with_its_key(side: Side, effect: bool) -> None:
    side.idempotency("cached")
    side.fault("create", Fault(status=503, effect=effect))
    body = body_of(side.photo("shoe"))
    assert isinstance(side.runs.create(body, KEY, 10), Ambiguous)
    assert isinstance(side.runs.create(body, KEY, 10), Ambiguous)
    assert side.made() == int(effect)
    made(side.runs.create(body, "e" * 64, 10))


# How a POST ends


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422, 429, 410])
def test_a_refusal_makes_no_run_and_says_why(side: Side, status: int) -> None:
    side.fault("create", Fault(status=status, code="SOME_CODE", message="in some words"))
    assert create(side) == Refused(status, "SOME_CODE", "in some words")
    assert side.made() == 0


def test_a_pause_that_is_asked_for_is_heard(side: Side) -> None:
    side.fault("create", Fault(status=429, code="RATE_LIMITED", message="Rate limit exceeded", retry_after=7.0))
    assert create(side) == Refused(429, "RATE_LIMITED", "Rate limit exceeded", 7.0)


@pytest.mark.parametrize("effect", [False, True])
@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 504, None])
def test_no_real_answer_leaves_it_open_whether_there_is_a_run(side: Side, status: int | None, effect: bool) -> None:
    """What is no answer (an error of the server, a lost connection) leaves it open whether there is a run."""
    side.fault("create", Fault(status=status, effect=effect))
    outcome = create(side)
    assert isinstance(outcome, Ambiguous)
    assert outcome.down == (status != 409)
    assert side.made() == int(effect)
    assert [run.client_ref for run in listed(side)] == [f"{JOB}.1"] * effect


def test_an_empty_balance_is_a_402(side: Side) -> None:
    side.spend_all()
    refused = create(side)
    assert isinstance(refused, Refused)
    assert refused.status == 402
    assert (refused.code or "").startswith("INSUFFICIENT_CREDIT")
    assert side.made() == 0


def test_nothing_is_sent_when_no_time_is_left(side: Side) -> None:
    with pytest.raises(Transient):
        side.runs.create(body_of(side.photo("shoe")), KEY, 0)
    assert side.made() == 0


# The key


def test_without_a_key_nothing_is_asked(side: Side) -> None:
    side.key(stored=False)
    calls: list[Callable[[], object]] = [
        side.runs.ready,
        lambda: create(side),
        lambda: side.runs.get("r"),
        side.runs.page,
    ]
    for call in calls:
        with pytest.raises(NotConfigured):
            call()
    assert side.made() == 0
    side.key()
    side.runs.ready()


def test_a_refused_key_is_unauthorized_until_another_is_stored(side: Side) -> None:
    side.key(good=False)
    side.runs.ready()
    with pytest.raises(Unauthorized):
        side.runs.get("0198c0de-7a11-7000-8000-ffffffffffff")
    side.key(good=False)
    with pytest.raises(Unauthorized):
        side.runs.page()
    side.key(good=False)
    refused = create(side)
    assert isinstance(refused, Refused)
    assert refused.status == 401
    side.key()
    made(create(side))


# The list


def test_the_list_has_all_runs_newest_first(side: Side) -> None:
    ids = []
    for number in range(1, 6):
        ids.append(made(create(side, number=number)))
        side.wait(0.002)
    assert [run.run_id for run in listed(side)] == ids[::-1]
    assert len(side.runs.page().runs) == 2


def test_the_list_is_empty_before_the_first_run(side: Side) -> None:
    page = side.runs.page()
    assert (page.runs, page.next) == ((), None)


def test_the_list_shows_what_a_search_goes_by(side: Side) -> None:
    url = side.photo("shoe")
    run_id = made(side.runs.create(body_of(url), KEY, 10))
    side.wait_until_ended()
    (run,) = side.runs.page().runs
    assert (run.run_id, run.client_ref, run.job_id, run.image_url) == (run_id, f"{JOB}.1", JOB, url)
    assert (run.status, run.cost) == (RunStatus.SUCCEEDED, Decimal("0.14"))


def test_a_run_may_be_listed_late(side: Side) -> None:
    side.hide_next(1)
    run_id = made(create(side))
    assert listed(side) == []
    assert record(side, run_id).run_id == run_id
    side.wait(1.1)
    assert [run.run_id for run in listed(side)] == [run_id]


# When it cannot be asked


@pytest.mark.parametrize("status", [500, 503, 429, None])
@pytest.mark.parametrize("operation", ["get", "page"])
def test_what_cannot_be_answered_now_is_transient(side: Side, operation: str, status: int | None) -> None:
    run_id = made(create(side))
    side.fault(operation, Fault(status=status))
    with pytest.raises(Transient):
        side.runs.get(run_id) if operation == "get" else side.runs.page()
    assert record(side, run_id).run_id == run_id
    assert [run.run_id for run in listed(side)] == [run_id]


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("operation", ["get", "page"])
def test_a_scope_that_is_missing_is_unauthorized(side: Side, operation: str, status: int) -> None:
    side.fault(operation, Fault(status=status))
    with pytest.raises(Unauthorized):
        side.runs.get("0198c0de-7a11-7000-8000-ffffffffffff") if operation == "get" else side.runs.page()
