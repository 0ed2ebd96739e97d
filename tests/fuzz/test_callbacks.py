"""The fuzzer in small; and each guard of the callback function taken away, to see that the fuzzer notices."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from click.testing import CliRunner

from detag.domain import runs
from detag.services import callback
from detag.services.callback import CallbackHandler, MalformedRequest, Request, SecretList
from tests.fuzz.callbacks import Bench, main, run
from tests.fuzz.requests import case

SEED = 3
REQUESTS = 5_000
ENOUGH = 6_000
"""Requests in which every guard that is missing shows."""


def test_no_request_breaks_the_callback_function() -> None:
    report = run(SEED, REQUESTS)
    assert not report.broken, list(report.lines())
    assert report.signed_over_bad > REQUESTS / 3
    assert set(report.statuses) == {200, 401, 413, 503}


def test_a_run_can_be_had_again_request_by_request() -> None:
    assert [case(SEED, number) for number in range(300)] == [case(SEED, number) for number in range(300)]
    assert [case(SEED, number) for number in range(30)] != [case(SEED + 1, number) for number in range(30)]
    done = CliRunner().invoke(main, ["--seed", str(SEED), "--only", "1234"])
    assert done.exit_code == 0, done.output
    assert case(SEED, 1234).evidence in done.output


def test_it_ends_with_the_number_of_the_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with the number of the broken, and fails if there are any."""
    arguments = ["--requests", "200", "--seed", str(SEED)]
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "200 requests, 0 broken")
    monkeypatch.setattr(CallbackHandler, "handle", lambda *_: 500)
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, done.output.splitlines()[-1]) == (1, "200 requests, 200 broken")


# Guards, taken away

Patch = Callable[[pytest.MonkeyPatch], None]
REAL_KEEP = CallbackHandler._keep
REAL_READ = callback.read_request
REAL_CALLBACK = runs.read_callback


def compare_text(body: bytes, signature: bytes, secrets: tuple[bytes, ...]) -> int | None:
    matches = [hmac.compare_digest(callback.signature_of(body, key).decode(), signature.decode()) for key in secrets]
    return matches.index(True) if True in matches else None


