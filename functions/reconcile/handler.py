"""`reconcile`: every minute, moves on what no message will; invoked by a person, also the status report."""

from __future__ import annotations

from detag import cold_start  # first: from here to `done` is Lambda's init

# isort: split
import os
from typing import TYPE_CHECKING, Any

from detag import app
from detag.adapters.aws import aws_client, aws_config
from detag.adapters.sqs import SqsQueue
from detag.adapters.telemetry import PowertoolsTelemetry
from detag.settings import ReconcileSettings, load
from detag.wiring import CLOCK, event_bus, job_store, listing, runs, stacks

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

settings = load(ReconcileSettings, os.environ)
telemetry = PowertoolsTelemetry()
sqs = aws_client("sqs", aws_config())
reconcile = app.reconcile(
    settings,
    jobs=job_store(settings.job_table),
    listing=listing(os.environ),
    uploads=SqsQueue(sqs, settings.upload_queue_url),
    results=SqsQueue(sqs, settings.result_queue_url),
    events=event_bus(settings.event_bus),
    runs=runs(settings),
    clock=CLOCK,
    telemetry=telemetry,
    stacks=stacks(settings, os.environ),
)
cold_start.done()


@telemetry.invocation
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """One sweep; invoked by a person (any other event than the schedule's), also the status report after it."""
    done = reconcile.sweep(CLOCK.monotonic() + context.get_remaining_time_in_millis() / 1000)
    if event.get("source") == "aws.events":
        return {"done": done}
    return {"done": done, **reconcile.report()}
