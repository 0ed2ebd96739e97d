"""Queues, the rule and the schedule: nothing is lost, comes again too early, or takes the whole account."""

from __future__ import annotations

from typing import Any

from tests.template.stack import Stack

NEW_ACCOUNT_CONCURRENCY = 10
FOURTEEN_DAYS = 14 * 86_400


def function_behind(stack: Stack, mapping: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = stack.properties(stack.one_name(mapping["FunctionName"]))
    return properties


def dead_letter_queues(stack: Stack) -> set[str]:
    queues = stack.of_type("AWS::SQS::Queue")
    named = {
        stack.one_name(queue["RedrivePolicy"]["deadLetterTargetArn"])
        for queue in queues.values()
        if "RedrivePolicy" in queue
    }
    for rule in stack.of_type("AWS::Events::Rule").values():
        named |= {
            stack.one_name(target["DeadLetterConfig"]["Arn"])
            for target in rule["Targets"]
            if "DeadLetterConfig" in target
        }
    return named


def test_the_two_working_queues_are_consumed_and_no_other(stack: Stack) -> None:
    assert set(stack.consumers()) == {"UploadQueue", "ResultQueue"}


def test_visibility_timeouts_are_six_times_the_functions_timeout(stack: Stack) -> None:
    """A message stays invisible for six times its function's timeout."""
    for queue, mapping in stack.consumers().items():
        timeout = function_behind(stack, mapping)["Timeout"]
        waits = mapping.get("MaximumBatchingWindowInSeconds", 0)
        assert stack.properties(queue)["VisibilityTimeout"] >= 6 * timeout + waits, queue


def test_the_arithmetic_beside_a_visibility_timeout_is_right(stack: Stack) -> None:
    for queue, mapping in stack.consumers().items():
        timeout, visible = function_behind(stack, mapping)["Timeout"], stack.properties(queue)["VisibilityTimeout"]
        function = stack.one_name(mapping["FunctionName"])
        assert f"VisibilityTimeout: {visible}  # 6 x the {timeout} s timeout of {function}\n" in stack.text


def test_a_message_has_five_chances_before_it_is_dead(stack: Stack) -> None:
    """A working queue gives a message five chances, then moves it where a person can look at it."""
    for queue in stack.consumers():
        redrive = stack.properties(queue)["RedrivePolicy"]
        assert redrive["maxReceiveCount"] == 5, queue
        assert stack.one_name(redrive["deadLetterTargetArn"]) not in stack.consumers()


def test_every_queue_is_either_consumed_or_a_dead_letter_queue(stack: Stack) -> None:
    assert set(stack.of_type("AWS::SQS::Queue")) == set(stack.consumers()) | dead_letter_queues(stack)


def test_messages_are_kept_as_long_as_sqs_allows(stack: Stack) -> None:
    for name, queue in stack.of_type("AWS::SQS::Queue").items():
        assert queue["MessageRetentionPeriod"] == FOURTEEN_DAYS, name


def test_each_photo_of_a_batch_fails_alone(stack: Stack) -> None:
    for queue, mapping in stack.consumers().items():
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"], queue


def test_the_queues_leave_concurrency_for_callbacks(stack: Stack) -> None:
    """By default the queues together leave a new account's concurrency enough for callbacks."""
    most = [mapping["ScalingConfig"]["MaximumConcurrency"] for mapping in stack.consumers().values()]
    assert most == 2 * [{"Ref": "MaxConcurrency"}]
    others = len(stack.of_type("AWS::Lambda::Function")) - len(most)
    assert 2 * stack.source["Parameters"]["MaxConcurrency"]["Default"] + others <= NEW_ACCOUNT_CONCURRENCY


def test_only_callback_reserves_concurrency_and_only_if_asked(stack: Stack) -> None:
    """No function reserves concurrency unless asked to, and then only callback."""
    reserved = {
        name: function["ReservedConcurrentExecutions"]
        for name, function in stack.of_type("AWS::Lambda::Function").items()
        if "ReservedConcurrentExecutions" in function
    }
    asked = {"Fn::If": ["ReservesCallbackConcurrency", {"Ref": "CallbackReservedConcurrency"}, {"Ref": "AWS::NoValue"}]}
    assert reserved == {"CallbackFunction": asked}
    assert stack.source["Parameters"]["CallbackReservedConcurrency"]["Default"] == 0
    condition = stack.source["Conditions"]["ReservesCallbackConcurrency"]
    assert condition == {"Fn::Not": [{"Fn::Equals": [{"Ref": "CallbackReservedConcurrency"}, 0]}]}


def test_the_rule_retries_for_a_day_and_then_keeps_the_upload(stack: Stack) -> None:
    (target,) = stack.properties("UploadRule")["Targets"]
    assert stack.one_name(target["Arn"]) == "UploadQueue"
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86_400}
    assert stack.one_name(target["DeadLetterConfig"]["Arn"]) == "UploadRuleDeadLetterQueue"


def test_nothing_outside_but_the_rule_may_send_to_its_queues(stack: Stack) -> None:
    """The rule, and nothing else outside, may send to its two queues."""
    (allowed,) = [
        (stack.names(policy["Queues"]), statement)
        for name, policy in stack.of_type("AWS::SQS::QueuePolicy").items()
        for statement in stack.statements(name)
        if statement["Effect"] == "Allow"
    ]
    queues, statement = allowed
    assert queues == {"UploadQueue", "UploadRuleDeadLetterQueue"}
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["UploadRule", "Arn"]}}}


def test_reconcile_runs_every_minute_and_ends_before_the_next(stack: Stack) -> None:
    schedules = {
        name: rule for name, rule in stack.of_type("AWS::Events::Rule").items() if "ScheduleExpression" in rule
    }
    (rule,) = schedules.values()
    assert rule["ScheduleExpression"] == "rate(1 minute)"
    assert rule.get("State", "ENABLED") == "ENABLED"
    assert [stack.one_name(target["Arn"]) for target in rule["Targets"]] == ["ReconcileFunction"]
    assert stack.properties("ReconcileFunction")["Timeout"] < 60


def test_a_minute_that_failed_is_not_run_again_late(stack: Stack) -> None:
    (config,) = stack.of_type("AWS::Lambda::EventInvokeConfig").values()
    assert stack.one_name(config["FunctionName"]) == "ReconcileFunction"
    assert config["MaximumRetryAttempts"] == 0
    assert config["MaximumEventAgeInSeconds"] == 60
