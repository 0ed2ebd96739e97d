"""Patch to what happens to a batch of queue messages after its function has run."""

import functools
import time
from typing import Any

from ministack.services import lambda_svc, sqs

from .hooks import hook, still_needed

# MiniStack's own back-off for an event source whose function fails; AWS backs off too, by undocumented amounts.
BACKOFF_SECONDS = 1.0


def a_wrong_item_identifier_fails_the_batch() -> None:
    """Read ``batchItemFailures`` as Lambda does: what is not understood fails the whole batch.

    MiniStack treats an identifier that is empty, null or not of this batch as no failure and deletes all messages.
    """
    original = hook(lambda_svc, "_run_sqs_batch", "esm func_rec event batch queue_url queue_name")
    hook(lambda_svc, "_execute_function", "func event")
    hook(sqs, "_delete_messages_for_esm", "queue_url receipt_handles")
    still_needed(
        _deletes(original, {"batchItemFailures": [{"itemIdentifier": "no such message"}]}), "a wrong identifier"
    )
    lambda_svc._run_sqs_batch = _run_batch


def a_concurrency_may_come_as_text() -> None:
    """Take a ``MaximumConcurrency`` that is text for the number that it is: CloudFormation gives the value of a
    parameter as text, and MiniStack's polls of the queue then fail.
    """
    original = hook(lambda_svc, "_sqs_esm_concurrency", "esm func_rec config queue")

    @functools.wraps(original)
    def concurrency(esm: dict[str, Any], *others: Any) -> int:
        scaling = esm.get("ScalingConfig") or {}
        numbers = {name: int(value) for name, value in scaling.items()}
        allowed: int = original({**esm, "ScalingConfig": numbers}, *others)
        return allowed

    as_text = {"ScalingConfig": {"MaximumConcurrency": "4"}}
    still_needed(original(as_text, {}, {}, None) == "4", "a concurrency that comes as text")
    lambda_svc._sqs_esm_concurrency = concurrency


def _deletes(run_batch: Any, answer: dict[str, Any]) -> bool:
    """Whether ``run_batch`` deletes the one message of a batch when the function gives this answer."""
    deleted: list[Any] = []
    kept = lambda_svc._execute_function, sqs._delete_messages_for_esm
    lambda_svc._execute_function = lambda *_: {"body": answer}
    sqs._delete_messages_for_esm = lambda *arguments: deleted.append(arguments)
    try:
        esm = {"UUID": "tried-out", "FunctionName": "f", "FunctionResponseTypes": ["ReportBatchItemFailures"]}
        run_batch(esm, {}, {}, [{"id": "m", "receipt_handle": "r"}], "url", "queue")
    finally:
        lambda_svc._execute_function, sqs._delete_messages_for_esm = kept
    return bool(deleted)


def _run_batch(
    esm: dict[str, Any],
    func_rec: dict[str, Any],
    event: dict[str, Any],
    batch: list[dict[str, Any]],
    queue_url: str,
    queue_name: str,
) -> None:
    """Run the function on a batch and delete the messages that it processed.

    The others become visible again when their visibility timeout has passed.
    """
    result = lambda_svc._execute_function(func_rec, event)
    failed = {message["id"] for message in batch}
    if not result.get("error") and not result.get("throttle"):
        partial = "ReportBatchItemFailures" in esm.get("FunctionResponseTypes", [])
        failed = failures(result.get("body"), failed) if partial else set()
    if failed:
        lambda_svc._esm_backoff_until[esm["UUID"]] = time.time() + BACKOFF_SECONDS
    done = {message["receipt_handle"] for message in batch if message["id"] not in failed}
    if done:
        sqs._delete_messages_for_esm(queue_url, done)
    esm["LastProcessingResult"] = f"{len(done)} of {len(batch)} messages processed" if failed else "OK"


def failures(answer: Any, identifiers: set[str]) -> set[str]:
    """The messages of a batch that failed, by the function's answer.

    Lambda's rules: nothing, null or an empty list is success; anything it cannot read, or an identifier that is not
    one of this batch, is the failure of all.
    """
    if answer is None or answer in ({}, ""):
        return set()
    if not isinstance(answer, dict):
        return identifiers
    items = answer.get("batchItemFailures")
    if items is None:
        return set()
    if not isinstance(items, list):
        return identifiers
    named: set[str] = set()
    for item in items:
        identifier = item.get("itemIdentifier") if isinstance(item, dict) else None
        if not isinstance(identifier, str) or identifier not in identifiers:
            return identifiers
        named.add(identifier)
    return named
