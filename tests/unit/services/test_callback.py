"""The answers to callbacks, line by line of the design's table."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from detag import app
from detag.ports.clock_fake import FakeClock
from detag.ports.errors import Transient
from detag.ports.queue_fake import FakeQueue
from detag.ports.secrets_fake import FakeCallbackSecrets
from detag.ports.telemetry_fake import FakeTelemetry
from detag.services.callback import (
    CACHE_SECONDS,
    MAX_BODY_BYTES,
    REREAD_SECONDS,
    RETRY_SECONDS,
    matching_secret,
    signature_of,
)

EXAMPLES = json.loads((Path(__file__).parents[2] / "data/runflow/examples.json").read_text(encoding="utf-8"))
VECTORS = EXAMPLES["signature_vectors"]["vectors"]
JOB = "0123456789abcdef" * 2
SECRET = "whsec_now"


class Harness:
    """The callback function over fakes, and whoever calls it."""

    def __init__(self, *secrets: str) -> None:
        self.clock = FakeClock()
        self.reads = 0
        self.broken: Exception | None = None
        self.full = False
        self.secrets = FakeCallbackSecrets(*secrets)
        self.queue = FakeQueue("results")
        self.telemetry = FakeTelemetry()
        self.handler = app.callback(secrets=self, results=self, clock=self.clock, telemetry=self.telemetry)

    def read(self) -> tuple[bytes, ...]:
        self.reads += 1
        if self.broken:
            raise self.broken
        return self.secrets.read()

    def send(self, messages: Any) -> None:
        if self.full:
            raise Transient("SQS throttled")
        self.queue.send(messages)

    def post(self, body: bytes, signature: str | None, *, header: str = "runflow-signature", plain: bool = True) -> int:
        return self.handler.handle(
            {
                "headers": {} if signature is None else {header: signature},
                "body": body.decode() if plain else base64.b64encode(body).decode(),
                "isBase64Encoded": not plain,
            }
        )

    def post_signed(self, body: bytes, secret: str = SECRET, **how: Any) -> int:
        return self.post(body, sign(body, secret), **how)


def sign(body: bytes, secret: str = SECRET) -> str:
    return signature_of(body, secret.encode()).decode()


def envelope(**changes: Any) -> bytes:
    return json.dumps(
        {
            "event": "run.completed",
            "run_id": "run-1",
            "status": "succeeded",
            "output": {"image_urls": ["https://outputs.example/1.webp?sig=1"]},
            "metadata": {"app": "detag", "v": "1", "job_id": JOB},
        }
        | changes
    ).encode()


@pytest.fixture
def harness() -> Harness:
    return Harness(SECRET, "whsec_before")


# Signed, usable


def test_our_callback_is_answered_200_once_the_queue_has_it(harness: Harness) -> None:
    assert harness.post_signed(envelope()) == 200
    assert harness.queue.sent == [
        {
            "job_id": JOB,
            "run_id": "run-1",
            "event": "run.completed",
            "status": "succeeded",
            "links": ["https://outputs.example/1.webp?sig=1"],
            "left_out": 0,
            "sent_at": harness.clock.now(),
        }
    ]


@pytest.mark.parametrize("how", [{"plain": False}, {"header": "Runflow-Signature"}, {"header": "RUNFLOW-SIGNATURE"}])
def test_it_may_come_encoded_and_its_header_in_any_case(harness: Harness, how: dict[str, Any]) -> None:
    assert harness.post_signed(envelope(), **how) == 200
    assert len(harness.queue.sent) == 1


@pytest.mark.parametrize(
    ("event", "status", "read"),
    [
        ("run.completed", "succeeded", "succeeded"),
        ("run.failed", "failed", "failed"),
        ("run.cancelled", "canceled", "cancelled"),
        ("run.canceled", "cancelled", "cancelled"),
        ("run.partial_succeeded", "partial_succeeded", "partial_succeeded"),
        ("run.completed", "failed", "succeeded"),
        ("run.something_new", "failed", "failed"),
        (None, "succeeded", "succeeded"),
    ],
)
def test_the_event_decides_and_then_the_status(harness: Harness, event: str | None, status: str, read: str) -> None:
    assert harness.post_signed(envelope(event=event, status=status)) == 200
    assert harness.queue.sent[0]["status"] == read


def test_of_too_many_urls_the_first_are_sent_on(harness: Harness) -> None:
    urls = [f"https://outputs.example/{number}" for number in range(200)]
    assert harness.post_signed(envelope(output={"image_urls": urls})) == 200
    assert (harness.queue.sent[0]["links"], harness.queue.sent[0]["left_out"]) == (urls[:16], 184)


# No, malformed or wrong signature; garbage


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "0" * 64,
        "0" * 63,
        sign(envelope()).upper(),
        "sha256=" + sign(envelope()),
        sign(envelope()) + "\n",
        sign(envelope(), "whsec_other"),
        sign(envelope() + b" "),
        "é" * 64,
    ],
    ids=["none", "empty", "wrong", "short", "upper", "prefixed", "newline", "secret", "body", "accents"],
)
def test_bad_evidence_is_answered_401_and_nothing_is_enqueued(harness: Harness, signature: str | None) -> None:
    assert harness.post(envelope(), signature) == 401
    assert harness.queue.sent == []


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"body": None},
        {"body": 5, "headers": {}},
        {"body": "x", "headers": []},
        {"body": "no base64!", "isBase64Encoded": True},
        {"body": "\ud800", "headers": {"runflow-signature": "0" * 64}},
    ],
)
def test_garbage_is_answered_401(harness: Harness, event: dict[str, Any]) -> None:
    assert harness.handler.handle(event) == 401


# Larger than the limit


def test_a_body_above_the_limit_is_answered_413(harness: Harness) -> None:
    """A body above the limit is answered 413 even if it is signed, and one of exactly the limit is read."""
    left = MAX_BODY_BYTES - len(envelope(output={"x": ""}))
    assert harness.post_signed(envelope(output={"x": "y" * left})) == 200
    assert harness.post_signed(envelope(output={"x": "y" * (left + 1)})) == 413
    assert len(harness.queue.sent) == 1


@pytest.mark.parametrize("encoded", [True, False])
def test_the_length_is_judged_before_anything_is_decoded(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, encoded: bool
) -> None:
    """5.9 MB is about the most that fits into Lambda's event; decoding it took 16 ms of a core."""

    class Text(str):
        def encode(self, *_: Any, **__: Any) -> bytes:
            pytest.fail("encoded before its length was judged")

    monkeypatch.setattr(base64, "b64decode", lambda *_, **__: pytest.fail("decoded before it was judged"))
    for length in (5_900_000, MAX_BODY_BYTES * 4 // 3 + 4):
        event = {"headers": {"runflow-signature": "0" * 64}, "body": Text("A" * length), "isBase64Encoded": encoded}
        assert harness.handler.handle(event) == 413
    assert harness.telemetry.counts["Answered413"] == 2


# Signed, but of no use


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"\x00", "not_json"),
        (b"[1]", "not_an_object"),
        (envelope(batch_id="b-1"), "batch"),
        (envelope(event="batch.succeeded"), "batch"),
        (envelope(run_id=None), "no_run_id"),
        (envelope(run_id="../../etc"), "no_run_id"),
        (envelope(metadata=None), "not_ours"),
        (envelope(metadata={"app": "other", "job_id": JOB}), "not_ours"),
        (envelope(metadata={"app": "detag", "job_id": "j-1"}), "not_ours"),
        (envelope(event="run.started", status="running_late"), "unknown_event"),
    ],
)
def test_a_signed_callback_of_no_use_is_answered_200(harness: Harness, body: bytes, why: str) -> None:
    """What is signed and of no use is answered 200, counted and not enqueued."""
    assert harness.post_signed(body) == 200
    assert harness.queue.sent == []
    assert harness.telemetry.counts["UnusableCallback"] == 1
    assert harness.telemetry.lines[-1].fields == {"why": why}


