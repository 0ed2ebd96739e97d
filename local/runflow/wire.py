"""What goes over the wire: pure functions from state to JSON, under a given reading of the contract."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from local.runflow.account import Account
from local.runflow.behaviour import Behaviour
from local.runflow.model import Delivery, Json, Run, Secret, Status
from local.runflow.problems import Problem
from local.runflow.query import Page

EVENTS: Final[Mapping[Status, str]] = {
    Status.SUCCEEDED: "run.completed",
    Status.FAILED: "run.failed",
    Status.ERRORED: "run.failed",
    Status.TIMEOUT: "run.failed",
    Status.CANCELED: "run.cancelled",
    Status.PARTIAL_SUCCEEDED: "run.partial_succeeded",
}
"""The event of a callback by the run's status: two l in this name alone (contract section 4)."""


def encode(value: object) -> bytes:
    """Compact UTF-8 JSON, as the mock sends it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def sign(secret: str, body: bytes) -> str:
    """`Runflow-Signature`: lower-case hex of the HMAC-SHA256 keyed with the whole secret (contract section 4)."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def time(moment: datetime | None, behaviour: Behaviour) -> str | None:
    """A time in UTC with six digits of a second, so that texts sort as times do."""
    if moment is None:
        return None
    text = moment.isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z") if behaviour.timestamps == "z" else text


def money(amount: Decimal | None) -> str | None:
    """An amount in USD as a decimal string."""
    return None if amount is None else f"{amount:f}"


def status(run: Run, spelling: str) -> str:
    """`status_code` of a run; only the cancelled one has two spellings (contract 13.1)."""
    return spelling if run.status is Status.CANCELED else run.status.value


def output(run: Run, urls: list[str], behaviour: Behaviour) -> Json | str | None:
    """The output of a run that made something, in one of the shapes that are met (contract 13.3)."""
    if run.status not in (Status.SUCCEEDED, Status.PARTIAL_SUCCEEDED):
        return None
    extras: Json = {"seed": None, "timing": None, "nsfw_detected": None}
    first = urls[0] if urls else None
    match behaviour.output_shape:
        case "outputs":
            return {"outputs": [{"url": url, "type": "image"} for url in urls], **extras}
        case "outputs_plain":
            return {"outputs": urls, **extras}
        case "image":
            return {"image": {"url": first} if first else None}
        case "image_list":
            return {"image": urls}
        case "text":
            return first
        case "image_urls" | "images" as name:
            return {name: urls}
        case name:
            return {name: first}


def run_record(run: Run, urls: list[str], account: Account, behaviour: Behaviour) -> Json:
    """The run object of contract section 2; `urls` are freshly signed output URLs, in order."""
    completed = time(run.completed_at, behaviour)
    record: Json = {
        "id": run.id,
        "org_id": run.org_id,
        "model_id": account.model_id,
        "flow_id": None,
        "flow_version_id": None,
        "comfyui_workflow_id": None,
        "batch_id": None,
        "resolved_template_id": None,
        "request_id": run.request_id,
        "created_by": None,
        "client_ref": run.client_ref,
        "metadata": run.metadata,
        "callback_url": run.callback_url,
        "input": _input(run, behaviour),
        "status_code": status(run, behaviour.cancelled_spelling),
        "target_type": "model",
        "target_version": None,
        "source_code": "api",
        "nodes_total": 1,
        "nodes_completed": int(run.status.terminal),
        "has_logs": False,
        "has_node_runs": False,
        "links": {},
        "node_runs": [],
        "output": output(run, urls, behaviour),
        "context": {},
        "duration_ms": run.duration_ms,
        "cost": money(run.cost),
        "cost_breakdown": {},
        "created_at": time(run.created_at, behaviour),
        "started_at": time(run.started_at, behaviour),
        behaviour.completed_field: completed,
    }
    return _with_failure(record, run, behaviour)