def no_signature_pattern(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(callback, "_SIGNATURE", re.compile(rb".*", re.DOTALL))


def comparing_text(patch: pytest.MonkeyPatch) -> None:
    no_signature_pattern(patch)
    patch.setattr(callback, "matching_secret", compare_text)


def a_looser_pattern(patch: pytest.MonkeyPatch) -> None:
    """`$` lets a newline pass, and case is ignored: what is compared then is still right, but the secrets are read."""
    patch.setattr(callback, "_SIGNATURE", re.compile(rb"(?i)[0-9a-f]{64}$"))


def comparing_a_prefix(patch: pytest.MonkeyPatch) -> None:
    def starts_alike(body: bytes, signature: bytes, secrets: tuple[bytes, ...]) -> int | None:
        return next((n for n, key in enumerate(secrets) if callback.signature_of(body, key)[:1] == signature[:1]), None)

    patch.setattr(callback, "matching_secret", starts_alike)


def only_the_current_secret(patch: pytest.MonkeyPatch) -> None:
    real = callback.matching_secret
    patch.setattr(callback, "matching_secret", lambda body, signature, secrets: real(body, signature, secrets[:1]))


def stripping_the_prefix(patch: pytest.MonkeyPatch) -> None:
    real = callback.signature_of
    patch.setattr(callback, "signature_of", lambda body, key: real(body, key.removeprefix(b"whsec_")))


def signing_what_was_parsed(patch: pytest.MonkeyPatch) -> None:
    real = callback.signature_of

    def of_parsed(body: bytes, key: bytes) -> bytes:
        return real(json.dumps(json.loads(body)).encode(), key)

    patch.setattr(callback, "signature_of", of_parsed)


def not_decoding_base64(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(callback, "read_request", lambda event: REAL_READ({**event, "isBase64Encoded": False}))


def a_503_for_what_is_malformed(patch: pytest.MonkeyPatch) -> None:
    def read(event: Mapping[str, Any]) -> Request:
        try:
            return REAL_READ(event)
        except MalformedRequest as error:
            raise ValueError from error

    patch.setattr(callback, "read_request", read)


def no_limit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(callback, "MAX_BODY_BYTES", 10**9)


def reading_the_secret_at_every_mismatch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(callback, "REREAD_SECONDS", 0.0)


def never_reading_it_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SecretList, "newer", SecretList.current)


def not_catching_deep_nesting(patch: pytest.MonkeyPatch) -> None:
    def read(body: bytes) -> Any:
        if body.count(b"[") + body.count(b"{") > 10_000:
            json.loads(body)
        return REAL_CALLBACK(body)

    patch.setattr(callback, "read_callback", read)


def not_catching_bad_json(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(callback, "read_callback", lambda body: json.loads(body) and REAL_CALLBACK(body))


def any_run_id(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(runs, "run_id_of", lambda value: value if isinstance(value, str) and value else None)


def any_job_id(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(runs, "_job_id", lambda metadata: str(metadata.get("job_id", "")) or None)


def anybodys_runs(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(runs, "APP", None)


def batches_too(patch: pytest.MonkeyPatch) -> None:
    def read(body: bytes) -> Any:
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            found.pop("batch_id", None)
            body = json.dumps(found).encode()
        return REAL_CALLBACK(body)

    patch.setattr(callback, "read_callback", read)


def as_many_urls_as_there_are(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(runs, "MAX_OUTPUT_URLS", 10**9)


def urls_of_any_length(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(runs, "MAX_OUTPUT_URLS_BYTES", 10**9)


def sending_twice(patch: pytest.MonkeyPatch) -> None:
    def twice(self: CallbackHandler, body: bytes) -> int:
        REAL_KEEP(self, body)
        self._queued.clear()
        return REAL_KEEP(self, body)

    patch.setattr(CallbackHandler, "_keep", twice)


def a_400_for_a_queue_that_fails(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CallbackHandler, "_keep", lambda self, body: {503: 400}.get(REAL_KEEP(self, body), 200))


def a_400_for_what_is_of_no_use(patch: pytest.MonkeyPatch) -> None:
    real = runs.read_callback
    patch.setattr(
        CallbackHandler,
        "_keep",
        lambda self, body: REAL_KEEP(self, body) if isinstance(real(body), runs.Callback) else 400,
    )


def logging_the_headers(patch: pytest.MonkeyPatch) -> None:
    real = CallbackHandler._status

    def answer(self: CallbackHandler, event: Mapping[str, Any]) -> int:
        self._telemetry.info("a request", headers=event["headers"])
        return real(self, event)

    patch.setattr(CallbackHandler, "_status", answer)


@pytest.mark.parametrize(
    "take_away",
    [
        no_signature_pattern,
        comparing_text,
        a_looser_pattern,
        comparing_a_prefix,
        only_the_current_secret,
        stripping_the_prefix,
        signing_what_was_parsed,
        not_decoding_base64,
        a_503_for_what_is_malformed,
        no_limit,
        reading_the_secret_at_every_mismatch,
        never_reading_it_again,
        not_catching_deep_nesting,
        not_catching_bad_json,
        any_run_id,
        any_job_id,
        anybodys_runs,
        batches_too,
        as_many_urls_as_there_are,
        urls_of_any_length,
        sending_twice,
        a_400_for_a_queue_that_fails,
        a_400_for_what_is_of_no_use,
        logging_the_headers,
    ],
    ids=lambda patch: patch.__name__,
)
def test_a_guard_that_is_missing_shows(take_away: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    take_away(monkeypatch)
    bench = Bench(SEED)
    for number in range(ENOUGH):
        bench.at(number)
        if bench.put(case(SEED, number))[1]:
            return
    pytest.fail("nothing was broken")
