"""Functions on the emulator run as on AWS: in processes of their own, at the same time, no longer than allowed."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local.processes import wait_until
from tests import layer
from tests.emulator import Aws

from .conftest import MakeFunction, zipped

SLEEPER = """
import os, time
def lambda_handler(event, context):
    time.sleep(event)
    return os.getpid()
"""


def test_eight_invocations_at_once_take_hardly_longer_than_one(make_function: MakeFunction) -> None:
    function = make_function(SLEEPER)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(function, [0.8] * 8))  # starts the processes
        began = time.monotonic()
        answers = list(pool.map(function, [0.8] * 8))
        took = time.monotonic() - began
    assert len({answer.payload for answer in answers}) == 8, "each in a process of its own"
    assert took < 2.4, "one after the other would be 6.4 s"


def test_a_process_is_used_again(make_function: MakeFunction) -> None:
    function = make_function(
        "import os\nuses = []\ndef lambda_handler(e, c):\n    uses.append(1)\n    return os.getpid(), len(uses)"
    )
    (first, _), (second, uses) = function().payload, function().payload
    assert first == second
    assert uses == 2


def test_beyond_the_limit_an_invocation_waits_for_a_process(make_function: MakeFunction) -> None:
    function = make_function(SLEEPER)
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(function, [0.3] * 10))
    assert not any(answer.error for answer in answers)
    assert len({answer.payload for answer in answers}) <= 8
    assert len(function.processes()) <= 8


def test_a_function_that_takes_too_long_is_killed(make_function: MakeFunction) -> None:
    function = make_function(SLEEPER, Timeout=1)
    pid = function(0).payload
    answer = function(30)
    assert answer.error == "Unhandled"
    assert answer.payload["errorType"] == "Sandbox.Timedout"
    assert answer.payload["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert answer.seconds < 3
    assert pid not in [process["pid"] for process in function.processes()]
    assert function(0).payload != pid, "the next invocation has a new process"
    assert any("Task timed out after 1.00 seconds" in line for line in function.log())


def test_a_stopped_process_is_killed_at_its_deadline(make_function: MakeFunction) -> None:
    function = make_function(SLEEPER, Timeout=2)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(function, 0.5)
        os.kill(function.busy_process(), signal.SIGSTOP)
        assert call.result().payload["errorType"] == "Sandbox.Timedout"


def test_killing_a_process_is_an_error_of_its_invocation_alone(make_function: MakeFunction) -> None:
    function = make_function(SLEEPER)
    with ThreadPoolExecutor(2) as pool:
        killed = pool.submit(function, 5)
        pid = function.busy_process()
        other = pool.submit(function, 0.5)
        os.kill(pid, signal.SIGKILL)
        assert killed.result().error == "Unhandled"
        assert killed.result().payload["errorType"] == "Runtime.ExitError"
        assert "Runtime exited with error: signal: killed" in killed.result().payload["errorMessage"]
        assert not other.result().error
    assert not function(0).error


def test_an_exception_is_reported_as_lambda_reports_it(make_function: MakeFunction) -> None:
    function = make_function(
        "def inner():\n    raise KeyError('no ü')\ndef lambda_handler(event, context):\n    inner()"
    )
    answer = function()
    assert answer.error == "Unhandled"
    assert answer.payload["errorType"] == "KeyError"
    assert answer.payload["errorMessage"] == "'no ü'"
    assert ["lambda_handler" in answer.payload["stackTrace"][0], "inner" in answer.payload["stackTrace"][1]] == [
        True,
        True,
    ]
    assert len(answer.payload["requestId"]) == 36
    assert any(line.startswith("[ERROR] KeyError: 'no ü'") for line in function.log())
    pids = {process["pid"] for process in function.processes()}
    function()
    assert {process["pid"] for process in function.processes()} == pids, "an exception does not cost the process"


@pytest.mark.parametrize(
    ("source", "handler", "error_type", "message"),
    [
        (
            "import nowhere",
            "handler.f",
            "Runtime.ImportModuleError",
            "Unable to import module 'handler': No module named",
        ),
        ("def f(:", "handler.f", "Runtime.UserCodeSyntaxError", "Syntax error in module 'handler'"),
        ("x = 1", "handler.f", "Runtime.HandlerNotFound", "Handler 'f' missing on module 'handler'"),
        ("1 / 0", "handler.f", "ZeroDivisionError", "division by zero"),
        ("import sys; sys.exit(7)", "handler.f", "Runtime.ExitError", "Runtime exited with error: exit status 7"),
        ("def f(e, c): return {1, 2}", "handler.f", "Runtime.MarshalError", "Unable to marshal response"),
        ("import os\ndef f(e, c): os._exit(0)", "handler.f", "Runtime.ExitError", "without providing a reason"),
        ("def f(e, c): return 'x' * 7_000_000", "handler.f", "Function.ResponseSizeTooLarge", "exceeded maximum"),
    ],
)
def test_what_cannot_run_says_why(
    make_function: MakeFunction, source: str, handler: str, error_type: str, message: str
) -> None:
    answer = make_function(source, Handler=handler)()
    assert (answer.error, answer.payload["errorType"]) == ("Unhandled", error_type)
    assert message in answer.payload["errorMessage"]


def test_the_function_comes_before_its_layers(aws: Aws, make_function: MakeFunction) -> None:
    """The function comes before its layers, and later layers over earlier ones."""

    def published(name: str, files: dict[str, str]) -> str:
        content = {"ZipFile": zipped({f"python/{path}": text for path, text in files.items()})}
        arn: str = aws.client("lambda").publish_layer_version(LayerName=name, Content=content)["LayerVersionArn"]
        return arn

    first = published("first", {"ours.py": "WHO = 'first'", "both.py": "WHO = 'first'", "only.py": "WHO = 'first'"})
    second = published("second", {"both.py": "WHO = 'second'", "json/__init__.py": "WHO = 'second'"})
    files = {
        "handler.py": "import sys, ours, both, only\n"
        "def lambda_handler(event, context): return [ours.WHO, both.WHO, only.WHO, sys.path[:3]]",
        "ours.py": "WHO = 'function'",
    }
    function = make_function("", Code={"ZipFile": zipped(files)}, Layers=[first, second])
    ours, both, only, path = function().payload
    assert [ours, both, only] == ["function", "second", "first"]
    version = f"python{sys.version_info.major}"
    assert path[1].rpartition("/python/lib/")[2].startswith(version)
    assert path[2].endswith("/python")


def test_the_layers_sdk_comes_before_the_runtimes(aws: Aws, make_function: MakeFunction, tmp_path: Path) -> None:
    layer.prune(layer.installed(tmp_path / "python"))
    archive = shutil.make_archive(str(tmp_path / "layer"), "zip", tmp_path, "python")
    content = {"ZipFile": Path(archive).read_bytes()}
    arn = aws.client("lambda").publish_layer_version(LayerName="dependencies", Content=content)["LayerVersionArn"]
    source = """
