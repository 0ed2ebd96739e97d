"""`submit`: claims each photo that arrived, presigns it and creates its run."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from detag import cold_start
from detag.adapters.telemetry import PowertoolsTelemetry
from detag.batch import process
from detag.services.outbox import Outbox
from detag.services.submit import Submit
from detag.settings import SubmitSettings, load
from detag.wiring import CLOCK, budget, event_bus, job_store, photo_store, runs

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

settings = load(SubmitSettings, os.environ)
telemetry = PowertoolsTelemetry()
jobs, photos = job_store(settings.job_table), photo_store(settings.output_bucket, os.environ)
outbox = Outbox(jobs, photos, event_bus(settings.event_bus), CLOCK, telemetry)
submit = Submit(
    settings, jobs, photos, runs(settings), outbox, budget(settings, jobs, telemetry), CLOCK, telemetry, random.uniform
)
pool = ThreadPoolExecutor(10)  # a batch: each photo waits for Runflow, not for the others
cold_start.done()


@telemetry.invocation
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A batch of the upload queue; returns the messages that are to come again."""
    deadline = CLOCK.monotonic() + context.get_remaining_time_in_millis() / 1000
    return process(event, lambda message: submit.handle(message, deadline), telemetry, pool.map)
