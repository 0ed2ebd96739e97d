"""What AWS charges: measured durations and counted calls, times the price list in prices.json."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.calls import IDLE_MINUTE, PER_PHOTO
from benchmarks.machine import ROOT
from detag.domain.metrics import Metric

LIST: Final[dict[str, Any]] = json.loads((Path(__file__).parent / "prices.json").read_text(encoding="utf-8"))
MEMORY_GB: Final = {"submit": 0.5, "callback": 0.25, "deliver": 0.5, "reconcile": 0.5}
FULL_CORE_GB: Final = 1_769 / 1_024
"""The memory at which a function has one processor (Lambda Developer Guide, "Configure Lambda function memory")."""
AWS_CALL_MS: Final = 10.0
"""The wait of an AWS call: assumed, twice what DynamoDB and SQS usually take."""
RUNFLOW_CALL_MS: Final = 300.0
"""Assumed: nothing is published."""
FETCH_MS: Final = 500.0
"""A 2 MB output over the Internet: assumed, 4 MB/s."""
PHOTO_MB: Final = 5.0
"""The size of a photo, as cameras make them."""
METRICS_OF_A_DELIVERY: Final = (Metric.SUBMITTED, Metric.ANSWERED_200, Metric.DELIVERED)
"""What is counted, and so charged for, if all goes well."""
COLD_SHARE: Final = 0.05
"""Invocations that begin with an init, which is billed as well."""
LAMBDA_LOG_BYTES: Final = 360
"""START, END and REPORT."""
ACCESS_LOG_BYTES: Final = 260
"""A line of the HTTP API's access log."""
MINUTES: Final = 43_800
POLLS_A_MONTH: Final = 5 * 3 * MINUTES
"""Five pollers of Lambda's wait 20 s each at an idle queue (Lambda Developer Guide, "Using Lambda with Amazon SQS")."""


class _Loader(yaml.SafeLoader):
    """YAML whose CloudFormation short forms do not matter here."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
TEMPLATE: Final[dict[str, Any]] = yaml.load((ROOT / "template.yaml").read_text(encoding="utf-8"), _Loader)  # noqa: S506
REFUSED_LOG_BYTES: Final = 205
"""What a refused callback leaves in the function's log: its count."""
FLOOD_A_SECOND: Final = int(
    TEMPLATE["Resources"]["HttpApi"]["Properties"]["DefaultRouteSettings"]["ThrottlingRateLimit"]
)
"""What API Gateway lets through: requests beyond its throttle are answered 429 and not charged for."""
CONCURRENCY: Final = int(TEMPLATE["Parameters"]["MaxConcurrency"]["Default"])
"""The most executions at once of submit, and of deliver."""
RUNFLOW_USD: Final = float(TEMPLATE["Parameters"]["PricePerImageUsd"]["Default"])


@dataclass(frozen=True)
class Measured:
    """What the benchmarks found: by function, CPU and init in ms of a full core and bytes logged; units for a photo."""

    cpu_ms: Mapping[str, float]
    init_ms: Mapping[str, float]
    logged: Mapping[str, float]
    write_units: float
    read_units: float


@dataclass(frozen=True)
class Line:
    """One item of a bill: so many of something, at its price."""

    item: str
    quantity: float
    price: str

    @property
    def usd(self) -> float:
        """Without any free tier."""
        found = LIST["prices"][self.price]
        return self.quantity * float(found["usd"]) / float(found["per"])

    @property
    def usd_with_free_tier(self) -> float:
        """With the whole of the month's free tier."""
        free = float(LIST["free_each_month"].get(self.price, 0))
        return self.usd * (max(0.0, self.quantity - free) / self.quantity if self.quantity else 0)


def duration_ms(function: str, measured: Measured) -> float:
    """How long an invocation takes that handles one photo: at this memory it has a part of a processor."""
    slow = max(1.0, FULL_CORE_GB / MEMORY_GB[function])
    calls = PER_PHOTO[function]
    aws = sum(times for name, times in calls.items() if not name.startswith("Runflow."))
    waits = aws * AWS_CALL_MS + (calls.get("Runflow.POST", 0) + calls.get("Runflow.GET", 0)) * RUNFLOW_CALL_MS
    waits += calls.get("Runflow.output", 0) * FETCH_MS
    return waits + (measured.cpu_ms[function] + COLD_SHARE * measured.init_ms[function]) * slow