# Nothing can be judged or kept


def test_an_unset_secret_is_answered_503() -> None:
    """An unset secret is answered 503, because a 4xx would be final."""
    harness = Harness()
    assert harness.post_signed(envelope()) == 503


@pytest.mark.parametrize("error", [Transient("throttled"), RuntimeError("something nobody thought of")])
def test_an_unreadable_secret_is_answered_503(harness: Harness, error: Exception) -> None:
    harness.broken = error
    assert harness.post_signed(envelope()) == 503


def test_a_queue_that_fails_is_answered_503(harness: Harness) -> None:
    harness.full = True
    assert harness.post_signed(envelope()) == 503


def test_bad_evidence_is_judged_even_while_the_secret_is_unset() -> None:
    assert Harness().post(envelope(), None) == 401


# The signature itself


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_the_published_vectors_hold(vector: dict[str, Any]) -> None:
    harness = Harness(*vector.get("secrets_accepted", [vector.get("secret")]))
    expected = 401 if vector.get("expect") == "reject" else 200
    assert harness.post(base64.b64decode(vector["body_base64"]), vector["signature"], plain=False) == expected


def test_every_secret_is_tried_and_its_place_returned() -> None:
    body = b"{}"
    assert [matching_secret(body, sign(body, one).encode(), (b"a", b"b")) for one in ("a", "b", "c")] == [0, 1, None]


# Rotation


def test_the_previous_secret_is_accepted_and_counted(harness: Harness) -> None:
    assert harness.post_signed(envelope(), "whsec_before") == 200
    assert harness.telemetry.counts["PreviousSecretMatched"] == 1


def test_a_mismatch_reads_the_secrets_again(harness: Harness) -> None:
    """A mismatch reads the secrets again, but not more often than every thirty seconds."""
    assert harness.post_signed(envelope()) == 200
    harness.secrets.secrets = ("whsec_next", SECRET)
    assert harness.post_signed(envelope(), "whsec_next") == 401
    assert harness.reads == 1
    harness.clock.advance(REREAD_SECONDS)
    assert harness.post_signed(envelope(), "whsec_next") == 200
    for _ in range(50):
        assert harness.post_signed(envelope(), "whsec_forged") == 401
    assert harness.reads == 2


def test_secrets_are_trusted_for_five_minutes(harness: Harness) -> None:
    """What was read is trusted for five minutes, and longer only while it cannot be read again."""
    assert harness.post_signed(envelope()) == 200
    harness.clock.advance(CACHE_SECONDS - 1)
    assert harness.post_signed(envelope()) == 200
    assert harness.reads == 1
    harness.broken = Transient("throttled")
    harness.clock.advance(CACHE_SECONDS)
    assert harness.post_signed(envelope()) == 200
    assert harness.post_signed(envelope()) == 200
    assert harness.reads == 2, "a failure is not repeated for each request"
    harness.clock.advance(RETRY_SECONDS)
    harness.broken = None
    assert harness.post_signed(envelope()) == 200
    assert harness.reads == 3


@pytest.mark.parametrize("status", [200, 401, 413, 503])
def test_each_answer_is_counted(harness: Harness, status: int) -> None:
    harness.full = status == 503
    body = b"x" * (MAX_BODY_BYTES + 1) if status == 413 else envelope()
    assert (harness.post(body, None) if status in (401, 413) else harness.post_signed(body)) == status
    assert harness.telemetry.counts[f"Answered{status}"] == 1
