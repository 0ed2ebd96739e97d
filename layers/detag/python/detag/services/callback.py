"""`callback`: a callback is verified over its raw bytes, then queued."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from detag.domain import waits
from detag.domain.metrics import Metric
from detag.domain.runs import Callback, read_callback, result_message
from detag.domain.values import dataclass
from detag.ports.clock import Clock
from detag.ports.errors import Transient, safe_description
from detag.ports.queue import Queue
from detag.ports.secrets import CallbackSecrets, Unset
from detag.ports.telemetry import Telemetry

MAX_BODY_BYTES: Final = 1_048_576
"""An ordinary envelope is a few KB; the guide's own sample takes up to 5 MB (contract section 4). API Gateway takes
10 MB, Lambda's event 6 MB.
"""
CACHE_SECONDS: Final = waits.SECRET_CACHE.seconds
REPLAY_SECONDS: Final = waits.REPLAY.seconds
MAX_REMEMBERED: Final = 1_000
REREAD_SECONDS: Final = waits.SECRET_REREAD.seconds
RETRY_SECONDS: Final = waits.SECRET_RETRY.seconds
_SIGNATURE: Final = re.compile(rb"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class Request:
    """A POST as it was received: the body's own bytes, and the value of `Runflow-Signature` if there was one."""

    body: bytes
    signature: str | None


class MalformedRequest(Exception):
    """The gateway's event holds no readable body."""


class BodyTooLarge(Exception):
    """The body has more than `MAX_BODY_BYTES`."""


