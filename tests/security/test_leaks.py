"""Nothing that the functions say or write holds a key, a secret, a signature, a presigned URL, a body or a header;
whichever call fails, and with whatever exception.
"""

from __future__ import annotations

import json
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import httpcore
import httpx
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ParamValidationError,
    ReadTimeoutError,
)

from detag.batch import process
from detag.domain.job import State
from detag.ports.effect_fake import no_effect
from detag.ports.errors import safe_description
from detag.ports.jobs_fake import FakeJobStore
from tests.security.harness import Harness, play

URL = "https://photos.s3.eu-central-1.amazonaws.com/a.jpg?X-Amz-Signature=MARKexception"


def client_error(code: str, status: int) -> Exception:
    said = f"User is not allowed to MARKexception: {URL}"
    error = ClientError(
        {"Error": {"Code": code, "Message": said}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "PutItem",
    )
    error.add_note(f"while calling PutItem: {code}")
    return error


def nested() -> Exception:
    try:
        try:
            raise KeyError("MARKexception")
        except KeyError:
            raise RuntimeError(URL) from OSError("MARKexception")
    except RuntimeError as error:
        return error


EXCEPTIONS: dict[str, Callable[[], BaseException]] = {
    "AccessDenied": lambda: client_error("AccessDeniedException", 400),
    "ValidationException": lambda: client_error("ValidationException", 400),
    "EndpointConnectionError": lambda: EndpointConnectionError(endpoint_url=URL),
    "ConnectionClosedError": lambda: ConnectionClosedError(endpoint_url=URL),
    "ReadTimeoutError": lambda: ReadTimeoutError(endpoint_url=URL),
    "ParamValidationError": lambda: ParamValidationError(report=f"Invalid type for Item.body, value: {URL}"),
    "httpcore.ConnectError": lambda: httpcore.ConnectError(URL),
    "httpcore.LocalProtocolError": lambda: httpcore.LocalProtocolError("Illegal header b'Bearer rf_live_MARKkey'"),
    "httpx.ConnectError": lambda: httpx.ConnectError(URL, request=httpx.Request("GET", URL)),
    "httpx.InvalidURL": lambda: httpx.InvalidURL(f"Invalid URL in location header: {URL}"),
    "ssl.SSLError": lambda: ssl.SSLCertVerificationError(f"certificate is not for {URL}"),
    "OSError": lambda: OSError(5, "MARKexception", "/tmp/MARKexception"),
    "UnicodeEncodeError": lambda: UnicodeEncodeError("utf-8", "MARKexception", 0, 1, "MARKexception"),
    "JSONDecodeError": lambda: json.JSONDecodeError("MARKexception", '{"body": "MARKexception"', 5),
    "KeyError": lambda: KeyError("MARKexception"),
    "ValueError": lambda: ValueError(f"invalid literal: '{URL}'"),
    "RecursionError": lambda: RecursionError("MARKexception"),
    "MemoryError": lambda: MemoryError("MARKexception"),
    "an exception within another": nested,
}


class Failing:
    """An effect that raises at one call of a name: on entry, or once it has happened."""

    def __init__(self, name: str, number: int, make: Callable[[], BaseException], after: bool = False) -> None:
        self._name, self._number, self._make, self._after = name, number, make, after
        self.calls: Counter[str] = Counter()
        self.raised = False

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self.calls[name] += 1
        now = (name, self.calls[name]) == (self._name, self._number)
        self.raised |= now
        if now and not self._after:
            raise self._make()
        yield
        if now:
            raise self._make()


@cache
def calls_of_a_play() -> Counter[str]:
    nothing = Failing("", 0, RuntimeError)
    play(Harness(nothing))
    return nothing.calls


CALLS = (
    *(
        "jobs.get",
        "jobs.save",
        "jobs.raise_newest_upload",
        "jobs.spent",
        "jobs.open_day",
        "jobs.intake",
        "jobs.save_intake",
        "jobs.charged",
        "jobs.reused",
        "jobs.begin_delivery",
        "jobs.end_delivery",
        "jobs.delivered_of",
        "jobs.created_at",
        "jobs.scan",
        "jobs.save_scan",
    ),
    *("jobs.override", "jobs.due", "jobs.waiting_for_intake", "jobs.closed", "jobs.counts"),
    *("jobs.batch", "jobs.save_batch", "jobs.closed_between", "jobs.is_any_open"),
    *("photos.read_head", "photos.existing", "photos.put", "photos.put_record", "photos.versions", "events.publish"),
    *(
        "runs.ready",
        "runs.create",
        "runs.get",
        "runs.page",
        "runs.named",
        "runs.redeliver",
        "fetcher.open",
        "fetcher.read",
        "secrets.read",
    ),
    *("queue.uploads.send", "queue.results.send"),
)


def test_the_play_takes_every_road_and_calls_everything() -> None:
    harness = Harness(no_effect)
    play(harness)
    states = Counter(job.state for job in harness.jobs.jobs.values())
    assert set(states) >= {State.DELIVERED, State.FAILED, State.CANCELLED, State.SKIPPED}
    assert {job.reason for job in harness.jobs.jobs.values()} >= {"run_failed", "refused", "bad_output", "not_an_image"}
    calls = calls_of_a_play()
    assert set(CALLS) == set(calls) - {name for name in calls if name.startswith("telemetry.")}


def test_nothing_leaks_where_all_goes_well() -> None:
    harness = Harness(no_effect)
    play(harness)
    assert harness.leaks() == []
    found = dict(harness.output())
    empty = [where for where, text in found.items() if len(text) < 3]
    assert [where for where in empty if "_failed/" not in where] == [], "each is searched in earnest"
    assert sum(key.startswith("_failed/") for key in found) >= 4


@pytest.mark.sized
@pytest.mark.parametrize("call", CALLS)
def test_nothing_leaks_whatever_fails_and_however(call: str, full_size: bool) -> None:
    """At its small size, each call fails in a third of the ways, and the next one in others."""
    number, turn = calls_of_a_play()[call], CALLS.index(call)
    for place, (name, make) in enumerate(EXCEPTIONS.items()):
        if not full_size and (place + turn) % 3:
            continue
        which, after = ((1, False), (number, True))[(place + turn) % 2]
        effect = Failing(call, which, make, after)
        harness = Harness(effect)
        play(harness)
        assert effect.raised
        assert harness.leaks() == [], f"{name} {'after' if after else 'at'} call {which} of {call}"


def test_an_error_is_logged_by_its_kind_its_notes_and_its_place() -> None:
    def handle(message: dict[str, Any]) -> None:
        raise client_error("AccessDeniedException", 400)

    lines: list[dict[str, object]] = []

    class Telemetry:
        def count(self, metric: str, value: float = 1) -> None: ...
        def alarm(self, metric: str) -> None: ...
        def info(self, message: str, **fields: object) -> None: ...
        def warning(self, message: str, **fields: object) -> None:
            lines.append(fields)

    process({"Records": [{"messageId": "1", "body": "{}"}]}, handle, Telemetry())
    (line,) = lines
    assert str(line["error"]).startswith("ClientError while calling PutItem: AccessDeniedException (batch.py:")
    assert safe_description(ValueError("text")) == "ValueError", "one that was never raised has no place"


# The search finds what there is to find


def test_a_line_with_an_errors_text_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detag.batch.safe_description", lambda error: f"{type(error).__name__}: {error}")
    harness = Harness(Failing("photos.read_head", 1, EXCEPTIONS["ValueError"]))
    play(harness)
    assert "an exception's own text in logs" in harness.leaks()


def test_an_error_raised_with_its_text_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that left a handler with its text would be found."""
    monkeypatch.setattr("detag.adapters.telemetry.safe_description", str)
    harness = Harness(Failing("jobs.due", 1, EXCEPTIONS["AccessDenied"]))
    play(harness)
    assert "an exception's own text in stdout, stderr and metrics" in harness.leaks()


def test_runflows_words_unredacted_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detag.domain.runs.redacted", lambda text, most=500: text)
    harness = Harness(no_effect)
    play(harness)
    leaks = "\n".join(harness.leaks())
    for where in ("logs", "events", "items", "_failed/run fails.jpg"):
        assert f"a presigned URL in {where}" in leaks
    assert "an API key in logs" in leaks


def test_a_closed_job_that_kept_its_body_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = FakeJobStore.save

    def with_body(store: Any, before: Any, after: Any, **named: Any) -> tuple[str, ...]:
        object.__setattr__(after, "body", after.body or before.body)
        return real(store, before, after, **named)

    monkeypatch.setattr(FakeJobStore, "save", with_body)
    harness = Harness(no_effect)
    play(harness)
    assert "a presigned URL in items" in harness.leaks()
