"""Records what roles and policies decided, to show which permissions are used."""

import json
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ministack.core import iam_evaluator

from .patches.hooks import hook


def record(path: Path) -> None:
    """Append a line to ``path`` for each decision about a caller that is not the account's root: an object with
    ``principal`` (ARN), ``action``, ``resource`` (ARN), ``sid`` (the statement that allowed it, if one did) and
    ``allowed``, which a bucket's or a queue's own policy may have refused. Only where ``auth`` is on.
    """
    enforce = hook(iam_evaluator, "enforce", "access_key_id iam_action service region resource_arn service_context")
    evaluate = hook(iam_evaluator, "evaluate", "ctx policies limits")
    asked: ContextVar[list[dict[str, Any]] | None] = ContextVar("what is being asked", default=None)

    def noting(ctx: Any, *policies: Any) -> Any:
        result = evaluate(ctx, *policies)
        found = asked.get()
        if found == []:  # the role's policies are asked first, the resource's own after them
            found.append(
                {
                    "principal": ctx.principal_arn,
                    "action": ctx.action,
                    "resource": ctx.resource_arn,
                    "sid": result.matched_sid,
                }
            )
        return result

    def recording(*arguments: Any, **named: Any) -> Any:
        token = asked.set([])
        try:
            denied = enforce(*arguments, **named)
            found = asked.get() or []
        finally:
            asked.reset(token)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({**one, "allowed": denied is None}) + "\n" for one in found)
        return denied

    iam_evaluator.evaluate = noting
    iam_evaluator.enforce = recording
