"""The layer of dependencies is pruned of what no function loads and of nothing else, and is what the functions load."""

from __future__ import annotations

import ast
import compileall
import importlib.util
import json
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from tests import layer
from tests.handlers import AWS
from tests.performance.test_calls import ENVIRON

ROOT = Path(__file__).resolve().parents[2]
RUNTIME = str(ROOT / ".venv/runtime/bin/python")
FUNCTIONS = ("submit", "callback", "deliver", "reconcile")
MOST_BYTES = 16_000_000
"""Both layers, unpacked, with their byte code. Lambda allows 250 MB; but what is unpacked is loaded from somewhere."""

ENDPOINTS = """
import json, sys
sys.path[:0] = sys.argv[1:]
import boto3, botocore
from botocore.config import Config

CALLS = {
    "dynamodb": ("get_item", {"TableName": "jobs", "Key": {"pk": {"S": "1"}}}),
    "events": ("put_events", {"Entries": [{"Source": "detag"}]}),
    "s3": ("get_object", {"Bucket": "photos", "Key": "1.jpg"}),
    "secretsmanager": ("get_secret_value", {"SecretId": "key"}),
    "sqs": ("list_queues", {}),
}

class Sent(Exception):
    pass

def sent(request, **_):
    raise Sent(request.url, request.headers["Authorization"].decode().split(", ")[0].split("/", 2)[2])

session = boto3.Session("AKIAEXAMPLE", "made up")
session.events.register("before-send", sent)
regions = ["eu-central-99", "us-gov-north-7", "nowhere"]
for partition in session.get_available_partitions():
    regions += session.get_available_regions("sqs", partition)
    regions += session.get_available_regions("s3", partition)
found = {}
for service, (operation, arguments) in CALLS.items():
    for region in sorted(set(regions)):
        client = session.client(service, region_name=region, config=Config(retries={"total_max_attempts": 1}))
        try:
            getattr(client, operation)(**arguments)
        except Sent as request:
            found[f"{service} in {region}"] = [client.meta.endpoint_url, *request.args]
print(json.dumps([botocore.__file__, found]))
"""
LOADED = """
import json, sys
sys.path[:0] = sys.argv[1:]
import handler
print(json.dumps({name: module.__file__ for name, module in sys.modules.items() if getattr(module, "__file__", None)}))
"""


