"""Alarms go off on metrics that somebody emits, and somebody is notified."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from detag.domain import waits
from tests.template.emitted import emitted
from tests.template.stack import Stack

OURS = {"Fn::Sub": "detag/${AWS::StackName}"}


def alarms(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = stack.of_type("AWS::CloudWatch::Alarm")
    return found


def dimensions(alarm: dict[str, Any]) -> dict[str, Any]:
    return {one["Name"]: one["Value"] for one in alarm["Dimensions"]}


def library(root: Path) -> Path:
    return root / "layers" / "detag" / "python"


def test_every_alarm_of_ours_is_on_a_counted_metric(stack: Stack, root: Path) -> None:
    """Every alarm of ours is on a metric that its service counts."""
    ours = {name: alarm for name, alarm in alarms(stack).items() if alarm["Namespace"] == OURS}
    assert len(ours) >= 4
    for name, alarm in ours.items():
        (service,) = dimensions(alarm).values()
        assert set(dimensions(alarm)) == {"service"}
        assert alarm["MetricName"] in emitted(root, service), name


def test_our_alarms_read_the_namespace_of_the_functions(stack: Stack) -> None:
    """The namespace of our alarms is the one that functions write to."""
    for name, function in stack.of_type("AWS::Lambda::Function").items():
        assert function["Environment"]["Variables"]["POWERTOOLS_METRICS_NAMESPACE"] == OURS, name


def test_no_alarm_is_on_a_namespace_that_nobody_fills(stack: Stack) -> None:
    for name, alarm in alarms(stack).items():
        assert alarm["Namespace"] == OURS or alarm["Namespace"] in ("AWS/SQS", "AWS/ApiGateway"), name


def test_a_flood_of_the_callback_url_is_told(stack: Stack) -> None:
    """API Gateway counts what it refuses itself, and what the function refuses; one mistaken scanner is no flood."""
    (alarm,) = (one for one in alarms(stack).values() if one["Namespace"] == "AWS/ApiGateway")
    assert (alarm["MetricName"], dimensions(alarm)) == ("4xx", {"ApiId": {"Ref": "HttpApi"}})
    assert (alarm["Statistic"], alarm["Threshold"], alarm["Period"]) == ("Sum", 1_000, 900)
    assert alarm["TreatMissingData"] == "notBreaching"


def test_every_dead_letter_queue_has_an_alarm(stack: Stack) -> None:
    alarmed = {
        stack.one_name(dimensions(alarm)["QueueName"]): alarm
        for alarm in alarms(stack).values()
        if alarm["Namespace"] == "AWS/SQS"
    }
    assert set(alarmed) == set(stack.of_type("AWS::SQS::Queue")) - set(stack.consumers())
    for queue, alarm in alarmed.items():
        assert alarm["MetricName"] == "ApproximateNumberOfMessagesVisible", queue
        assert dimensions(alarm) == {"QueueName": {"Fn::GetAtt": [queue, "QueueName"]}}
        assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)
        assert (alarm["Statistic"], alarm["TreatMissingData"]) == ("Maximum", "notBreaching")


def test_a_paused_intake_is_told_after_five_minutes(stack: Stack) -> None:
    alarm = alarms(stack)["IntakePausedAlarm"]
    assert (alarm["MetricName"], dimensions(alarm)) == ("GateHeld", {"service": "reconcile"})
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 300
    assert (alarm["ComparisonOperator"], alarm["Threshold"], alarm["Statistic"]) == (
        "GreaterThanThreshold",
        0,
        "Maximum",
    )


def test_a_failing_reconcile_is_reported_within_25_minutes(stack: Stack) -> None:
    """A reconcile that does not end well. CloudWatch looks three periods further back for points that are missing."""
    alarm = alarms(stack)["ReconcileNotRunningAlarm"]
    soonest, latest = (alarm["Period"] * (alarm["EvaluationPeriods"] + more) / 60 for more in (1, 3))
    assert f"for {soonest:.0f} to {latest:.0f} minutes" in alarm["AlarmDescription"]
    assert (alarm["MetricName"], dimensions(alarm)) == ("GateHeld", {"service": "reconcile"})
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 600
    assert (alarm["ComparisonOperator"], alarm["Threshold"], alarm["Statistic"]) == (
        "LessThanThreshold",
        1,
        "SampleCount",
    )
    assert alarm["TreatMissingData"] == "breaching"


def test_the_alarm_of_reconcile_is_made_after_its_schedule(stack: Stack) -> None:
    """It is red while there is no data: so it is made once reconcile runs, and says so."""
    assert stack.deployed["Resources"]["ReconcileNotRunningAlarm"]["DependsOn"] == "ReconcileFunctionEveryMinute"
    assert stack.deployed["Resources"]["ReconcileFunctionEveryMinute"]["Type"] == "AWS::Events::Rule"
    assert (
        "not yet in a stack that is a few minutes old" in alarms(stack)["ReconcileNotRunningAlarm"]["AlarmDescription"]
    )


def test_reconcile_reports_the_intake_last_and_always(root: Path) -> None:
    """What the two alarms above rest on: a sweep that ends well has counted GateHeld, be it 0 or 1."""
    tree = ast.parse((library(root) / "detag/services/reconcile.py").read_text(encoding="utf-8"))
    (sweep,) = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "sweep"]
    assert isinstance(sweep.body[-1], ast.Return)
    assert re.search(r"count\(('GateHeld'|Metric\.GATE_HELD)", ast.unparse(sweep.body[-2]))
    assert isinstance(sweep.body[-2], ast.Expr), "not under a condition"
    assert not [node for node in ast.walk(sweep) if isinstance(node, ast.Return) and node is not sweep.body[-1]]


def test_whoever_finds_an_unmatched_paid_run_has_an_alarm(stack: Stack, root: Path) -> None:
    services = (library(root) / "detag" / "services").glob("*.py")
    part_of = dict.fromkeys(("confirmation", "submission"), "submit")
    finders = {
        part_of.get(path.stem, path.stem)
        for path in services
        if re.search(r"_budget\.(charge_unmatched|adopt)\(", path.read_text(encoding="utf-8"))
    }
    alarmed = [alarm for alarm in alarms(stack).values() if alarm["MetricName"] == "UnmatchedPaidRun"]
    assert {dimensions(alarm)["service"] for alarm in alarmed} == finders == {"submit", "deliver"}
    for alarm in alarmed:
        assert (alarm["ComparisonOperator"], alarm["Threshold"], alarm["Statistic"]) == (
            "GreaterThanThreshold",
            0,
            "Sum",
        )


def test_every_alarm_says_what_happened_then_what_to_do(stack: Stack) -> None:
    """Every alarm says what happened, then what to do, and notifies the topic."""
    for name, alarm in alarms(stack).items():
        happened, _, to_do = alarm["AlarmDescription"].partition(". ")
        assert len(happened) > 30, name
        assert len(to_do) > 30, name
        assert alarm["AlarmActions"] == {"Fn::If": ["HasAlarmEmail", [{"Ref": "AlarmTopic"}], []]}, name


def test_alarms_may_publish_and_only_those_of_this_account(stack: Stack) -> None:
    allow = [statement for statement in stack.statements("AlarmTopicPolicy") if statement["Effect"] == "Allow"]
    assert [(one["Principal"], one["Action"]) for one in allow] == [
        ({"Service": "cloudwatch.amazonaws.com"}, "sns:Publish")
    ]
    assert allow[0]["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert stack.properties("AlarmTopic")["Subscription"] == [{"Protocol": "email", "Endpoint": {"Ref": "AlarmEmail"}}]


def test_without_an_address_there_is_no_topic_to_pay_for(stack: Stack) -> None:
    without, notified = (stack.given(AlarmEmail=address).deployed["Resources"] for address in ("", "ops@example.com"))
    assert notified.keys() - without.keys() == {"AlarmTopic", "AlarmTopicPolicy", "AlarmKey"}
    assert without.keys() <= notified.keys()


@pytest.mark.parametrize(
    ("longer", "queue"), [(waits.RESUME.seconds, "UploadQueue"), (waits.REDELIVER.seconds, "ResultQueue")]
)
def test_a_job_comes_due_after_its_message(stack: Stack, longer: float, queue: str) -> None:
    """A job whose message was sent comes due after the message does."""
    assert longer > stack.properties(queue)["VisibilityTimeout"]


def test_a_lease_outlives_the_function_that_took_it(stack: Stack) -> None:
    assert stack.properties("SubmitFunction")["Timeout"] + 10 < waits.LEASE.seconds
