"""The judge of the template: a finding is explained beside its resource, or it fails."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
FINDING = ("checkov", "CKV_AWS_18", "Bucket")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("policy", ROOT / "bin" / "policy.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["policy"] = module  # where its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


policy: Any = load()


def template(**resources: Any) -> dict[str, Any]:
    return {"Resources": {name: {"Type": "AWS::S3::Bucket", **resource} for name, resource in resources.items()}}


def accepting(*entries: dict[str, str], tool: str = "checkov", kind: str = "AWS::S3::Bucket") -> dict[str, Any]:
    return {"Type": kind, "Metadata": {tool: {"skip": list(entries)}}}


def test_a_finding_with_its_reason_is_accepted() -> None:
    """A finding with its reason beside the resource is accepted."""
    bucket = accepting({"id": "CKV_AWS_18", "comment": "nobody looks"})
    verdict = policy.judge(template(Bucket=bucket), {FINDING: "no logs"})
    assert (verdict.accepted, verdict.unexplained, verdict.wrong) == ({FINDING: "nobody looks"}, {}, [])


@pytest.mark.parametrize(
    "resources",
    [
        {"Bucket": {}},
        {"Bucket": accepting({"id": "CKV_AWS_19", "comment": "another check"})},
        {"Bucket": accepting({"id": "CKV_AWS_18", "comment": "for the other tool"}, tool="guard")},
        {"Bucket": {}, "Other": accepting({"id": "CKV_AWS_18", "comment": "another resource"})},
        {"Bucket": accepting({"id": "CKV_AWS_18", "comment": "  "})},
        {"Bucket": accepting({"id": "CKV_AWS_18"})},
    ],
)
def test_a_finding_without_is_unexplained(resources: dict[str, Any]) -> None:
    assert policy.judge(template(**resources), {FINDING: "no logs"}).unexplained == {FINDING: "no logs"}


def test_an_acceptance_without_a_reason_is_wrong() -> None:
    verdict = policy.judge(template(Bucket=accepting({"id": "CKV_AWS_18", "comment": ""})), {FINDING: "no logs"})
    assert verdict.wrong == ["Bucket: CKV_AWS_18 is accepted without a reason"]


def test_an_acceptance_of_what_is_not_found_any_more_is_wrong() -> None:
    verdict = policy.judge(template(Bucket=accepting({"id": "CKV_AWS_18", "comment": "once"})), {})
    assert verdict.wrong == ["Bucket: checkov finds no CKV_AWS_18 here any more, but it is accepted"]


def test_what_sam_generates_is_accepted_at_its_resource() -> None:
    """What SAM makes of a resource is accepted at that resource."""
    entry = {"id": "CT.LAMBDA.PR.2", "resource": "Permission", "comment": "SAM writes it"}
    function, finding = accepting(entry, tool="guard"), ("guard", "CT.LAMBDA.PR.2", "Permission")
    assert policy.judge(template(Function=function, Permission={}), {finding: "public"}).accepted == {
        finding: "SAM writes it"
    }
    assert policy.judge(template(Function=function), {}).wrong == [
        "Permission: there is no such resource, but CT.LAMBDA.PR.2 is accepted for it"
    ]


def test_sams_copies_of_a_functions_metadata_do_not_count() -> None:
    entry = {"id": "CKV_AWS_116", "comment": "none needed"}
    copy = accepting(entry, kind="AWS::Lambda::EventInvokeConfig")
    verdict = policy.judge(
        template(Function=accepting(entry), Copy=copy), {("checkov", "CKV_AWS_116", "Function"): "no queue"}
    )
    assert (len(verdict.accepted), verdict.wrong) == (1, [])


def test_the_tools_do_not_see_what_is_accepted() -> None:
    bucket = accepting({"id": "CKV_AWS_18", "comment": "nobody looks"}) | {"Properties": {"a": 1}}
    bare = policy.without_metadata(template(Bucket=bucket))
    assert bare == {"Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"a": 1}}}}


def test_a_rules_findings_are_read_out_of_cfn_guards_tree() -> None:
    message = {"custom_message": "\n   [CT.S3.PR.2]: Require logs\n   [FIX]: Log\n", "error_message": None}
    clause = {"Clause": {"Unary": {"check": {"value": {"path": "/Resources/Bucket/Properties", "value": {"x": []}}}}}}
    rule = {"Rule": {"name": "s3_logs", "checks": [{"Rule": {"messages": message, "checks": [clause, clause]}}]}}
    assert dict(policy._findings(rule, ("s3_logs", ""))) == {("guard", "CT.S3.PR.2", "Bucket"): "Require logs"}


def run(
    monkeypatch: pytest.MonkeyPatch, path: Path, resources: dict[str, Any], found: dict[tuple[str, str, str], str]
) -> int:
    monkeypatch.setattr(policy, "checkov", lambda _: (5, found))
    monkeypatch.setattr(policy, "guard", lambda _: (3, {}))
    path.write_text(json.dumps(template(**resources)))
    code: int = policy.main(path)
    return code


def test_the_report_ends_with_the_number_of_findings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report ends with the number of what is accepted and what is not."""
    bucket, path = accepting({"id": "CKV_AWS_18", "comment": "nobody looks"}), tmp_path / "template.json"
    assert run(monkeypatch, path, {"Bucket": bucket}, {FINDING: "no logs"}) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "1 findings on 1 resources are accepted, each with its reason beside it; 0 unexplained"
    assert run(monkeypatch, path, {"Bucket": {}}, {FINDING: "no logs"}) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[-2:] == [
        "unexplained: Bucket: checkov CKV_AWS_18: no logs",
        "0 findings on 0 resources are accepted, each with its reason beside it; 1 unexplained",
    ]
    assert run(monkeypatch, path, {"Bucket": bucket}, {}) == 1, "an acceptance that is not needed fails too"


def test_a_tool_that_judges_nothing_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: Path) -> Any:
        raise policy.CannotJudge("checkov: no module named checkov")

    path = tmp_path / "template.json"
    path.write_text(json.dumps(template()))
    monkeypatch.setattr(policy, "checkov", broken)
    assert policy.main(path) == 1
    assert "no module named checkov" in capsys.readouterr().out
