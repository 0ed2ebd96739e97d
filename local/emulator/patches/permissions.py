"""Patches to what a role must allow, for an emulator that enforces roles."""

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.services import dynamodb

from .hooks import hook, still_needed

SINGLE = {
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}


def a_batch_of_messages_needs_the_single_permission() -> None:
    """Check ``SendMessageBatch`` and the other batch calls as the action for one message, the only one in IAM
    (SQS Developer Guide, "Amazon SQS API permissions").
    """
    original = hook(iam_actions, "extract_iam_action", "service method path headers body query_params")

    @functools.wraps(original)
    def extract_iam_action(*arguments: Any, **named: Any) -> str | None:
        action: str | None = original(*arguments, **named)
        return SINGLE.get(action, action) if action else None

    target = {"x-amz-target": "AmazonSQS.SendMessageBatch"}
    asked = original("sqs", "POST", "/", target, b"", {})
    still_needed(asked in SINGLE, "a batch of messages is allowed by the permission for one")
    iam_actions.extract_iam_action = extract_iam_action


def a_wildcard_covers_a_line_break_too() -> None:
    """Let ``*`` and ``?`` match any character (IAM User Guide, "IAM JSON policy elements: Resource"): an object's key
    may hold a line break.
    """
    original = hook(iam_evaluator, "_fnmatch_compile", "pattern ignore_case")

    @functools.cache
    def compiled(pattern: str, ignore_case: bool) -> re.Pattern[str]:
        found: re.Pattern[str] = original(pattern, ignore_case)
        return re.compile(found.pattern.removesuffix("$") + r"\Z", found.flags | re.DOTALL)

    still_needed(not iam_evaluator.fnmatch_iam_cs("a\nb", "a*"), "a wildcard covers a line break")
    iam_evaluator._fnmatch_compile = compiled


def events_are_judged_by_their_sources() -> None:
    """Give ``PutEvents`` the condition keys ``events:source`` and ``events:detail-type``, each with a value for every
    event (EventBridge User Guide, "Using IAM policy conditions").
    """
    original = hook(iam_actions, "request_tag_context", "service iam_action body params")

    @functools.wraps(original)
    def request_tag_context(service: str, iam_action: str, body: bytes, params: Any) -> dict[str, Any]:
        context: dict[str, Any] = original(service, iam_action, body, params)
        if iam_action != "events:PutEvents":
            return context
        keys = {"events:source": "Source", "events:detail-type": "DetailType"}
        entries = json.loads(body).get("Entries", [])
        named = {key: [entry[name] for entry in entries if entry.get(name)] for key, name in keys.items()}
        return {**context, **{key: values for key, values in named.items() if values}}

    body = json.dumps({"Entries": [{"Source": "a"}]}).encode()
    still_needed("events:source" not in original("events", "events:PutEvents", body, {}), "events:source")
    iam_actions.request_tag_context = request_tag_context


def items_are_judged_by_their_keys() -> None:
    """Give DynamoDB's calls the condition key ``dynamodb:LeadingKeys``, with the partition key of every item that they
    name (DynamoDB Developer Guide, "Using IAM policy conditions for fine-grained access control"). A query's is left
    out: no policy here asks for it.
    """
    original = hook(iam_actions, "dynamodb_service_context", "body")

    @functools.wraps(original)
    def dynamodb_service_context(body: bytes) -> dict[str, Any]:
        context: dict[str, Any] = original(body)
        keys = list(leading_keys(json.loads(body or b"{}")))
        return {**context, "dynamodb:LeadingKeys": keys} if keys else context

    body = json.dumps({"TableName": "t", "Key": {"pk": {"S": "a"}}}).encode()
    still_needed("dynamodb:LeadingKeys" not in original(body), "dynamodb:LeadingKeys")
    iam_actions.dynamodb_service_context = dynamodb_service_context


def leading_keys(request: dict[str, Any]) -> Iterator[str]:
    """The partition key of each item that a request of DynamoDB's names."""
    for action in request.get("TransactItems", []):
        for one in action.values():
            yield from leading_keys(one)
    for table, found in request.get("RequestItems", {}).items():
        writes = [one for write in found for one in write.values()] if isinstance(found, list) else []
        for one in writes or [{"Key": key} for key in found.get("Keys", [])]:
            yield from leading_keys({"TableName": table, **one})
    item = request.get("Key") or request.get("Item") or {}
    schema = (dynamodb._tables.get(request.get("TableName")) or {}).get("KeySchema", [])
    names = [key["AttributeName"] for key in schema if key["KeyType"] == "HASH"] or list(item)[:1]
    for name in names:
        yield from item.get(name, {}).values()
