"""The adapters that several functions share, each made once per process, from the settings."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final

import certifi

from detag.adapters.aws import aws_client, aws_config
from detag.adapters.clock import SystemClock
from detag.adapters.dynamodb import DynamoJobStore
from detag.adapters.eventbridge import EventBridgeEvents
from detag.adapters.hosts import local_exception
from detag.adapters.outputs import Guard, SafeFetcher
from detag.adapters.roots import roots
from detag.adapters.runflow import RunflowRuns
from detag.adapters.s3 import S3Listing, S3PhotoStore, S3Stacks, s3_config
from detag.adapters.secrets import ApiKey
from detag.settings import DeliverSettings, ReconcileSettings, SubmitSettings

CLOCK: Final = SystemClock()
TLS: Final = ssl.create_default_context(capath=roots(), cafile=None if roots() else certifi.where())
"""One for all that is not AWS."""


def job_store(table: str) -> DynamoJobStore:
    """The job table."""
    return DynamoJobStore(aws_client("dynamodb", aws_config()), table, CLOCK)


def photo_store(output_bucket: str, output_prefix: str, environ: Mapping[str, str]) -> S3PhotoStore:
    """The photos, with the output bucket to write to, and the folder of it at which the functions may look."""
    client = aws_client("s3", s3_config(environ.get("AWS_ENDPOINT_URL")))
    return S3PhotoStore(client, output_bucket, output_prefix)


def listing(environ: Mapping[str, str]) -> S3Listing:
    """What the input bucket holds."""
    return S3Listing(aws_client("s3", s3_config(environ.get("AWS_ENDPOINT_URL"))))


def stacks(settings: SubmitSettings | ReconcileSettings, environ: Mapping[str, str]) -> S3Stacks | None:
    """Where the stack claims its folder; None where the input bucket is its own."""
    if not settings.stack:
        return None
    return S3Stacks(aws_client("s3", s3_config(environ.get("AWS_ENDPOINT_URL"))), settings.input_bucket)


def event_bus(name: str) -> EventBridgeEvents:
    """The event bus, for what publishes with every photo: its client is made at once."""
    client = aws_client("events", aws_config())
    return EventBridgeEvents(lambda: client, name)


def event_bus_when_needed(name: str) -> EventBridgeEvents:
    """The event bus, for what seldom publishes."""
    return EventBridgeEvents(lambda: aws_client("events", aws_config()), name)


def runs(settings: SubmitSettings | DeliverSettings | ReconcileSettings) -> RunflowRuns:
    """Runflow's API, with the key read when it is first needed."""
    secrets = aws_client("secretsmanager", aws_config())
    return RunflowRuns(settings.runflow_api_url, ApiKey(secrets, settings.runflow_api_key_arn), TLS)


def fetcher(environ: Mapping[str, str]) -> SafeFetcher:
    """Output URLs; those of the local stack too, where this is one (see `local_exception`)."""
    return SafeFetcher(TLS, Guard(local_exception(environ.get("DETAG_LOCAL_OUTPUTS"), environ.get("AWS_ENDPOINT_URL"))))