def program(text: str, *arguments: str, python: str = sys.executable, isolated: str = "-I") -> Any:
    """What a program prints last, as JSON."""
    command = [python, isolated, "-B", "-c", text, *arguments]
    done = subprocess.run(command, env={**AWS, **ENVIRON}, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layer.installed(tmp_path_factory.mktemp("whole") / "python")


@pytest.fixture(scope="module")
def pruned(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("opt") / "python"
    shutil.copytree(whole, folder)
    layer.prune(folder)
    return folder


def test_the_pruned_sdk_calls_the_same_endpoints(whole: Path, pruned: Path) -> None:
    """Endpoint and scope of the signature, as the whole SDK has them; of regions that nobody has heard of, too."""
    (expected_by, expected), (found_by, found) = (program(ENDPOINTS, str(folder)) for folder in (whole, pruned))
    assert (Path(expected_by).parents[1], Path(found_by).parents[1]) == (whole, pruned)
    assert found == expected
    assert len(found) > 5 * 35
    assert found["sqs in cn-north-1"][0].endswith(".amazonaws.com.cn")


def test_a_region_that_was_cut_out_would_be_noticed(whole: Path, pruned: Path, tmp_path: Path) -> None:
    shutil.copytree(pruned, tmp_path / "python")
    for name in ("partitions.json", "endpoints.json"):
        path = tmp_path / "python/botocore/data" / name
        data = json.loads(path.read_text(encoding="utf-8"))
        data["partitions"] = [one for one in data["partitions"] if "cn-north-1" not in one["regions"]]
        path.write_text(json.dumps(data), encoding="utf-8")
    assert program(ENDPOINTS, str(tmp_path / "python"))[1] != program(ENDPOINTS, str(whole))[1]


def services_used() -> set[str]:
    """The services of which the functions make clients."""
    files = [*(ROOT / "layers/detag/python").rglob("*.py"), *(ROOT / "functions").glob("*/handler.py")]
    calls = [
        node
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "aws_client"
    ]
    return {ast.literal_eval(call.args[0]) for call in calls}


def test_the_services_that_are_kept_are_those_that_are_used(pruned: Path) -> None:
    kept = {path.name for path in (pruned / "botocore/data").iterdir() if path.is_dir()}
    assert kept == services_used()
    assert len(kept) == 5


LEFT_OUT = {
    "botocore/data/*/*": "botocore's models of all services but five",
    "botocore/data/endpoints.json": "all services but five in endpoints.json",
    "boto3/data/*": "boto3's resources",
    "anyio*": "anyio",
    "botocore/cacert.pem": "botocore's own root certificates",
    "aws_lambda_powertools/event_handler/openapi/swagger_ui/*.min.*": "the pages of Powertools' API browser",
}
"""What is left out, by pattern of its files, and what the page calls it."""


def left_out(whole: Path, pruned: Path) -> dict[str, list[int]]:
    """By how many bytes each file is smaller than in the whole packages, by the first pattern that it matches, else by
    its name.
    """
    before, after = (
        {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
        for folder in (whole, pruned)
    )
    found: dict[str, list[int]] = {}
    for name, size in before.items():
        if size != after.get(name, 0):
            pattern = next((one for one in LEFT_OUT if fnmatch(name, one)), name)
            found.setdefault(pattern, []).append(size - after.get(name, 0))
    return found


def test_what_no_function_loads_is_left_out(whole: Path, pruned: Path) -> None:
    table = json.loads((pruned / "botocore/data/endpoints.json").read_text(encoding="utf-8"))
    assert {name for partition in table["partitions"] for name in partition["services"]} == services_used()
    assert set(left_out(whole, pruned)) == set(LEFT_OUT)


def test_the_page_lists_what_is_left_out_and_how_large_it_is(whole: Path, pruned: Path) -> None:
    page = (ROOT / "docs/decisions/packages.md").read_text(encoding="utf-8")
    table = page.partition("| left out | why | MB |\n| --- | --- | --- |\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]
    said = {what: float(megabytes) for what, _, megabytes in rows}
    found = {LEFT_OUT[name]: sum(sizes) / 1e6 for name, sizes in left_out(whole, pruned).items()}
    assert said == {what: pytest.approx(size, rel=0.1, abs=0.05) for what, size in found.items()}


def test_without_its_own_certificates_the_sdk_trusts_certifis(pruned: Path) -> None:
    text = (
        "import json, sys; sys.path[:0] = sys.argv[1:]; from botocore import httpsession as one; "
        "print(json.dumps(one.get_cert_path(True)))"
    )
    assert Path(program(text, str(pruned))) == pruned / "certifi/cacert.pem"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_layers_packages_come_before_the_runtimes(function: str, pruned: Path) -> None:
    """As Lambda has it: the function, /opt/python, then the packages of the runtime."""
    paths = [ROOT / "functions" / function, ROOT / "layers/detag/python", pruned]
    loaded = program(LOADED, *map(str, paths), python=RUNTIME)
    brought = {name: Path(file) for name, file in loaded.items() if "site-packages" in Path(file).parts}
    assert {name: path for name, path in brought.items() if not name.startswith("_")} == {}
    for name in ("boto3", "botocore", "urllib3", "jmespath", "dateutil.parser"):
        assert Path(loaded[name]).is_relative_to(pruned)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_needs_nothing_of_the_runtime_but_python(function: str, pruned: Path) -> None:
    paths = [str(ROOT / "functions" / function), str(ROOT / "layers/detag/python"), str(pruned)]
    assert "botocore" in program(LOADED, *paths, isolated="-IS")


def test_the_runtimes_sdk_would_be_loaded_without_the_layers() -> None:
    program_of_one = "import json, botocore; print(json.dumps(botocore.__file__))"
    assert "site-packages" in Path(program(program_of_one, python=RUNTIME)).parts


def test_both_layers_stay_small_with_their_byte_code(pruned: Path, tmp_path: Path) -> None:
    for source in (pruned, ROOT / "layers/detag/python"):
        shutil.copytree(source, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    assert compileall.compile_dir(tmp_path, quiet=2)
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    older = 600_000 if sys.version_info < (3, 12) else 0  # larger byte code, which is never packaged
    assert 10_000_000 < size < MOST_BYTES + older


def test_pruning_what_is_laid_out_otherwise_fails(pruned: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("prune", layer.SOURCE / "prune.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises((FileNotFoundError, StopIteration)):
        module.main(tmp_path)
    shutil.copytree(pruned, tmp_path / "python")
    shutil.rmtree(tmp_path / "python/botocore/data/sqs")
    with pytest.raises((FileNotFoundError, StopIteration)):
        module.main(tmp_path / "python")
