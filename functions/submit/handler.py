"""`submit`: claims each photo that arrived, presigns it and creates its run."""

from __future__ import annotations

from detag import cold_start  # first: from here to `done` is Lambda's init

# isort: split
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from detag import app
from detag.adapters.telemetry import PowertoolsTelemetry
from detag.batch import process
from detag.settings import SubmitSettings, load
from detag.wiring import CLOCK, event_bus_when_needed, job_store, photo_store, runs, stacks

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

settings = load(SubmitSettings, os.environ)
telemetry = PowertoolsTelemetry()
submit = app.submit(
    settings,
    jobs=job_store(settings.job_table),
    photos=photo_store(settings.output_bucket, settings.output_prefix, os.environ),
    runs=runs(settings),
    events=event_bus_when_needed(settings.event_bus),
    clock=CLOCK,
    telemetry=telemetry,
    stacks=stacks(settings, os.environ),
)
pool = ThreadPoolExecutor(10)  # a batch: each photo waits for Runflow, not for the others
cold_start.done()


@telemetry.invocation
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A batch of the upload queue; returns the messages that are to be retried."""
    deadline = CLOCK.monotonic() + context.get_remaining_time_in_millis() / 1000
    return process(event, lambda message: submit.handle(message, deadline), telemetry, pool.map, submit.refuse)
