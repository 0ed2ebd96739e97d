"""`callback`: verifies a callback over its raw bytes and queues it."""

from __future__ import annotations

from detag import cold_start  # first: from here to `done` is Lambda's init

# isort: split
import os
from typing import TYPE_CHECKING, Any

from detag import app
from detag.adapters.aws import aws_client, aws_config
from detag.adapters.clock import SystemClock
from detag.adapters.secrets import SecretsManagerCallbackSecrets
from detag.adapters.sqs import SqsQueue
from detag.adapters.telemetry import PowertoolsTelemetry
from detag.settings import CallbackSettings, load

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

settings = load(CallbackSettings, os.environ)
telemetry = PowertoolsTelemetry()
config = aws_config(read_seconds=2.0, attempts=2)  # API Gateway waits 10 s for its answer
callback = app.callback(
    secrets=SecretsManagerCallbackSecrets(
        aws_client("secretsmanager", config, keep=5.0), settings.callback_secrets_arn
    ),
    results=SqsQueue(aws_client("sqs", config), settings.result_queue_url),
    clock=SystemClock(),
    telemetry=telemetry,
)
cold_start.done()


@telemetry.invocation
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A POST to /callbacks; the body of the answer is one constant, because Runflow stores it."""
    status = callback.handle(event)
    return {"statusCode": status, "headers": {"content-type": "text/plain"}, "body": "detag\n"}
