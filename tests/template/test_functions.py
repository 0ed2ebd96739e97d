"""The functions: their code is there, they get what they read, and they are packaged whole."""

from __future__ import annotations

import ast
import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from detag import settings
from detag.domain import waits
from tests.template.stack import Stack

SETTINGS: dict[str, Any] = {
    "SubmitFunction": settings.SubmitSettings,
    "CallbackFunction": settings.CallbackSettings,
    "DeliverFunction": settings.DeliverSettings,
    "ReconcileFunction": settings.ReconcileSettings,
}
POWERTOOLS = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_LOG_LEVEL"}
FUNCTIONS = tuple(SETTINGS)


def folder(function: str) -> str:
    return function.removesuffix("Function").lower()


def environment(stack: Stack, function: str) -> dict[str, Any]:
    variables: dict[str, Any] = stack.properties(function)["Environment"]["Variables"]
    return variables


def test_the_functions_are_the_four_that_are_checked_here(stack: Stack) -> None:
    assert set(stack.of_type("AWS::Lambda::Function")) == set(FUNCTIONS)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_handler_is_there(stack: Stack, root: Path, function: str) -> None:
    module, name = stack.properties(function)["Handler"].split(".")
    assert stack.source["Resources"][function]["Properties"]["CodeUri"] == f"functions/{folder(function)}"
    tree = ast.parse((root / "functions" / folder(function) / f"{module}.py").read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_gets_the_variables_that_its_settings_read(stack: Stack, function: str) -> None:
    """A function gets just the variables that its settings read."""
    read = {field.name.upper() for field in dataclasses.fields(SETTINGS[function])}
    assert set(environment(stack, function)) == read | POWERTOOLS


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_default_parameters_make_valid_settings(stack: Stack, function: str) -> None:
    variables = {name: str(value) for name, value in environment(stack.given(), function).items()}
    settings.load(SETTINGS[function], variables)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("bound", ["MinValue", "MaxValue"])
def test_what_a_parameter_may_be_makes_valid_settings(stack: Stack, function: str, bound: str) -> None:
    """The least and the most that the template lets through is understood by the code."""
    parameters = stack.source["Parameters"].items()
    values = {name: str(one[bound]) for name, one in parameters if bound in one}
    variables = {name: str(value) for name, value in environment(stack.given(**values), function).items()}
    settings.load(SETTINGS[function], variables)


@pytest.mark.parametrize(
    ("function", "seconds"), [("SubmitFunction", waits.SUBMIT_TIMEOUT), ("DeliverFunction", waits.DELIVER_TIMEOUT)]
)
def test_leases_know_when_a_worker_is_killed(stack: Stack, function: str, seconds: float) -> None:
    """A lease outlasts the worker that has it: nobody else continues its job before."""
    assert stack.properties(function)["Timeout"] == seconds


@pytest.mark.parametrize("function", FUNCTIONS)
def test_logs_and_metrics_say_which_function_and_stack(stack: Stack, function: str) -> None:
    variables = environment(stack, function)
    assert variables["POWERTOOLS_SERVICE_NAME"] == folder(function)
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == {"Fn::Sub": "detag/${AWS::StackName}"}


def test_what_only_the_local_stack_sets_is_not_in_the_template(stack: Stack) -> None:
    """What only the local stack may set is nowhere in the template."""
    for variable in ("AWS_ENDPOINT_URL", "DETAG_LOCAL_OUTPUTS", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert variable not in stack.text


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_runtime_is_the_one_that_byte_code_is_made_for(stack: Stack, root: Path, function: str) -> None:
    properties = stack.properties(function)
    version = re.search(r"^RUNTIME := (\S+)$", (root / "sam.mk").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert properties["Runtime"] == f"python{version[1]}" == "python3.13"
    assert properties["Architectures"] == [{"Ref": "Architecture"}]
    assert stack.source["Parameters"]["Architecture"]["Default"] == "arm64"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_has_both_layers(stack: Stack, function: str) -> None:
    layers = [stack.one_name(layer) for layer in stack.properties(function)["Layers"]]
    assert [re.sub(r"[0-9a-f]{10}$", "", layer) for layer in layers] == ["DetagLayer", "DependenciesLayer"]


def test_layers_are_for_both_processors(stack: Stack) -> None:
    for name, layer in stack.of_type("AWS::Lambda::LayerVersion").items():
        assert set(layer["CompatibleArchitectures"]) == {"arm64", "x86_64"}, name
        assert layer["CompatibleRuntimes"] == ["python3.13"], name


def buildable(stack: Stack) -> list[str]:
    kinds = ("AWS::Serverless::Function", "AWS::Serverless::LayerVersion")
    return [name for name, resource in stack.source["Resources"].items() if resource["Type"] in kinds]


def test_everything_is_built_by_a_makefile_in_this_folder(stack: Stack, root: Path) -> None:
    assert len(buildable(stack)) == 6
    for name in buildable(stack):
        resource = stack.source["Resources"][name]
        assert resource["Metadata"]["BuildMethod"] == "makefile"
        assert resource["Metadata"]["WorkingDirectory"] == "."
        source = resource["Properties"].get("CodeUri") or resource["Properties"]["ContentUri"]
        assert f"\nbuild-{name}:\n" in (root / source / "Makefile").read_text(encoding="utf-8")


def build(root: Path, source: str, target: str, artifacts: Path, **variables: str) -> None:
    """What `sam build` does for one resource."""
    command = ["make", "--makefile", str(root / source / "Makefile"), f"build-{target}"]
    command += [f"{name}={value}" for name, value in variables.items()]
    done = subprocess.run(
        command,
        cwd=root,
        env=os.environ | {"ARTIFACTS_DIR": str(artifacts)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_library_is_packaged_without_its_fakes(root: Path, tmp_path: Path) -> None:
    artifacts = tmp_path / "a folder with spaces"
    artifacts.mkdir()
    build(root, "layers/detag", "DetagLayer", artifacts, RUNTIME="none")
    packaged = {path.relative_to(artifacts) for path in artifacts.rglob("*") if path.is_file()}
    library = root / "layers" / "detag"
    written = {
        path.relative_to(library) for path in library.glob("python/**/*") if path.suffix in (".py", ".typed", ".json")
    }
    assert packaged == {path for path in written if not path.name.endswith("_fake.py")}


def test_packaged_byte_code_is_used_whatever_the_dates(root: Path, tmp_path: Path) -> None:
    """Packaged byte code is used, whatever date SAM gives the source."""
    artifacts = tmp_path / "a folder with spaces"
    artifacts.mkdir()
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    build(root, "functions/submit", "SubmitFunction", artifacts, RUNTIME=here, PYTHON=sys.executable)
    (compiled,) = artifacts.rglob("*.pyc")
    flags = int.from_bytes(compiled.read_bytes()[4:8], "little")
    assert flags == 0b01, "PEP 552: bit 0 set is by hash, bit 1 clear is unchecked"
    assert b"/var/task/handler.py" in compiled.read_bytes(), "tracebacks name the file as the runtime mounts it"


def test_without_the_runtimes_python_no_byte_code_is_packaged(root: Path, tmp_path: Path) -> None:
    """Without the runtime's Python the source is packaged alone."""
    build(root, "functions/submit", "SubmitFunction", tmp_path, RUNTIME="none")
    assert [path.name for path in tmp_path.rglob("*")] == ["handler.py"]


def pinned(root: Path) -> dict[str, str]:
    """Names and versions of the layer's requirements."""
    text = (root / "layers" / "dependencies" / "requirements.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", text, re.MULTILINE))


def test_every_imported_library_is_in_the_layer(root: Path) -> None:
    """Every library that the functions import is in the layer: none is left to the runtime."""
    sources = [*(root / "layers" / "detag" / "python").rglob("*.py"), *(root / "functions").glob("*/handler.py")]
    imported = set()
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
    needed = imported - set(sys.stdlib_module_names) - {"detag"}
    packaged = {name.replace("-", "_").lower() for name in pinned(root)}
    only_for_types = {name for name in needed if name.startswith("mypy_boto3") or name == "typing_extensions"}
    assert needed - only_for_types - packaged == set()


def test_the_layers_requirements_are_hashed_and_name_no_index(root: Path) -> None:
    text = (root / "layers" / "dependencies" / "requirements.txt").read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(pinned(root)) > 0
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"index-url|find-links|https?://", text)
    assert not re.search(r"^[^#\n]*;", text, re.MULTILINE), "a marker would be judged by the build host's Python"
