"""Sends callbacks and retries them (contract section 4; contract 13.28)."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from time import perf_counter
from uuid import uuid4

import httpx

from local.runflow.account import Account
from local.runflow.behaviour import Behaviour
from local.runflow.faults import Faults, Rule
from local.runflow.ids import uuid7
from local.runflow.model import Attempt, Delivery, Run
from local.runflow.wire import sign

log = logging.getLogger(__name__)


class CallbackSender:
    """Runs each delivery as a task of its own; `stop` cancels those in progress."""

    def __init__(self, account: Account, faults: Faults, client: httpx.AsyncClient) -> None:
        self._account = account
        self._faults = faults
        self._client = client
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: list[asyncio.Event] = []

    def send(self, run: Run, delivery: Delivery, behaviour: Behaviour) -> None:
        """Send in the background, subject to the fault rules on `callback`."""
        rules = self._faults.take("callback", client_ref=run.client_ref)
        task = asyncio.create_task(self._send(delivery, behaviour, {rule.do: rule for rule in rules}))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Cancel every delivery in progress."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._waiting.clear()

    async def _send(self, delivery: Delivery, behaviour: Behaviour, rules: dict[str, Rule]) -> None:
        if "lose" in rules:
            self._close(delivery, "failed", "lost", "dropped by a fault rule")
            return
        if delay := rules.get("delay"):
            await asyncio.sleep(delay.options["seconds"])
        if reorder := rules.get("reorder"):
            overtaken = asyncio.Event()
            self._waiting.append(overtaken)
            with suppress(TimeoutError):
                await asyncio.wait_for(overtaken.wait(), reorder.options["seconds"])
        body, headers = delivery.payload_bytes, {"Content-Type": "application/json"}
        if delivery.signing_secret is not None:
            headers["Runflow-Signature"] = sign(delivery.signing_secret, body)
        if corrupt := rules.get("corrupt"):
            body = _corrupt(corrupt.options["how"], body, headers)
        await self._deliver(delivery, body, headers, behaviour)
        if duplicate := rules.get("duplicate"):
            for _ in range(duplicate.options["copies"]):
                await asyncio.sleep(duplicate.options["seconds"])
                await self._attempt(delivery, body, headers, behaviour)

    async def _deliver(self, delivery: Delivery, body: bytes, headers: dict[str, str], behaviour: Behaviour) -> None:
        for wait in (*behaviour.delays, None):
            attempt = await self._attempt(delivery, body, headers, behaviour)
            # Release the callbacks that were waiting for this one to overtake them.
            while self._waiting:
                self._waiting.pop(0).set()
            status = attempt.status_code
            if status is not None and 200 <= status < 300:
                self._close(delivery, "delivered")
                return
            # The model's page: 5xx and network errors only, so every other answer is final.
            final = behaviour.callback_retries == "brief" and status is not None and status < 500
            if final or wait is None:
                reason = "no_response" if status is None else "http_status"
                self._close(delivery, "failed", reason, attempt.error_message or f"answered {status}")
                return
            delivery.next_attempt_at = self._account.now()
            await asyncio.sleep(wait)

    async def _attempt(self, delivery: Delivery, body: bytes, headers: dict[str, str], behaviour: Behaviour) -> Attempt:
        attempt = Attempt(uuid7(), len(delivery.attempts) + 1, None, None, 0, None, self._account.now())
        delivery.attempts.append(attempt)
        began = perf_counter()
        try:
            answer = await self._client.post(
                delivery.callback_url,
                content=body,
                headers={**headers, "Runflow-Request-Id": str(uuid4())},
                timeout=behaviour.callback_timeout,
            )
            attempt.status_code, attempt.response_body = answer.status_code, answer.text[:1000]
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            attempt.error_message = f"{type(error).__name__}: {error}"
        attempt.response_time_ms = round((perf_counter() - began) * 1000)
        delivery.updated_at = self._account.now()
        log.info(
            "callback of run %s, attempt %d: %s",
            delivery.run_id, attempt.number, attempt.status_code or attempt.error_message,
        )  # fmt: skip
        return attempt

    def _close(self, delivery: Delivery, status: str, reason: str | None = None, detail: str | None = None) -> None:
        delivery.status_code = status
        delivery.failure_reason_code = reason
        delivery.failure_detail = detail
        delivery.next_attempt_at = None
        delivery.completed_at = delivery.updated_at = self._account.now()


def _corrupt(how: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Corrupt a signed callback as a network could; changes `headers` if the signature is what is corrupted."""
    match how:
        case "body":
            return body[:-1] + bytes([body[-1] ^ 1])
        case "truncated":
            return body[: len(body) // 2]
        case "unsigned":
            headers.pop("Runflow-Signature", None)
        case "signature" if signature := headers.get("Runflow-Signature"):
            headers["Runflow-Signature"] = ("0" if signature[0] != "0" else "1") + signature[1:]
    return body