import boto3, botocore, sys, urllib3
def lambda_handler(event, context): return [[m.__file__ for m in (boto3, botocore, urllib3)], sys.path[2]]
"""
    with_layer, without = make_function(source, Layers=[arn]), make_function(source, "bare")
    files, opt = with_layer().payload
    assert all(file.startswith(f"{opt}/") for file in files), files
    assert all("site-packages" in file for file in without().payload[0])


def test_nothing_is_there_that_the_runtime_does_not_bring(make_function: MakeFunction) -> None:
    source = """
import importlib.util, boto3
def lambda_handler(event, context):
    names = "httpx", "aws_lambda_powertools", "ministack", "pytest"
    return [name for name in names if importlib.util.find_spec(name)]
"""
    assert make_function(source)().payload == []


def test_the_environment_is_lambdas_and_the_templates(
    make_function: MakeFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment is Lambda's and the template's, and nobody else's."""
    source = "import os\ndef lambda_handler(event, context): return dict(os.environ)"
    function = make_function(source, Environment={"Variables": {"OURS": "é", "AWS_REGION": "mars"}}, MemorySize=256)
    env = function().payload
    expected = {
        "OURS": "é",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": function.aws.emulator.endpoint_url,
        "AWS_LAMBDA_FUNCTION_NAME": "function",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/function",
        "_HANDLER": "handler.lambda_handler",
        "TZ": ":UTC",
    }
    assert {name: env.get(name) for name in expected} == expected
    assert not {"HOME", "USER", "GATEWAY_PORT", "MINISTACK_HOST", "PYTHONPATH", "VIRTUAL_ENV"} & set(env)


