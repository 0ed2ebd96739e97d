"""What a line of the log says beyond the contract."""

from __future__ import annotations

import io
import json
import logging
import traceback
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics

from detag.adapters.invocation import INVOCATION
from detag.adapters.telemetry import InvocationFailed, PowertoolsTelemetry, line_fields
from detag.domain.metrics import Metric


@pytest.fixture
def log() -> tuple[PowertoolsTelemetry, io.StringIO]:
    stream = io.StringIO()
    logger = Logger(service=f"test-{uuid4().hex}", stream=stream, level="INFO")
    return PowertoolsTelemetry(logger, Metrics(namespace="detag", service="submit")), stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(text) for text in stream.getvalue().splitlines()]


def test_a_line_says_where_it_was_written(
    log: tuple[PowertoolsTelemetry, io.StringIO],
) -> None:
    """A log line says where it was written, not where it was passed on."""
    telemetry, stream = log
    telemetry.info("expected")
    telemetry.warning("less expected")
    written = lines(stream)
    assert [line["location"].rpartition(":")[0] for line in written] == ["test_a_line_says_where_it_was_written"] * 2
    assert [line["level"] for line in written] == ["INFO", "WARNING"]


def test_a_field_cannot_take_the_place_of_what_every_line_has(log: tuple[PowertoolsTelemetry, io.StringIO]) -> None:
    telemetry, stream = log
    telemetry.info("expected", level="none", service="another", timestamp="never", location="nowhere")
    (line,) = lines(stream)
    assert (line["level"], line["service_"], line["location_"]) == ("INFO", "another", "nowhere")
    assert line["service"] != "another"
    assert line["timestamp"] != "never"


def test_every_name_that_a_log_record_takes_is_given_way_to() -> None:
    record = logging.LogRecord("name", 20, "path", 1, "message", (), None, "function", None)
    taken = {**vars(record), "message": "", "asctime": ""}
    assert set(line_fields(taken)).isdisjoint(taken)
    assert line_fields({"job_id": 1, "reason": 2}) == {"job_id": 1, "reason": 2}


def invoked(telemetry: PowertoolsTelemetry, request_id: str, error: Exception | None = None) -> dict[str, Any]:
    """The answer of an invocation that counts one photo, writes one line, and may then fail."""

    @telemetry.invocation
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        telemetry.count(Metric.SUBMITTED)
        telemetry.info("sent")
        if error:
            raise error
        return event

    context: Any = SimpleNamespace(aws_request_id=request_id, get_remaining_time_in_millis=lambda: 30_000)
    return handler({"statusCode": 200}, context)


def counted(capsys: pytest.CaptureFixture[str]) -> list[list[float]]:
    """What has left the process as metrics, an entry for each time."""
    return [json.loads(text)["Submitted"] for text in capsys.readouterr().out.splitlines()]


def test_the_lines_of_an_invocation_carry_its_id(log: tuple[PowertoolsTelemetry, io.StringIO]) -> None:
    telemetry, stream = log
    assert invoked(telemetry, "r1") == {"statusCode": 200}
    invoked(telemetry, "r2")
    assert [line["request_id"] for line in lines(stream)] == ["r1", "r2"]


def test_metrics_leave_with_their_invocation_though_it_fails(
    log: tuple[PowertoolsTelemetry, io.StringIO], capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry, _ = log
    invoked(telemetry, "r1")
    assert counted(capsys) == [[1]]
    with pytest.raises(InvocationFailed):
        invoked(telemetry, "r2", RuntimeError("no"))
    assert counted(capsys) == [[1]]


def test_an_invocation_that_counts_nothing_sends_no_metrics(
    log: tuple[PowertoolsTelemetry, io.StringIO], capsys: pytest.CaptureFixture[str]
) -> None:
    context: Any = SimpleNamespace(aws_request_id="r1", get_remaining_time_in_millis=lambda: 30_000)
    assert log[0].invocation(lambda event, _context: event)({"n": 1}, context) == {"n": 1}
    assert capsys.readouterr().out == ""


def test_only_the_kind_of_a_fatal_error_is_logged(
    log: tuple[PowertoolsTelemetry, io.StringIO],
) -> None:
    """Of an error that ends an invocation, only the kind is logged."""
    signature = "5ec2" * 16
    with pytest.raises(InvocationFailed, match="RuntimeError") as raised:
        invoked(log[0], "r1", RuntimeError(f"https://photos/a.jpg?X-Amz-Signature={signature}"))
    assert signature not in "".join(traceback.format_exception(raised.value))


def test_calls_know_how_long_their_invocation_has(log: tuple[PowertoolsTelemetry, io.StringIO]) -> None:
    left: list[float] = []

    @log[0].invocation
    def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
        left.append(INVOCATION.left(8.0))
        return event

    handler({}, SimpleNamespace(aws_request_id="r1", get_remaining_time_in_millis=lambda: 30_000))  # type: ignore[arg-type]
    assert 20.0 < left[0] <= 22.0
    assert INVOCATION.left(8.0) == float("inf"), "it has ended"
