"""What every telemetry does."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics

from detag.adapters.telemetry import PowertoolsTelemetry
from detag.domain.metrics import Metric
from detag.ports.telemetry import Telemetry
from detag.ports.telemetry_fake import FakeTelemetry

Line = tuple[str, str, dict[str, Any]]


@dataclass
class Side:
    """Telemetry, and what an operator sees of it: the sum of each metric; level, message and fields of each line."""

    telemetry: Telemetry
    metrics: Callable[[], dict[str, float]]
    lines: Callable[[tuple[str, ...]], list[Line]]


@pytest.fixture(params=["fake", "powertools"])
def side(request: pytest.FixtureRequest, name: str, capsys: pytest.CaptureFixture[str]) -> Side:
    if request.param == "fake":
        fake = FakeTelemetry()

        def lines(names: tuple[str, ...]) -> list[Line]:
            return [(line.level, line.message, {name: line.fields.get(name) for name in names}) for line in fake.lines]

        return Side(fake, lambda: dict(fake.counts), lines)
    stream, metrics = io.StringIO(), Metrics(namespace="detag", service="submit")
    metrics.clear_metrics()

    def sums() -> dict[str, float]:
        metrics.flush_metrics()
        found: dict[str, float] = {}
        for text in capsys.readouterr().out.splitlines():
            emf = json.loads(text)
            assert emf["service"] == "submit"
            for metric in emf["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
                assert metric["Unit"] == "Count"
                found[metric["Name"]] = found.get(metric["Name"], 0) + sum(emf[metric["Name"]])
        return found

    def written(names: tuple[str, ...]) -> list[Line]:
        written = [json.loads(text) for text in stream.getvalue().splitlines()]
        levels = {"INFO": "info", "WARNING": "warning"}
        return [(levels[line["level"]], line["message"], {name: line.get(name) for name in names}) for line in written]

    return Side(PowertoolsTelemetry(Logger(service=name, stream=stream, level="INFO"), metrics), sums, written)


def test_a_metric_is_the_sum_of_what_was_counted(side: Side) -> None:
    side.telemetry.count(Metric.SUBMITTED)
    side.telemetry.count(Metric.SUBMITTED)
    side.telemetry.count(Metric.GATE_HELD, 2.5)
    assert side.metrics() == {"Submitted": 2, "GateHeld": 2.5}


def test_an_alarm_is_counted_like_any_metric(side: Side) -> None:
    side.telemetry.alarm(Metric.UNMATCHED_PAID_RUN)
    side.telemetry.count(Metric.SUBMITTED)
    assert side.metrics() == {"Submitted": 1, "UnmatchedPaidRun": 1}


def test_an_alarm_is_sent_at_once(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A process that dies right afterwards takes with it what it only counted, and no alarm."""
    metrics = Metrics(namespace="detag", service="submit")
    metrics.clear_metrics()
    telemetry = PowertoolsTelemetry(Logger(service=name, stream=io.StringIO()), metrics)
    telemetry.count(Metric.SUBMITTED)
    assert capsys.readouterr().out == ""
    telemetry.alarm(Metric.UNMATCHED_PAID_RUN)
    assert json.loads(capsys.readouterr().out)["UnmatchedPaidRun"] == [1]


def test_what_many_threads_count_is_all_there(side: Side) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: side.telemetry.count(Metric.SUBMITTED), range(1_950)))
    assert side.metrics() == {"Submitted": 1_950}


def test_a_line_has_its_level_its_message_and_its_fields(side: Side) -> None:
    side.telemetry.info("photo delivered", job_id="1f3a", key="Größe 😀.jpg", reason=None)
    side.telemetry.warning("pending", job_id="2b4c", key="100%s {x}.jpg", reason="why")
    assert side.lines(("job_id", "key", "reason")) == [
        ("info", "photo delivered", {"job_id": "1f3a", "key": "Größe 😀.jpg", "reason": None}),
        ("warning", "pending", {"job_id": "2b4c", "key": "100%s {x}.jpg", "reason": "why"}),
    ]


def test_no_name_of_a_field_breaks_a_line(side: Side) -> None:
    names = ("name", "args", "level", "msg", "module", "exc_info", "extra", "service", "asctime", "timestamp")
    for name in names:
        side.telemetry.info("odd", **{name: "x"})
    assert [line[:2] for line in side.lines(())] == [("info", "odd")] * len(names)
