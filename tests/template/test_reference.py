"""docs/reference.md says what the source says: parameters, names, reasons, metrics and alarms, each both ways."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from detag.domain.metrics import METRICS, Metric
from detag.domain.reasons import Reason
from tests.template.emitted import emitted
from tests.template.stack import Stack

FUNCTIONS = ("submit", "callback", "deliver", "reconcile")


@pytest.fixture(scope="module")
def reference(root: Path) -> str:
    return (root / "docs/reference.md").read_text(encoding="utf-8")


def rows(reference: str, heading: str) -> list[list[str]]:
    """The rows of the table under a heading, without those that head a group."""
    section = re.split(r"^## ", reference, flags=re.MULTILINE)
    (page,) = [text for text in section if text.startswith(f"{heading}\n")]
    table = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return [[cell.strip("`") for cell in row] for row in table[2:] if not row[0].startswith("**")]


def test_every_parameter_is_there(reference: str, stack: Stack) -> None:
    assert [row[0] for row in rows(reference, "Parameters")] == list(stack.source["Parameters"])


def test_every_reason_is_there(reference: str) -> None:
    assert [row[0] for row in rows(reference, "Reasons")] == list(Reason)


def test_names_of_outputs_are_shown_by_example(reference: str) -> None:
    names = [row[2] for row in rows(reference, "Names of outputs")]
    assert names[:3] == ["shoe.jpg", "shoe.jpg.webp", "shoe.png.webp"]
    assert names[-2:] == ["_failed/shoe.jpg.txt", "_skipped/shoe.jpg.txt"]


def test_every_metric_is_there(reference: str) -> None:
    shown = {row[0]: tuple(row[1].split(", ")) for row in rows(reference, "Metrics")}
    assert shown == {metric.value: entry.functions for metric, entry in METRICS.items()}
    assert set(METRICS) == set(Metric)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_emits_exactly_the_metrics_listed_for_it(root: Path, function: str) -> None:
    """A function emits the metrics that are said to be its own, and no other."""
    assert emitted(root, function) == {metric.value for metric, entry in METRICS.items() if function in entry.functions}


def test_every_metric_says_what_it_counts() -> None:
    for metric, entry in METRICS.items():
        assert entry.counts.endswith("."), metric
        assert entry.functions, metric
        assert set(entry.functions) <= set(FUNCTIONS), metric


def test_metrics_keep_the_names_that_dashboards_know() -> None:
    """One that is added is added here; one that is gone leaves somebody's graph empty."""
    assert set(Metric) == {
        "Submitted", "AmbiguousSubmission", "Answered200", "Answered401", "Answered413", "Answered503",
        "PreviousSecretMatched", "UnusableCallback", "UnmatchedCallback", "UnmatchedPaidRun", "RunRetried",
        "DeliveryRetried", "Delivered", "Failed", "Cancelled", "Skipped", "NotAPhoto", "Superseded", "MessageFailed",
        "Reused", "NotSpentUsd", "GateHeld", "OtherAccount", "UnreadableItem", "UploadRecovered", "Reopened",
        "ReopenRefused",
    }  # fmt: skip


def test_every_alarm_is_listed_with_its_metric_and_remedy(reference: str, stack: Stack) -> None:
    """Every alarm is there, with its metric and with what to do."""
    shown = {row[0]: row for row in rows(reference, "Alarms")}
    alarms = stack.of_type("AWS::CloudWatch::Alarm")
    assert list(shown) == list(alarms)
    for name, alarm in alarms.items():
        _, metric, happened, to_do = shown[name]
        (dimension,) = alarm["Dimensions"]
        whose = dimension["Value"] if isinstance(dimension["Value"], str) else stack.one_name(dimension["Value"])
        assert metric.startswith(f"{alarm['MetricName']}` of {whose}: ")
        assert f"{happened} {to_do}" == alarm["AlarmDescription"]


# What reads the metrics out of the source


def written(folder: Path, **modules: str) -> Path:
    """A repository with one function and a library of these modules."""
    for name, text in modules.items():
        path = folder / ("functions/submit/handler.py" if name == "handler" else f"layers/detag/python/detag/{name}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ('telemetry.count("Invented")', {"Invented"}),
        ('self._telemetry.count("Invented", 2)', {"Invented"}),
        ("telemetry.count(Metric.SUBMITTED)", {"Submitted"}),
        ("step = Step(metric=Metric.SKIPPED)\n        telemetry.count(step.metric)", {"Skipped"}),
        ('telemetry.count(f"Answered{status}")\n        return 200 if good else 503', {"Answered200", "Answered503"}),
        ('telemetry.count(Metric(f"Answered{status}"))\n        return 418', {"Answered418"}),
        ("telemetry.count(Metric(after.state.title()))", {"Delivered", "Failed", "Skipped", "Superseded"}),
        ('path.count("/")', set()),
    ],
)
def test_a_metric_is_found_however_it_is_counted(tmp_path: Path, body: str, found: set[str]) -> None:
    handler = "from detag.service import Service\nService().handle()\n"
    service = f"class Service:\n    def handle(self):\n        {body}\n"
    assert emitted(written(tmp_path, handler=handler, service=service), "submit") == found


def test_a_metric_that_is_out_of_reach_is_not_emitted(tmp_path: Path) -> None:
    handler = "from detag.service import Service\nService().handle()\n"
    service = """
from detag.other import Other, helper

class Service:
    def handle(self):
        helper()

    def never(self):
        telemetry.count("Never")
"""
    other = """
class Other:
    def handle(self):
        telemetry.count("OfAClassThatNobodyMakes")

def helper():
    telemetry.count("Helped")
"""
    assert emitted(written(tmp_path, handler=handler, service=service, other=other), "submit") == {"Helped"}
