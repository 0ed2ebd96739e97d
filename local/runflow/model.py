"""What the mock keeps: runs, callback secrets, deliveries."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

Json = dict[str, Any]


class Status(StrEnum):
    """`status_code` of a run (contract section 3); official code also handles `errored` and `timeout`."""

    QUEUED = "queued"
    DISPATCHING = "dispatching"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    PARTIAL_SUCCEEDED = "partial_succeeded"
    ERRORED = "errored"
    TIMEOUT = "timeout"

    @property
    def terminal(self) -> bool:
        """Whether a run with this status has ended."""
        return self not in (Status.QUEUED, Status.DISPATCHING, Status.RUNNING)


@dataclass(frozen=True)
class Output:
    """One output file. `name` is its file name, which is also the end of its URL's path."""

    name: str
    content_type: str
    size: int


@dataclass(frozen=True)
class Failure:
    """Why a run ended without a result."""

    code: str
    message: str
    stage: str


@dataclass(frozen=True)
class Fate:
    """What fault rules decided for a run; by default nothing.

    `end` is the status it ends with instead of succeeding, `cost` in USD (None: as usual for that status),
    `stall_seconds` how long it stays `running` first and `forget_seconds` how long it is unknown (infinity:
    forever), `hide_seconds` how long the run list leaves it out.
    """

    end: Status | None = None
    code: str = ""
    message: str = ""
    stage: str = "inference"
    cost: Decimal | None = None
    without_output: bool = False
    stall_seconds: float = 0.0
    forget_seconds: float = 0.0
    hide_seconds: float = 0.0


@dataclass
class Secret:
    """A callback secret (contract section 5). At most one of an organisation's secrets is current: that one signs."""

    id: str
    plain_secret: str
    label: str | None
    is_current: bool
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None = None


@dataclass
class Attempt:
    """One POST of a delivery. `status_code` is the HTTP status, None where there was no answer."""

    id: str
    number: int
    status_code: int | None
    response_body: str | None
    response_time_ms: int
    error_message: str | None
    created_at: datetime


@dataclass
class Delivery:
    """One delivery of a callback: its bytes and its secret were fixed when it was created (contract section 4)."""

    id: str
    run_id: str
    callback_url: str
    payload_bytes: bytes
    signing_secret_id: str | None
    signing_secret: str | None
    is_automatic: bool
    max_attempts: int
    created_at: datetime
    updated_at: datetime
    status_code: str = "pending"
    failure_reason_code: str | None = None
    failure_detail: str | None = None
    next_attempt_at: datetime | None = None
    completed_at: datetime | None = None
    attempts: list[Attempt] = field(default_factory=list)


@dataclass
class Run:
    """One run of a model."""

    id: str
    model: str
    input: Json
    client_ref: str | None
    metadata: Json | None
    callback_url: str | None
    request_id: str
    created_at: datetime
    fate: Fate
    org_id: str
    status: Status = Status.QUEUED
    started_at: datetime | None = None
    completed_at: datetime | None = None
    outputs: tuple[Output, ...] = ()
    cost: Decimal | None = None
    failure: Failure | None = None
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def duration_ms(self) -> int | None:
        """Wall clock from creation to the end."""
        if self.completed_at is None:
            return None
        return round((self.completed_at - self.created_at).total_seconds() * 1000)