def test_the_context_tells_who_runs_and_how_long_it_may(make_function: MakeFunction) -> None:
    source = """
import time
def lambda_handler(event, context):
    before = context.get_remaining_time_in_millis()
    time.sleep(0.2)
    return {
        "ids": [context.aws_request_id, context.invoked_function_arn, context.function_name, context.function_version],
        "memory": context.memory_limit_in_mb,
        "log": [context.log_group_name, context.log_stream_name],
        "left": [before, context.get_remaining_time_in_millis()],
    }
"""
    context = make_function(source, Timeout=5, MemorySize=256)().payload
    assert context["ids"][1:] == ["arn:aws:lambda:us-east-1:000000000000:function:function", "function", "$LATEST"]
    assert context["memory"] == "256"
    assert context["log"][0] == "/aws/lambda/function"
    before, after = context["left"]
    assert 4000 < before <= 5000
    assert 150 <= before - after < 2000


def test_the_log_is_lambdas(make_function: MakeFunction) -> None:
    source = """
import logging, sys
def lambda_handler(event, context):
    print("on stdout")
    print("on stderr", file=sys.stderr)
    logging.getLogger().warning("by logging")
    sys.stdout.write("an unfinished line")
"""
    function = make_function(source)
    function()
    log = function.log()
    assert log[0].startswith("START RequestId: ")
    assert log[1:3] == ["on stdout", "on stderr"]
    assert log[3].startswith("[WARNING]\t") and log[3].endswith("\tby logging")
    assert log[4] == "an unfinished line"
    assert log[5].startswith("END RequestId: ")
    assert "Duration:" in log[6] and "Init Duration:" in log[6]
    file = function.aws.emulator.state / "logs" / "function.log"
    assert "on stdout\non stderr\n" in file.read_text()


def test_a_changed_function_runs_its_new_code(aws: Aws, make_function: MakeFunction) -> None:
    function = make_function("def lambda_handler(e, c): return 'old'")
    assert function().payload == "old"
    source = zipped({"handler.py": "import os\ndef lambda_handler(e, c): return os.environ.get('X', 'new')"})
    aws.client("lambda").update_function_code(FunctionName="function", ZipFile=source)
    assert function().payload == "new"
    aws.client("lambda").update_function_configuration(FunctionName="function", Environment={"Variables": {"X": "set"}})
    assert function().payload == "set"
    assert len(function.processes()) == 1


def test_reset_ends_every_process(make_function: MakeFunction) -> None:
    function = make_function(SLEEPER)
    with ThreadPoolExecutor(2) as pool:
        pool.submit(function, 30)
        function.busy_process()
        function(0)
        pids = [process["pid"] for process in function.processes()]
        assert len(pids) == 2
        function.aws.emulator.reset()
    assert wait_until(lambda: not function.processes(), 5)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_an_event_source_respects_its_maximum_concurrency(aws: Aws, make_function: MakeFunction) -> None:
    """An event source gives a function no more batches at once than it may have."""
    source = """
import os, time
def lambda_handler(event, context):
    time.sleep(0.3)
    print("batch of", len(event["Records"]), "in", os.getpid())
"""
    function = make_function(source)
    queue = aws.client("sqs").create_queue(QueueName="queue")["QueueUrl"]
    aws.client("lambda").create_event_source_mapping(
        FunctionName="function",
        EventSourceArn="arn:aws:sqs:us-east-1:000000000000:queue",
        BatchSize=1,
        ScalingConfig={"MaximumConcurrency": 2},
    )
    for n in range(8):
        aws.client("sqs").send_message(QueueUrl=queue, MessageBody=str(n))
    assert wait_until(lambda: sum("batch of 1" in line for line in function.log()) == 8, 20, pause=0.1)
    assert len({line.split()[-1] for line in function.log() if "batch of" in line}) == 2
