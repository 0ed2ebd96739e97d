"""One organisation's account at the mock Runflow, and others' runs: keys, money, callback secrets. Pure state.

Nothing here waits, reads a file or opens a connection; the clock comes from outside. Everything is kept until `reset`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

from local.runflow.behaviour import Behaviour
from local.runflow.ids import uuid7
from local.runflow.model import Delivery, Failure, Fate, Json, Output, Run, Secret, Status
from local.runflow.problems import Problem, invalid

MODEL: Final = "runflow/tag-removal"
RATIO: Final = re.compile(r"\d{1,2}:\d{1,2}")

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The real clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Answer:
    """An answer as it went out, kept for an Idempotency-Key: `digest` is the SHA-256 of the request's body."""

    digest: bytes
    status: int
    body: bytes
    content_type: str


class Account:
    """The state behind the API. `price` and `balance` in USD."""

    def __init__(self, api_keys: Iterable[str], balance: Decimal, price: Decimal, clock: Clock = utc_now) -> None:
        self.api_keys = frozenset(api_keys)
        self.other_keys: dict[str, str] = {}
        """Keys of other organisations, and whose each is. Each organisation sees its own runs; all else is shared."""
        self.price = price
        self.now = clock
        self.org_id = uuid7()
        self.model_id = uuid7()
        self.balance_id = uuid7()
        self.opened_at = clock()
        self.secrets: dict[str, Secret] = {}
        self._first_balance = balance
        self.reset()

    def reset(self) -> None:
        """Forget runs, answers, spending and other organisations; keys and callback secrets stay."""
        self.other_keys.clear()
        self.balance = self._first_balance
        self.runs: dict[str, Run] = {}
        self.requests: Counter[str] = Counter()
        self.answers: dict[tuple[str, str], Answer] = {}
        self._allowance: dict[str, tuple[float, float]] = {}

    # Keys and limits

    def check_key(self, authorization: str | None, *, own: bool = False) -> str:
        """The API key of a request; `own`: one that the mock was started with. Raises Problem 401 (contract section
        1).
        """
        scheme, _, key = (authorization or "").partition(" ")
        keys = self.api_keys if own else (*self.api_keys, *self.other_keys)
        known = any(hmac.compare_digest(key.strip().encode(), each.encode()) for each in keys)
        if scheme.lower() != "bearer" or not known:
            raise unauthorized()
        return key.strip()

    def org_of(self, key: str) -> str:
        """The organisation that a key belongs to."""
        return self.other_keys.get(key, self.org_id)

    def check_rate(self, key: str, per_second: float) -> dict[str, str]:
        """Take one request from the key's allowance: one second's worth. Raises Problem 429 (contract section 7).

        Returns the headers that the older page has on every response, and the newer on none.
        """
        if not per_second:
            return {}
        now, most = self.now().timestamp(), max(1.0, per_second)
        left, then = self._allowance.get(key, (most, now))
        left = min(most, left + (now - then) * per_second)
        self._allowance[key] = (max(0.0, left - 1) if left >= 1 else left, now)
        wait = max(1, round((1 - left) / per_second))
        headers = {
            "X-RateLimit-Limit": str(round(most)),
            "X-RateLimit-Remaining": str(max(0, int(left - 1))),
            "X-RateLimit-Reset": str(round(now + wait)),
        }
        if left < 1:
            headers["Retry-After"] = str(wait)
            raise Problem(429, "RATE_LIMITED", f"Rate limit exceeded: {per_second:g} requests/s", headers=headers)
        return headers

    def check_credit(self, behaviour: Behaviour) -> None:
        """Raises Problem 402 once there is not enough left for a run (contract section 11)."""
        if self.balance < self.price:
            raise out_of_credit(behaviour)

    # Runs

    def create_run(
        self, model: str, body: bytes, behaviour: Behaviour, fate: Callable[[str | None], Fate], org_id: str
    ) -> Run:
        """A new queued run (contract section 2). Raises Problem 400, 402, 404 or 422, and then nothing was made."""
        if model != MODEL:
            raise Problem(404, "MODEL_NOT_FOUND", f"there is no model {model}")
        asked = read_create(body, behaviour)
        self.check_credit(behaviour)
        run = Run(
            id=uuid7(),
            model=model,
            input=asked["input"],
            client_ref=asked.get("client_ref"),
            metadata=_stored_metadata(asked.get("metadata")),
            callback_url=asked.get("callback_url"),
            request_id=str(uuid4()),
            created_at=self.now(),
            fate=fate(asked.get("client_ref")),
            org_id=org_id,
        )
        self.runs[run.id] = run
        return run

    def run(self, run_id: str, org_id: str) -> Run:
        """A run of an organisation that is known by now. Raises Problem 404 (contract section 3)."""
        run = self.runs.get(run_id)
        if run is None or run.org_id != org_id or self._age(run) < run.fate.forget_seconds:
            raise Problem(404, "RUN_NOT_FOUND", "there is no such run")
        return run

    def listed_runs(self, org_id: str) -> Iterator[Run]:
        """The runs that the run list shows an organisation by now, oldest first."""
        for run in self.runs.values():
            if run.org_id == org_id and self._age(run) >= max(run.fate.forget_seconds, run.fate.hide_seconds):
                yield run

    def _age(self, run: Run) -> float:
        return (self.now() - run.created_at).total_seconds()

    def begin(self, run: Run) -> None:
        """A worker has started on the run."""
        run.status = Status.RUNNING
        run.started_at = self.now()

    def finish(self, run: Run, outputs: tuple[Output, ...]) -> None:
        """End the run as its fate says, else as succeeded. Only (partial) success costs, unless the fate has a cost."""
        fate = run.fate
        end = fate.end or Status.SUCCEEDED
        made = end in (Status.SUCCEEDED, Status.PARTIAL_SUCCEEDED)
        run.outputs = outputs if made and not fate.without_output else ()
        usual = self.price if made else Decimal(0)
        self._end(run, end, usual if fate.cost is None else fate.cost)
        if not made and end is not Status.CANCELED:
            run.failure = Failure(fate.code, fate.message, fate.stage)

    def fail(self, run: Run, failure: Failure) -> None:
        """The run failed by itself, which is free (contract section 11)."""
        run.failure = failure
        self._end(run, Status.FAILED, Decimal(0))

    def _end(self, run: Run, status: Status, cost: Decimal) -> None:
        run.status = status
        run.completed_at = self.now()
        run.cost = cost
        self.balance -= cost

    def new_delivery(self, run: Run, payload: bytes, behaviour: Behaviour, *, automatic: bool) -> Delivery:
        """A callback of a run, to be signed with the secret that is current now (contract section 4)."""
        secret = self.current_secret()
        now = self.now()
        if secret is not None:
            secret.last_used_at = now
        delivery = Delivery(
            id=uuid7(),
            run_id=run.id,
            callback_url=run.callback_url or "",
            payload_bytes=payload,
            signing_secret_id=secret.id if secret else None,
            signing_secret=secret.plain_secret if secret else None,
            is_automatic=automatic,
            max_attempts=len(behaviour.delays) + 1,
            created_at=now,
            updated_at=now,
            next_attempt_at=now,
        )
        run.deliveries.append(delivery)
        return delivery

    def check_redelivery(self, run: Run) -> None:
        """Raises Problem 422 where a run's callback cannot be sent again now (contract section 4, "Redelivery")."""
        if not run.status.terminal:
            raise invalid("run", "has not ended yet")
        if run.callback_url is None:
            raise invalid("run", "has no callback_url")
        if any(delivery.status_code == "pending" for delivery in run.deliveries):
            message = "a delivery is in flight"
            raise Problem(422, "validation_error", message, [{"error_type": "conflict", "message": message}])

    # Callback secrets (contract section 5)

    def current_secret(self) -> Secret | None:
        """The secret that signs, if any does."""
        return next((secret for secret in self.secrets.values() if secret.is_current), None)

    def create_secret(self, label: str | None, behaviour: Behaviour) -> Secret:
        """A new secret, which signs at once if the chosen reading says so."""
        now = self.now()
        secret = Secret(
            id=uuid7(),
            plain_secret=f"whsec_{secrets.token_urlsafe(32)}",
            label=label,
            is_current=False,
            created_at=now,
            updated_at=now,
        )
        self.secrets[secret.id] = secret
        signs = behaviour.new_secret_signs
        if signs == "newest" or (signs == "first" and len(self.secrets) == 1):
            self.promote_secret(secret)
        return secret

    def secret(self, secret_id: str) -> Secret:
        """Raises Problem 404."""
        if secret_id not in self.secrets:
            raise Problem(404, "CALLBACK_SECRET_NOT_FOUND", "there is no such callback secret")
        return self.secrets[secret_id]

    def promote_secret(self, secret: Secret) -> None:
        """From now on this secret signs, and no other."""
        for each in self.secrets.values():
            each.is_current = each is secret
        secret.updated_at = self.now()

    def delete_secret(self, secret_id: str) -> None:
        """Raises Problem 404. Deliveries already made stay signed with it."""
        del self.secrets[self.secret(secret_id).id]

    # Idempotency (contract section 8)

    def remembered(self, key: str | None, place: str, body: bytes, behaviour: Behaviour) -> Answer | None:
        """The answer that this Idempotency-Key was given before at `place` (method and path).

        Raises Problem 409 where the key came with another body, or if the chosen reading allows a key only once.
        """
        if key is None or behaviour.idempotency == "ignored":
            return None
        answer = self.answers.get((place, key))
        if answer is None:
            return None
        if behaviour.idempotency == "conflict":
            raise Problem(409, "CONFLICT", "this Idempotency-Key was used before")
        if answer.digest != hashlib.sha256(body).digest():
            raise Problem(409, "CONFLICT", "this Idempotency-Key was used with another body")
        return answer

    def remember(self, key: str | None, place: str, body: bytes, status: int, answer: bytes, content_type: str) -> None:
        """Keep an answer for its Idempotency-Key. The caller decides which answers are kept."""
        if key is not None:
            self.answers[place, key] = Answer(hashlib.sha256(body).digest(), status, answer, content_type)

    # Billing

    def billing(self, *, with_runs: bool = True) -> Json:
        """What would have been billed. Amounts in USD as strings; `creates` counts all requests to create a run."""
        ended = [run for run in self.runs.values() if run.cost is not None]
        paid = [run for run in ended if run.cost]
        by_ref: dict[str, Json] = {}
        for run in self.runs.values():
            entry = by_ref.setdefault(run.client_ref or "", {"runs": 0, "paid": 0, "cost": Decimal(0)})
            entry["runs"] += 1
            entry["paid"] += bool(run.cost)
            entry["cost"] += run.cost or 0
        billing: Json = {
            "price": str(self.price),
            "balance": str(self.balance),
            "creates": self.requests["create_run"],
            "runs": len(self.runs),
            "open": len(self.runs) - len(ended),
            "paid_runs": len(paid),
            "total": str(sum((run.cost or Decimal(0) for run in paid), Decimal(0))),
            "by_status": dict(Counter(run.status.value for run in self.runs.values())),
            "requests": dict(self.requests),
            "callbacks": {
                "deliveries": sum(len(run.deliveries) for run in self.runs.values()),
                "attempts": sum(len(each.attempts) for run in self.runs.values() for each in run.deliveries),
                "delivered": sum(
                    each.status_code == "delivered" for run in self.runs.values() for each in run.deliveries
                ),
            },
            "by_client_ref": {ref: entry | {"cost": str(entry["cost"])} for ref, entry in by_ref.items()},
        }
        if with_runs:
            billing["per_run"] = [self._entry(run) for run in self.runs.values()]
        return billing

    def _entry(self, run: Run) -> Json:
        # Without its query the URL names the photo but no longer grants access to it.
        url = urlsplit(str(run.input.get("image_url")))
        return {
            "id": run.id,
            "client_ref": run.client_ref,
            "metadata": run.metadata,
            "image": f"{url.netloc}{url.path}" if url.scheme in ("http", "https") else f"{url.scheme}:",
            "status_code": run.status.value,
            "cost": None if run.cost is None else str(run.cost),
            "created_at": run.created_at.isoformat(),
            "completed_at": run.completed_at.isoformat() if run.completed_at else None,
        }


