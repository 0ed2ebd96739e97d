"""`reconcile`: every minute, the road for whatever no message leads on; and the answer to how things stand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from detag import cold_start
from detag.adapters.aws import aws_client, aws_config
from detag.adapters.sqs import SqsQueue
from detag.adapters.telemetry import PowertoolsTelemetry
from detag.services.reconcile import Reconcile
from detag.settings import ReconcileSettings, load
from detag.wiring import CLOCK, budget, job_store, runs

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

settings = load(ReconcileSettings, os.environ)
telemetry = PowertoolsTelemetry()
sqs = aws_client("sqs", aws_config())
jobs = job_store(settings.job_table)
reconcile = Reconcile(
    settings,
    jobs,
    SqsQueue(sqs, settings.upload_queue_url),
    SqsQueue(sqs, settings.result_queue_url),
    runs(settings),
    budget(settings, jobs, telemetry),
    CLOCK,
    telemetry,
)
cold_start.done()


@telemetry.invocation
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A minute's round; asked by a person (any other event than the schedule's), also how things stand after it."""
    done = reconcile.sweep(CLOCK.monotonic() + context.get_remaining_time_in_millis() / 1000)
    if event.get("source") == "aws.events":
        return {"done": done}
    return {"done": done, **reconcile.report()}