def _input(run: Run, behaviour: Behaviour) -> Json | None:
    """What a record shows of the input: an asset may stand in place of the URL (contract 16.5)."""
    if behaviour.input_shown == "nothing":
        return None
    if behaviour.input_shown == "sent":
        return run.input
    url, config = str(run.input["image_url"]), run.input.get("config") or {}
    match behaviour.input_shown:
        case "defaults":
            return {**run.input, "config": {"aspect_ratio": str(config.get("aspect_ratio", "1:1")).replace(":", "x")}}
        case "requoted":
            return {**run.input, "image_url": url.replace("%20", "+")}
        case "escaped_twice":
            return {**run.input, "image_url": url.replace("%", "%25")}
    place = "runflow://assets/" if behaviour.input_shown == "asset" else "https://pub-0123456789abcdef.r2.dev/"
    return {**run.input, "image_url": f"{place}{run.id}"}


THIN: Final = ("id", "status_code", "status", "created_at")


def entry(record: Json, fields: str | None, behaviour: Behaviour) -> Json | str:
    """An entry of the run list, `fields` naming those that are asked for (contract section 3, 16.9)."""
    match behaviour.list_entries:
        case "ids":
            return str(record["id"])
        case "nested":
            return {"id": None, "run": record}
        case "no_ids":
            return record | {"id": None}
    wanted = [name.strip() for name in fields.split(",")] if fields and behaviour.list_fields == "honoured" else None
    if behaviour.list_entries == "thin":
        wanted = list(THIN)
    return record if wanted is None else {name: value for name, value in record.items() if name in wanted}


def _with_failure(record: Json, run: Run, behaviour: Behaviour) -> Json:
    """The failure of a run under the names that one of the pages gives its fields (contract 13.6)."""
    code, message, stage = (
        (run.failure.code, run.failure.message, run.failure.stage) if run.failure else (None, None, None)
    )
    match behaviour.failure_fields:
        case "reference":
            return record | {"failure_code": code, "failure_message": message, "failure_stage_code": stage}
        case "errors_page":
            record["status"] = record.pop("status_code")
            return record | {"failure_code": code, "failure_message": message, "failure_stage": stage}
        case "sdk":
            return record | {"error": {"code": code, "message": message} if run.failure else None}
        case "failure_reason":
            return record | {"failure_reason": message}


def search_row(run: Run, behaviour: Behaviour) -> Json:
    """The fields of a run that the list can be searched and sorted by."""
    return {
        "id": run.id,
        "status_code": status(run, behaviour.cancelled_spelling),
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "completed_at": run.completed_at.isoformat() if run.completed_at else None,
        "duration_ms": run.duration_ms,
        "model_id": run.model,
        "client_ref": run.client_ref,
    }


def list_body(items: Sequence[Json | str], page: Page, behaviour: Behaviour) -> Json | list[Json | str]:
    """One page of a list with its cursors (contract 13.15)."""
    match behaviour.list_cursors:
        case "next_pq":
            return {behaviour.list_key: items, "next_pq": page.next, "prev_pq": page.previous}
        case "next_cursor":
            return {behaviour.list_key: items, "pagination": {"next_cursor": page.next}}
        case "has_more":
            return {behaviour.list_key: items, "has_more": page.next is not None}
        case "bare":
            return list(items)
    return {behaviour.list_key: items, "first": None, "next": page.next, "previous": page.previous}


def envelope(run: Run, urls: list[str], behaviour: Behaviour) -> Json:
    """The body of a callback (contract section 4). There is no client_ref in it; times have an offset."""
    result: Json | str | None = output(run, urls, behaviour)
    if run.failure is not None:
        error = {"code": run.failure.code, "message": run.failure.message}
        shapes: dict[str, Json | None] = {
            "null": None,
            "flat": {**error, "errors": None},
            "nested": {"error": error},
        }
        result = shapes[behaviour.failed_output]
    return {
        "event": EVENTS[run.status],
        "run_id": run.id,
        "status": status(run, behaviour.callback_cancelled_spelling),
        "output": result,
        "duration_ms": run.duration_ms,
        "created_at": run.created_at.isoformat(),
        "completed_at": run.completed_at.isoformat() if run.completed_at else None,
        "metadata": run.metadata,
    }