def unauthorized() -> Problem:
    """401."""
    return Problem(401, "UNAUTHORIZED", "Missing or invalid API key.")


def out_of_credit(behaviour: Behaviour) -> Problem:
    """402."""
    return Problem(402, behaviour.credit_code, "Your organization is out of credit.")


def read_create(body: bytes, behaviour: Behaviour) -> Json:
    """The body of a create request, checked (contract sections 2 and 12). Raises Problem 400 or 422.

    Unknown fields are ignored. Lengths: client_ref 255, callback_url 2048 (both documented for batches only).
    """
    asked = read_object(body)
    if not isinstance(asked.get("input"), dict):
        raise invalid("body.input", "Field required" if asked.get("input") is None else "must be an object")
    url = asked["input"].get("image_url")
    if not isinstance(url, str):
        raise invalid("body.input.image_url", "Field required" if url is None else "must be a string")
    if scheme_of(url) not in ("http", "https", "data"):
        raise invalid("body.input.image_url", "must be an http(s) URL")
    config = asked["input"].get("config")
    if config is not None and not isinstance(config, dict):
        raise invalid("body.input.config", "must be an object")
    ratio = (config or {}).get("aspect_ratio")
    if ratio is not None and not (isinstance(ratio, str) and RATIO.fullmatch(ratio) and "0" not in ratio.split(":")):
        raise invalid("body.input.config.aspect_ratio", "must be a ratio such as 4:3")
    if asked.get("metadata") is not None and not isinstance(asked["metadata"], dict):
        raise invalid("body.metadata", "must be an object")
    if behaviour.client_ref_field == "rejected" and "client_ref" in asked:
        raise invalid("body.client_ref", "Extra inputs are not permitted")
    for name, longest in (("client_ref", 255), ("callback_url", 2048)):
        value = asked.get(name)
        if value is not None and (not isinstance(value, str) or len(value) > longest):
            raise invalid(f"body.{name}", f"must be a string of at most {longest} characters")
    callback_url = asked.get("callback_url")
    if callback_url is not None and scheme_of(callback_url) not in ("http", "https"):
        raise invalid("body.callback_url", "must be an http(s) URL")
    return asked


def read_object(body: bytes) -> Json:
    """A request's body as a JSON object. Raises Problem 400 where it is not JSON, 422 where it is something else."""
    try:
        value: Any = json.loads(body or b"null")
    except (ValueError, RecursionError):
        raise Problem(400, "BAD_REQUEST", "the body is not JSON") from None
    if not isinstance(value, dict):
        raise invalid("body", "must be a JSON object")
    return value


def scheme_of(url: str) -> str | None:
    """The scheme of a URL that can be parsed and, for http(s), names a host."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts.scheme if parts.scheme == "data" or parts.hostname else None


def _stored_metadata(metadata: Json | None) -> Json | None:
    """Metadata as it is kept: top-level `data:` strings become references to assets (contract 13.24)."""
    if metadata is None:
        return None
    return {
        name: f"runflow://assets/{uuid7()}" if isinstance(value, str) and value.startswith("data:") else value
        for name, value in metadata.items()
    }
