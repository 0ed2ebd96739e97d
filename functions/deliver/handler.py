"""`deliver`: fetches the outputs of an ended run, writes them to the output bucket and closes the job."""

from __future__ import annotations

from detag import cold_start  # first: from here to `done` is Lambda's init

# isort: split
import os
from typing import TYPE_CHECKING, Any

from detag import app
from detag.adapters.telemetry import PowertoolsTelemetry
from detag.batch import process
from detag.settings import DeliverSettings, load
from detag.wiring import CLOCK, event_bus, fetcher, job_store, photo_store, runs

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

settings = load(DeliverSettings, os.environ)
telemetry = PowertoolsTelemetry()
deliver = app.deliver(
    settings,
    jobs=job_store(settings.job_table),
    photos=photo_store(settings.output_bucket, settings.output_prefix, os.environ),
    runs=runs(settings),
    fetcher=fetcher(os.environ),
    events=event_bus(settings.event_bus),
    clock=CLOCK,
    telemetry=telemetry,
)
cold_start.done()


@telemetry.invocation
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A batch of the result queue; returns the messages that are to be retried."""
    deadline = CLOCK.monotonic() + context.get_remaining_time_in_millis() / 1000
    return process(event, lambda message: deliver.handle(message, deadline), telemetry)
