"""Mend of what a role must allow, where the emulator checks roles at all."""

import functools
from typing import Any

from ministack.core import iam_actions

from .hooks import hook, still_needed

SINGLE = {
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}


def a_batch_of_messages_needs_the_single_permission() -> None:
    """Check ``SendMessageBatch`` and its like by the action for one message: IAM knows no other (SQS Developer Guide,
    "Amazon SQS API permissions").
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