def delivery_record(delivery: Delivery, behaviour: Behaviour) -> Json:
    """One callback delivery with its attempts (contract section 4, "Delivery history")."""
    text = delivery.payload_bytes.decode()
    return {
        "id": delivery.id,
        "run_id": delivery.run_id,
        "callback_url": delivery.callback_url,
        "payload_bytes": text,
        "payload": json.loads(text),
        "signing_secret_id": delivery.signing_secret_id,
        "is_automatic": delivery.is_automatic,
        "status_code": delivery.status_code,
        "failure_reason_code": delivery.failure_reason_code,
        "failure_detail": delivery.failure_detail,
        "attempt_count": len(delivery.attempts),
        "max_attempts": delivery.max_attempts,
        "next_attempt_at": time(delivery.next_attempt_at, behaviour),
        "created_at": time(delivery.created_at, behaviour),
        "updated_at": time(delivery.updated_at, behaviour),
        "completed_at": time(delivery.completed_at, behaviour),
        "attempts": [
            {
                "id": attempt.id,
                "delivery_id": delivery.id,
                "attempt_number": attempt.number,
                "status_code": attempt.status_code,
                "response_body": attempt.response_body,
                "response_time_ms": attempt.response_time_ms,
                "error_message": attempt.error_message,
                "created_at": time(attempt.created_at, behaviour),
            }
            for attempt in delivery.attempts
        ],
    }


def callback_history(run: Run, behaviour: Behaviour) -> object:
    """The deliveries of a run, in one of the shapes of contract 13.16. None where there is no single one."""
    records = [delivery_record(delivery, behaviour) for delivery in run.deliveries]
    match behaviour.callback_history:
        case "array":
            return records
        case "object":
            return records[-1] if records else None
        case "envelope":
            return records[-1]["payload"] if records else None


def secret_record(secret: Secret, account: Account, behaviour: Behaviour) -> Json:
    """A callback secret without what it is (contract section 5)."""
    return {
        "id": secret.id,
        "org_id": account.org_id,
        "key_prefix": secret.plain_secret[:12],
        "is_current": secret.is_current,
        "label": secret.label,
        "disabled_at": None,
        "last_used_at": time(secret.last_used_at, behaviour),
        "created_at": time(secret.created_at, behaviour),
        "updated_at": time(secret.updated_at, behaviour),
    }


def balance_record(account: Account, behaviour: Behaviour) -> Json:
    """What is left of the credit (contract 13.12)."""
    if behaviour.balance_body == "cents":
        return {"balance_cents": int(account.balance * 100), "currency": "USD"}
    opened = time(account.opened_at, behaviour)
    return {
        "id": account.balance_id,
        "org_id": account.org_id,
        "balance": money(account.balance),
        "low_balance_threshold": "0.00",
        "low_balance_notified_at": None,
        "created_at": opened,
        "updated_at": opened,
    }


def error_body(problem: Problem, behaviour: Behaviour) -> Json:
    """The error envelope (contract section 6) in one of the shapes of contract 13.7."""
    match behaviour.error_shape:
        case "flat":
            return {"code": problem.code, "message": problem.message, "errors": problem.errors}
        case "nested":
            return {"error": {"code": problem.code, "message": problem.message}}
        case "detail":
            if problem.status != 422 or not problem.errors:
                return {"detail": problem.message}
            return {
                "detail": [
                    {"loc": str(error.get("field", "")).split("."), "msg": error["message"], "type": "value_error"}
                    for error in problem.errors
                ]
            }


def error_headers(problem: Problem, behaviour: Behaviour) -> dict[str, str]:
    """Headers that go with an error. The newest page has none on a 429 (contract 13.11)."""
    return dict(problem.headers) if behaviour.rate_headers else {}


STATUSES: Final = [Status.QUEUED, Status.DISPATCHING, Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.CANCELED,
                   Status.PARTIAL_SUCCEEDED]  # fmt: skip
"""What GET /v1/runs/statuses lists (contract section 3)."""


def statuses(behaviour: Behaviour) -> list[Json]:
    """The statuses a run may have."""
    return [
        {
            "code": behaviour.cancelled_spelling if each is Status.CANCELED else each.value,
            "is_terminal": each.terminal,
        }
        for each in STATUSES
    ]