def per_1000(measured: Measured) -> list[Line]:
    """A thousand photos that arrive one by one, which is the most expensive way: no batch is ever shared."""
    functions = tuple(PER_PHOTO)
    seconds = sum(MEMORY_GB[name] * duration_ms(name, measured) for name in functions)
    logged = sum(measured.logged[name] + LAMBDA_LOG_BYTES for name in functions) + ACCESS_LOG_BYTES
    calls: dict[str, int] = {}
    for each in PER_PHOTO.values():
        for name, times in each.items():
            calls[name] = calls.get(name, 0) + times
    return [
        Line("Lambda: time", seconds, "lambda_gb_second_arm64"),
        Line("Lambda: requests", 3_000, "lambda_request"),
        Line("DynamoDB: writes, with indexes and transactions", 1_000 * measured.write_units, "dynamodb_write_unit"),
        Line("DynamoDB: reads", 1_000 * measured.read_units, "dynamodb_read_unit"),
        Line("S3: the upload and the output", 1_000 * (1 + calls["s3.PutObject"]), "s3_put"),
        Line(
            "S3: reads, Runflow's own included", 1_000 * (1 + calls["s3.GetObject"] + calls["s3.HeadObject"]), "s3_get"
        ),
        Line("SQS: two queues, each send, receive, delete", 6_000, "sqs_request"),
        Line("EventBridge: outcomes (uploads are free)", 1_000 * calls["eventbridge.PutEvents"], "eventbridge_event"),
        Line("API Gateway: callbacks", 1_000, "http_api_request"),
        Line("Secrets Manager: reads by new processes", 1_000 * 3 * COLD_SHARE, "secret_call"),
        Line("CloudWatch: logs", 1_000 * logged / 1e9, "log_gb"),
    ]


def egress(photos: int = 1_000) -> Line:
    """The originals sent to Runflow, which is outside AWS as far as is known."""
    return Line(f"Egress: originals of {PHOTO_MB:.0f} MB", photos * PHOTO_MB / 1_000, "egress_gb")


def flood(cpu_ms: float) -> list[Line]:
    """A day of refused callbacks, as many as the throttle lets through; each takes `cpu_ms` of a full core."""
    requests = 86_400 * FLOOD_A_SECOND
    seconds = requests * cpu_ms / 1_000 * FULL_CORE_GB / MEMORY_GB["callback"]
    logged = requests * (REFUSED_LOG_BYTES + LAMBDA_LOG_BYTES + ACCESS_LOG_BYTES)
    return [
        Line("API Gateway: requests", requests, "http_api_request"),
        Line("Lambda: requests", requests, "lambda_request"),
        Line("Lambda: time", seconds * MEMORY_GB["callback"], "lambda_gb_second_arm64"),
        Line("CloudWatch: logs", logged / 1e9, "log_gb"),
    ]


def standing() -> list[Line]:
    """What a month costs of which nothing has to be measured."""
    kinds = [resource["Type"] for resource in TEMPLATE["Resources"].values()]
    return [
        Line("Secrets", kinds.count("AWS::SecretsManager::Secret"), "secret_month"),
        Line("Alarms", kinds.count("AWS::CloudWatch::Alarm"), "alarm_month"),
        Line(f"Metrics: {Metric.GATE_HELD}, the only one while nothing happens", 1, "metric_month"),
        Line("SQS: Lambda waiting at two queues", 2 * POLLS_A_MONTH, "sqs_request"),
    ]


def reconciling(measured: Measured) -> list[Line]:
    """A month of `reconcile` every minute, with nothing to do."""
    slow = FULL_CORE_GB / MEMORY_GB["reconcile"]
    milliseconds = measured.cpu_ms["reconcile"] * slow + sum(IDLE_MINUTE.values()) * AWS_CALL_MS
    reads = IDLE_MINUTE["dynamodb.GetItem"] + IDLE_MINUTE["dynamodb.Query"] * 0.5
    logged = measured.logged["reconcile"] + LAMBDA_LOG_BYTES
    return [
        Line(
            "Lambda: reconcile's time",
            MINUTES * MEMORY_GB["reconcile"] * milliseconds / 1_000,
            "lambda_gb_second_arm64",
        ),
        Line("Lambda: reconcile's requests", MINUTES, "lambda_request"),
        Line("DynamoDB: reconcile's reads", MINUTES * reads, "dynamodb_read_unit"),
        Line("CloudWatch: logs", MINUTES * logged / 1e9, "log_gb"),
    ]


def per_month(measured: Measured, *, email: bool = False) -> list[Line]:
    """A month without a photo, for everything that the template makes by default."""
    lines = [*standing(), *reconciling(measured)]
    return [*lines, Line("KMS: the alarm topic's key (AlarmEmail)", 1, "key_month")] if email else lines


def total(lines: list[Line], *, free_tier: bool = False) -> float:
    """Their sum in US dollars."""
    return math.fsum(line.usd_with_free_tier if free_tier else line.usd for line in lines)