def read_request(event: Mapping[str, Any]) -> Request:
    """The request in an API Gateway event of payload format 2.0. Raises `MalformedRequest` and `BodyTooLarge`.

    A text that is too long for a body of `MAX_BODY_BYTES` is not decoded: a flood of such costs next to no time.
    """
    text = event.get("body") or ""
    headers = event.get("headers") or {}
    if not isinstance(text, str) or not isinstance(headers, Mapping):
        raise MalformedRequest
    most = -(-MAX_BODY_BYTES // 3) * 4 if event.get("isBase64Encoded") else MAX_BODY_BYTES
    if len(text) > most:
        raise BodyTooLarge
    signature = next((value for name, value in headers.items() if str(name).lower() == "runflow-signature"), None)
    try:
        body = base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else text.encode()
    except (binascii.Error, UnicodeError, ValueError):
        raise MalformedRequest from None
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge
    return Request(body, signature if isinstance(signature, str) else None)


def signature_of(body: bytes, secret: bytes) -> bytes:
    """HMAC-SHA256 of the raw body under the whole secret, `whsec_` included, as lower-case hex (contract section 4)."""
    return hmac.new(secret, body, hashlib.sha256).hexdigest().encode()


def matching_secret(body: bytes, signature: bytes, secrets: Sequence[bytes]) -> int | None:
    """Which secret signed the body: 0 is the current one; None where none did.

    Every secret is compared, in constant time, and as bytes: of text, only ASCII can be compared.
    """
    matches = [hmac.compare_digest(signature_of(body, secret), signature) for secret in secrets]
    return matches.index(True) if True in matches else None


class SecretList:
    """The accepted secrets, cached.

    However many requests come, the secret is read at most every `REREAD_SECONDS`, or `RETRY_SECONDS` while it cannot
    be read.
    """

    def __init__(self, *, source: CallbackSecrets, clock: Clock) -> None:
        self._source, self._clock = source, clock
        self._secrets: tuple[bytes, ...] = ()
        self._read_at = self._failed_at = float("-inf")
        self._failure: Exception = Transient("the secret has not been read")
        self._lock = threading.Lock()

    def current(self) -> tuple[bytes, ...]:
        """The secrets; older ones than `CACHE_SECONDS` only where they cannot be read now.

        Raises `Unset`, or whatever keeps them from being read.
        """
        with self._lock:
            try:
                return self._no_older_than(CACHE_SECONDS)
            except Unset:
                raise
            except Exception:  # a passing fault, or a mistake in a policy: yesterday's secrets are still Runflow's
                if not self._secrets:
                    raise
                return self._secrets

    def newer(self) -> tuple[bytes, ...]:
        """The secrets after a mismatch: no older than `REREAD_SECONDS`. Raises as `current`."""
        with self._lock:
            return self._no_older_than(REREAD_SECONDS)

    def _no_older_than(self, seconds: float) -> tuple[bytes, ...]:
        now = self._clock.now()  # not the stopwatch: it may stand still while a function is frozen between requests
        if 0 <= now - self._read_at < seconds:
            return self._secrets
        if 0 <= now - self._failed_at < RETRY_SECONDS:
            raise self._failure.with_traceback(None)
        try:
            self._secrets = self._source.read()
        except Exception as failure:
            self._failed_at, self._failure = now, failure
            raise
        self._read_at = now
        return self._secrets


class CallbackHandler:
    """Answers callbacks: nothing is parsed before its signature is verified, and nothing is answered 200 before it is
    queued.
    """

    def __init__(self, *, secrets: SecretList, results: Queue, clock: Clock, telemetry: Telemetry) -> None:
        self._secrets, self._results, self._clock, self._telemetry = secrets, results, clock, telemetry
        self._queued: dict[bytes, float] = {}

    def handle(self, event: Mapping[str, Any]) -> int:
        """The HTTP status for an API Gateway event.

        401 for what no accepted secret signed, 413 for a body that is too large, 503 where it could not be verified or
        queued (Runflow retries on 5xx only), 200 for anything that Runflow signed, once it is queued or known to be of
        no use.
        """
        try:
            status = self._status(event)
        except Exception as error:  # noqa: BLE001 - whatever it was, the callback is not verified: a retry may be
            self._telemetry.warning("callback could not be processed", error=safe_description(error))
            status = 503
        self._telemetry.count(Metric(f"Answered{status}"))
        return status

    def _status(self, event: Mapping[str, Any]) -> int:
        try:
            request = read_request(event)
        except MalformedRequest:
            return 401
        except BodyTooLarge:
            return 413
        try:
            genuine = self._is_genuine(request)
        except (Unset, Transient) as error:
            self._telemetry.warning("callback signature could not be verified", error=str(error))
            return 503
        return self._keep(request.body) if genuine else 401

    def _is_genuine(self, request: Request) -> bool:
        signature = (request.signature or "").encode(errors="replace")
        if not _SIGNATURE.match(signature):
            return False
        place = matching_secret(request.body, signature, self._secrets.current())
        if place is None:
            place = matching_secret(request.body, signature, self._secrets.newer())
        if place:
            self._telemetry.count(Metric.PREVIOUS_SECRET_MATCHED)
        return place is not None

    def _keep(self, body: bytes) -> int:
        callback = read_callback(body)
        if not isinstance(callback, Callback):
            self._telemetry.count(Metric.UNUSABLE_CALLBACK)
            self._telemetry.warning("signed callback ignored", why=callback)
            return 200
        digest, now = hashlib.sha256(body).digest(), self._clock.now()
        if 0 <= now - self._queued.get(digest, float("-inf")) < REPLAY_SECONDS:
            return 200
        try:
            self._results.send([result_message(callback, now)])
        except Transient:
            self._telemetry.warning("callback could not be queued", run_id=callback.run_id)
            return 503
        self._remember(digest, now)
        self._telemetry.info("callback queued", job_id=callback.job_id, run_id=callback.run_id, status=callback.status)
        return 200

    def _remember(self, digest: bytes, now: float) -> None:
        """The queue has this body: within a minute it need not have it again, however often it is replayed."""
        self._queued.pop(digest, None)
        self._queued[digest] = now
        if len(self._queued) > MAX_REMEMBERED:
            del self._queued[next(iter(self._queued))]
