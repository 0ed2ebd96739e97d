"""`deliver`: fetches the cleaned images of an ended run, writes them to the output bucket and closes the job."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

from detag import cold_start
from detag.adapters.telemetry import PowertoolsTelemetry
from detag.batch import process
from detag.services.deliver import Deliver
from detag.services.outbox import Outbox
from detag.settings import DeliverSettings, load
from detag.wiring import CLOCK, budget, event_bus, fetcher, job_store, photo_store, runs

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

settings = load(DeliverSettings, os.environ)
telemetry = PowertoolsTelemetry()
jobs, photos = job_store(settings.job_table), photo_store(settings.output_bucket, os.environ)
outbox = Outbox(jobs, photos, event_bus(settings.event_bus), CLOCK, telemetry)
deliver = Deliver(
    settings,
    jobs,
    photos,
    runs(settings),
    fetcher(os.environ),
    outbox,
    budget(settings, jobs, telemetry),
    CLOCK,
    telemetry,
    random.uniform,
)
cold_start.done()


@telemetry.invocation
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A batch of the result queue; returns the messages that are to come again."""
    return process(event, deliver.handle, telemetry)
