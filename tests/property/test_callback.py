"""Properties of the callback handler: whatever is sent, and however secrets are rotated."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from detag import app
from detag.domain.runs import MAX_OUTPUT_URLS, read_callback, read_result, result_message
from detag.ports.clock_fake import FakeClock
from detag.ports.errors import Transient
from detag.ports.queue import MAX_MESSAGE_BYTES
from detag.ports.queue_fake import FakeQueue
from detag.ports.secrets_fake import FakeCallbackSecrets
from detag.ports.telemetry_fake import FakeTelemetry
from detag.services import callback
from detag.services.callback import MAX_BODY_BYTES

REREAD_SECONDS, RETRY_SECONDS, REPLAY_SECONDS = 30.0, 5.0, 60.0
SECRET = "whsec_current"
JOB_ID, RUN_ID = "0123456789abcdef" * 2, "0198c0de-7a11-7000-8000-0123456789ab"


def sign(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def event(body: bytes, signature: str | None) -> dict[str, Any]:
    headers = {} if signature is None else {"runflow-signature": signature}
    return {"headers": headers, "body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def usable(**changes: Any) -> bytes:
    metadata = {"app": "detag", "job_id": JOB_ID}
    envelope = {"event": "run.completed", "run_id": RUN_ID, "status": "succeeded", "output": None, "metadata": metadata}
    return json.dumps(envelope | changes).encode()


class Side:
    """A handler with everything around it in memory; the times of its secret reads."""

    def __init__(self, *secrets: str) -> None:
        self.clock, self.queue, self.telemetry = FakeClock(), FakeQueue(), FakeTelemetry()
        self.source = FakeCallbackSecrets(*(secrets or (SECRET,)), effect=self._reading)
        self.reads: list[float] = []
        self.failure: Exception | None = None
        self.handler = app.callback(secrets=self.source, results=self.queue, clock=self.clock, telemetry=self.telemetry)

    @contextmanager
    def _reading(self, _name: str) -> Iterator[None]:
        self.reads.append(self.clock.now())
        if self.failure is not None:
            raise self.failure
        yield

    def handle(self, body: bytes, signature: str | None) -> int:
        return self.handler.handle(event(body, signature))


texts = st.text(st.characters())  # half characters too
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
urls = st.lists(st.text(st.characters(), max_size=2_000).map("https://x.example/".__add__), max_size=24)
envelopes = st.fixed_dictionaries(
    {},
    optional={
        "event": values | st.sampled_from(["run.completed", "run.failed", "run.cancelled", "batch.completed"]),
        "run_id": values | st.just(RUN_ID),
        "status": values | st.sampled_from(["succeeded", "failed", "canceled"]),
        "output": values | urls.map(lambda found: {"image_urls": found}),
        "metadata": values | st.just({"app": "detag", "job_id": JOB_ID}),
        "batch_id": values,
    },
)
bodies = st.binary(max_size=200) | (values | envelopes).map(lambda value: json.dumps(value).encode())


@given(body=bodies)
def test_what_runflow_signed_is_answered_200(body: bytes) -> None:
    """What Runflow signed is answered 200, and enqueued once or not at all."""
    side = Side()
    assert side.handle(body, sign(SECRET, body)) == 200
    assert len(side.queue.sent) == 1 - side.telemetry.counts["UnusableCallback"]
    for message in side.queue.sent:
        assert len(json.dumps(message)) < MAX_MESSAGE_BYTES
        assert len(message["links"]) <= MAX_OUTPUT_URLS
        assert read_result(message).run_id == json.loads(body)["run_id"]


@given(body=bodies, signature=st.none() | texts | st.from_regex(r"[0-9a-f]{64}", fullmatch=True))
def test_what_runflow_did_not_sign_is_answered_401(body: bytes, signature: str | None) -> None:
    """What Runflow did not sign is answered 401, and not even parsed."""
    side = Side()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callback, "read_callback", lambda _: pytest.fail("parsed before it was proven"))
        assert side.handle(body, signature) == 401
    assert not side.queue.sent


@given(body=bodies, data=st.data())
def test_one_bit_that_is_changed_spoils_a_callback(body: bytes, data: st.DataObject) -> None:
    side, signature = Side(), sign(SECRET, usable())
    whole = usable()
    place = data.draw(st.integers(0, len(whole) * 8 - 1))
    changed = bytearray(whole)
    changed[place // 8] ^= 1 << place % 8
    assert side.handle(bytes(changed), signature) == 401
    assert side.handle(whole, signature) == 200


@given(odd=st.dictionaries(texts, values, max_size=5), body=values, flag=values, headers=values)
def test_no_event_however_odd_is_answered_with_5xx(odd: dict[str, Any], body: Any, flag: Any, headers: Any) -> None:
    side = Side()
    status = side.handler.handle(odd | {"body": body, "isBase64Encoded": flag, "headers": headers})
    assert status == 401
    assert not side.reads


@given(over=st.integers(1, 1_000_000), good=st.booleans())
def test_a_body_above_the_limit_is_answered_413_whoever_signs_it(over: int, good: bool) -> None:
    side, body = Side(), b" " * (MAX_BODY_BYTES + over)
    assert side.handle(body, sign(SECRET, body) if good else "0" * 64) == 413
    assert not side.reads


@given(over=st.integers(-3, 3), encoded=st.booleans(), padding=st.sampled_from([b" ", "\u00e9".encode()]))
def test_the_limit_is_of_the_decoded_body(over: int, encoded: bool, padding: bytes) -> None:
    """Whichever way it comes: judging the length of a text first lets nothing larger in, and keeps nothing out."""
    side, length = Side(), MAX_BODY_BYTES + over
    body = (padding * MAX_BODY_BYTES)[: length - length % len(padding)]
    sent = event(body, sign(SECRET, body))
    if not encoded:
        sent |= {"body": body.decode(), "isBase64Encoded": False}
    assert side.handler.handle(sent) == (413 if len(body) > MAX_BODY_BYTES else 200)


@given(envelope=envelopes)
def test_a_message_is_read_back_as_it_was_meant(envelope: dict[str, Any]) -> None:
    found = read_callback(json.dumps(envelope).encode())
    if not isinstance(found, str):
        result = read_result(json.loads(json.dumps(result_message(found, 1_795_431_600.5))))
        assert (result.job_id, result.run_id, result.status, result.output_urls) == (
            found.job_id, found.run_id, found.status, found.output_urls,
        )  # fmt: skip


@given(gaps=st.lists(st.floats(0, 100), min_size=1, max_size=60), fails=st.booleans())
def test_nobody_can_drive_the_secret_store(gaps: list[float], fails: bool) -> None:
    side = Side()
    side.failure = RuntimeError("whatever it is") if fails else None
    for gap in gaps:
        side.clock.advance(gap)
        assert side.handle(b"{}", "0" * 64) == (503 if fails else 401)
        side.handle(b"{}", "no signature at all")
    least = RETRY_SECONDS if fails else REREAD_SECONDS
    assert all(later - earlier >= least for earlier, later in pairwise(side.reads))


@given(back=st.floats(1, 10**9))
def test_a_clock_that_is_set_back_locks_nobody_out(back: float) -> None:
    side, body = Side("whsec_0"), usable()
    assert side.handle(body, sign("whsec_0", body)) == 200
    side.source.secrets = ("whsec_1",)
    side.clock.skew = -back
    assert side.handle(body, sign("whsec_1", body)) == 200


@given(read_before=st.floats(0, 290), stored_before=st.floats(60, 400))
def test_a_new_secret_is_known_within_a_minute(read_before: float, stored_before: float) -> None:
    """A secret that was stored a minute before it signs is known by then."""
    side = Side("whsec_old")
    assert side.handle(b"{}", "0" * 64) == 401  # the list is read, and kept
    side.clock.advance(read_before)
    side.source.secrets = ("whsec_new", "whsec_old")
    side.clock.advance(stored_before)
    for number in range(3):
        assert side.handle(usable(number=number), sign("whsec_new", usable(number=number))) == 200


class Rotation(RuleBasedStateMachine):
    """SECURITY.md's way to rotate: store the new list, wait a minute, promote; take the old one out much later.

    Meanwhile strangers send what they like, the secret store fails now and then, and time passes in any steps. No
    callback that Runflow signs is ever refused, though while the store fails it may have to be sent again.
    """

    @initialize()
    def begin(self) -> None:
        self.side = Side("whsec_0")
        self.signing, self.number = "whsec_0", 0
        self.stored_at = float("-inf")
        self.queued: dict[int, float] = {}
        """When each callback was last queued."""

    @rule(seconds=st.sampled_from([0.0, 0.5, 4.0, 29.0, 30.0, 61.0, 299.0, 301.0, 3_600.0]))
    def wait(self, seconds: float) -> None:
        self.side.clock.advance(seconds)

    @precondition(lambda self: self.side.source.secrets[0] == self.signing)
    @rule()
    def store_a_new_one(self) -> None:
        self.number += 1
        self.side.source.secrets = (f"whsec_{self.number}", self.signing)
        self.stored_at = self.side.clock.now()

    @precondition(lambda self: self.side.clock.now() - self.stored_at >= 60)
    @rule()
    def promote_it(self) -> None:
        self.signing = self.side.source.secrets[0]

    @precondition(lambda self: self.side.source.secrets[0] == self.signing)
    @rule()
    def take_the_old_one_out(self) -> None:
        self.side.source.secrets = (self.signing,)

    @rule(failure=st.sampled_from([None, None, Transient("GetSecretValue: Throttling"), RuntimeError("AccessDenied")]))
    def store_fails(self, failure: Exception | None) -> None:
        self.side.failure = failure

    @rule(signature=st.sampled_from(["0" * 64, "f" * 64, "", "A" * 64]))
    def stranger(self, signature: str) -> None:
        assert self.side.handle(b"{}", signature) in (401, 503)

    @rule(late=st.booleans(), number=st.integers(0, 3))
    def callback(self, late: bool, number: int) -> None:
        """`late` is one that was signed before the promotion and is sent again after it. Of the few numbers most come
        again: what was queued within the last minute is answered 200, and not queued again.
        """
        body, signing, side = usable(number=number), self.signing, self.side
        if late and side.source.secrets[0] == self.signing:
            signing = side.source.secrets[-1]
        before = len(side.queue.sent)
        status = side.handle(body, sign(signing, body))
        if side.failure is None and status == 503:  # the store failed a moment ago: Runflow tries again
            side.clock.advance(RETRY_SECONDS)
            status = side.handle(body, sign(signing, body))
        assert status == 200 or (status == 503 and side.failure is not None)
        replayed = side.clock.now() - self.queued.get(number, float("-inf")) < REPLAY_SECONDS
        assert len(side.queue.sent) - before == (status == 200 and not replayed)
        if len(side.queue.sent) > before:
            self.queued[number] = side.clock.now()

    @invariant()
    def reads_are_few(self) -> None:
        reads = self.side.reads
        assert all(later - earlier >= RETRY_SECONDS for earlier, later in pairwise(reads))


TestRotation = Rotation.TestCase


def test_a_metric_counts_matches_of_a_previous_secret() -> None:
    """A metric counts that the secret that matched is not the current one."""
    side, body = Side("whsec_new", "whsec_old"), usable()
    assert side.handle(body, sign("whsec_new", body)) == 200
    assert side.telemetry.counts["PreviousSecretMatched"] == 0
    assert side.handle(body, sign("whsec_old", body)) == 200
    assert side.telemetry.counts["PreviousSecretMatched"] == 1


def test_every_secret_is_compared_though_the_first_matched() -> None:
    """How long an answer takes tells nobody which secret signs."""
    side, body = Side(*(f"whsec_{number}" for number in range(5))), usable()
    compared: list[object] = []
    real = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((type(one), type(other)))
        return real(one, other)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hmac, "compare_digest", compare)
        for number in range(5):
            compared.clear()
            assert side.handle(body, sign(f"whsec_{number}", body)) == 200
            assert compared == [(bytes, bytes)] * 5
