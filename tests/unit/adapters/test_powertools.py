"""What a line of the log says beyond the contract."""

from __future__ import annotations

import io
import json
import logging
from typing import Any
from uuid import uuid4

import pytest
from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics

from detag.adapters.telemetry import PowertoolsTelemetry, line_fields


@pytest.fixture
def log() -> tuple[PowertoolsTelemetry, io.StringIO]:
    stream = io.StringIO()
    logger = Logger(service=f"test-{uuid4().hex}", stream=stream, level="INFO")
    return PowertoolsTelemetry(logger, Metrics(namespace="detag", service="submit")), stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(text) for text in stream.getvalue().splitlines()]


def test_a_line_says_where_it_was_written_and_not_where_it_was_passed_on(
    log: tuple[PowertoolsTelemetry, io.StringIO],
) -> None:
    telemetry, stream = log
    telemetry.note("expected")
    telemetry.warn("less expected")
    written = lines(stream)
    assert [line["location"].rpartition(":")[0] for line in written] == [
        "test_a_line_says_where_it_was_written_and_not_where_it_was_passed_on"
    ] * 2
    assert [line["level"] for line in written] == ["INFO", "WARNING"]


def test_a_field_cannot_take_the_place_of_what_every_line_has(log: tuple[PowertoolsTelemetry, io.StringIO]) -> None:
    telemetry, stream = log
    telemetry.note("expected", level="none", service="another", timestamp="never", location="nowhere")
    (line,) = lines(stream)
    assert (line["level"], line["service_"], line["location_"]) == ("INFO", "another", "nowhere")
    assert line["service"] != "another"
    assert line["timestamp"] != "never"


def test_every_name_that_a_log_record_takes_is_given_way_to() -> None:
    record = logging.LogRecord("name", 20, "path", 1, "message", (), None, "function", None)
    taken = {**vars(record), "message": "", "asctime": ""}
    assert set(line_fields(taken)).isdisjoint(taken)
    assert line_fields({"job_id": 1, "reason": 2}) == {"job_id": 1, "reason": 2}
