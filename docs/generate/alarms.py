"""The alarms of the stack."""

from __future__ import annotations

from typing import Any, Final

from docs.generate import markdown
from docs.generate.template import template

STATISTICS: Final = {"Maximum": "maximum", "Sum": "sum", "SampleCount": "sample count"}
COMPARISONS: Final = {"GreaterThanThreshold": ">", "LessThanThreshold": "<"}


def table() -> str:
    """Every alarm. The first sentence of its description says what happened, the others what to do."""
    rows = []
    for name, resource in template()["Resources"].items():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            happened, _, to_do = resource["Properties"]["AlarmDescription"].partition(". ")
            rows.append([f"`{name}`", _metric(resource["Properties"]), f"{happened}.", to_do])
    return markdown.table(["alarm", "metric and condition", "what happened", "what to do"], rows)


def _metric(alarm: dict[str, Any]) -> str:
    """Such as "`GateHeld` of reconcile: maximum > 0 in 5 x 1 min"."""
    (dimension,) = alarm["Dimensions"]
    whose = str(dimension["Value"]).removesuffix(".QueueName")
    comparison = f"{STATISTICS[alarm['Statistic']]} {COMPARISONS[alarm['ComparisonOperator']]} {alarm['Threshold']}"
    when = f"{alarm['EvaluationPeriods']} x {alarm['Period'] // 60} min".removeprefix("1 x ")
    missing = ", or no data" if alarm["TreatMissingData"] == "breaching" else ""
    return f"`{alarm['MetricName']}` of {whose}: {comparison} in {when}{missing}"
