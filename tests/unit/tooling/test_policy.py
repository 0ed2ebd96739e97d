"""The judge of the template: a finding is accepted with a reason, for a type or for a resource, or it fails."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
FINDING = ("CKV_AWS_18", "Bucket")
LOGS = {"checks": ["CKV_AWS_18"], "reason": "nobody looks"}


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


def accepting(*entries: dict[str, Any], kind: str = "AWS::S3::Bucket") -> dict[str, Any]:
    return {"Type": kind, "Metadata": {"AcceptedFindings": list(entries)}}


def for_type(owner: str, *entries: dict[str, Any], **resources: Any) -> dict[str, Any]:
    return template(**resources) | {"Metadata": {"AcceptedFindings": {owner: list(entries)}}}


def test_a_finding_with_a_reason_beside_it_is_accepted() -> None:
    """A finding with its reason beside the resource is accepted."""
    verdict = policy.judge(template(Bucket=accepting(LOGS)), {FINDING: "no logs"})
    assert (verdict.accepted, verdict.unexplained, verdict.wrong) == ({FINDING: "nobody looks"}, {}, [])


def test_one_reason_may_answer_several_checks() -> None:
    both = {"checks": ["CKV_AWS_18", "CT.S3.PR.2"], "reason": "nobody looks"}
    findings = {FINDING: "no logs", ("CT.S3.PR.2", "Bucket"): "no logs"}
    verdict = policy.judge(template(Bucket=accepting(both)), findings)
    assert (set(verdict.accepted), verdict.unexplained, verdict.wrong) == (set(findings), {}, [])


def test_a_type_is_accepted_at_each_of_its_resources() -> None:
    """What is accepted for a type is accepted at each of its resources."""
    findings = {("CKV_AWS_18", name): "no logs" for name in ("A", "B")}
    verdict = policy.judge(for_type("AWS::S3::Bucket", LOGS, A={}, B={}, Queue={"Type": "AWS::SQS::Queue"}), findings)
    assert (set(verdict.accepted), verdict.unexplained, verdict.wrong) == (set(findings), {}, [])


@pytest.mark.parametrize(
    "judged",
    [
        template(Bucket={}),
        template(Bucket=accepting({"checks": ["CKV_AWS_19"], "reason": "another check"})),
        template(Bucket={}, Other=accepting(LOGS)),
        template(Bucket=accepting({"checks": ["CKV_AWS_18"], "reason": "  "})),
        template(Bucket=accepting({"checks": ["CKV_AWS_18"]})),
        for_type("AWS::SQS::Queue", LOGS, Bucket={}, Queue={"Type": "AWS::SQS::Queue"}),
        for_type("AWS::S3::Bucket", {"checks": ["CKV_AWS_18"]}, Bucket={}),
    ],
)
def test_a_finding_without_is_unexplained(judged: dict[str, Any]) -> None:
    assert policy.judge(judged, {FINDING: "no logs"}).unexplained == {FINDING: "no logs"}


def test_an_acceptance_without_a_reason_is_wrong() -> None:
    said = ["Bucket: CKV_AWS_18 is accepted without a reason"]
    blank = {"checks": ["CKV_AWS_18"], "reason": ""}
    assert policy.judge(template(Bucket=accepting(blank)), {FINDING: "no logs"}).wrong == said
    assert policy.judge(for_type("AWS::S3::Bucket", blank, Bucket={}), {FINDING: "no logs"}).wrong == said


def test_an_acceptance_of_what_is_not_found_any_more_is_wrong() -> None:
    verdict = policy.judge(template(Bucket=accepting(LOGS)), {})
    assert verdict.wrong == ["Bucket: CKV_AWS_18 is accepted, but not found here any more"]


def test_a_type_must_be_found_at_each_of_its_resources() -> None:
    """What is accepted for a type must be found at each of its resources.

    Else it is special to those where it is found, and a new resource must not have it unnoticed.
    """
    verdict = policy.judge(for_type("AWS::S3::Bucket", LOGS, Bucket={}, Other={}), {FINDING: "no logs"})
    assert verdict.wrong == ["Other: CKV_AWS_18 is accepted, but not found here any more"]


def test_a_type_is_not_said_again_beside_a_resource() -> None:
    """What is accepted for a type is not said again beside a resource."""
    verdict = policy.judge(for_type("AWS::S3::Bucket", LOGS, Bucket=accepting(LOGS)), {FINDING: "no logs"})
    assert verdict.wrong == ["Bucket: CKV_AWS_18 is accepted twice"]


def test_a_type_of_which_there_is_no_resource_is_wrong() -> None:
    verdict = policy.judge(for_type("AWS::SQS::Queue", LOGS, Bucket={}), {})
    assert verdict.wrong == ["AWS::SQS::Queue: there is no such resource or type, but CKV_AWS_18 is accepted for it"]


def test_what_sam_makes_is_named_in_the_templates_metadata() -> None:
    """What SAM makes has no place of its own, and is named in the template's metadata."""
    entry = {"checks": ["CT.LAMBDA.PR.2"], "reason": "SAM writes it"}
    finding = ("CT.LAMBDA.PR.2", "Permission")
    permission = {"Type": "AWS::Lambda::Permission"}
    assert policy.judge(for_type("Permission", entry, Permission=permission), {finding: "public"}).accepted == {
        finding: "SAM writes it"
    }


def test_sams_copies_of_a_functions_metadata_do_not_count() -> None:
    entry = {"checks": ["CKV_AWS_116"], "reason": "none needed"}
    copy = accepting(entry, kind="AWS::Lambda::EventInvokeConfig")
    verdict = policy.judge(template(Function=accepting(entry), Copy=copy), {("CKV_AWS_116", "Function"): "no queue"})
    assert (len(verdict.accepted), verdict.wrong) == (1, [])


def test_the_tools_do_not_see_what_is_accepted() -> None:
    bare = policy.without_metadata(template(Bucket=accepting(LOGS) | {"Properties": {"a": 1}}))
    assert bare == {"Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"a": 1}}}}


def test_a_rules_findings_are_read_out_of_cfn_guards_tree() -> None:
    message = {"custom_message": "\n   [CT.S3.PR.2]: Require logs\n   [FIX]: Log\n", "error_message": None}
    clause = {"Clause": {"Unary": {"check": {"value": {"path": "/Resources/Bucket/Properties", "value": {"x": []}}}}}}
    rule = {"Rule": {"name": "s3_logs", "checks": [{"Rule": {"messages": message, "checks": [clause, clause]}}]}}
    assert dict(policy._findings(rule, ("s3_logs", ""))) == {("CT.S3.PR.2", "Bucket"): "Require logs"}


def run(
    monkeypatch: pytest.MonkeyPatch, path: Path, resources: dict[str, Any], found: dict[tuple[str, str], str]
) -> int:
    monkeypatch.setattr(policy, "checkov", lambda _: (5, found))
    monkeypatch.setattr(policy, "guard", lambda _: (3, {}))
    path.write_text(json.dumps(template(**resources)))
    code: int = policy.main(path)
    return code


def test_the_report_ends_with_how_many_are_accepted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report ends with the number of what is accepted and of what is not."""
    bucket, path = accepting(LOGS), tmp_path / "template.json"
    assert run(monkeypatch, path, {"Bucket": bucket}, {FINDING: "no logs"}) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "1 findings on 1 resources are accepted, each with its reason; 0 unexplained"
    assert run(monkeypatch, path, {"Bucket": {}}, {FINDING: "no logs"}) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[-2:] == [
        "unexplained: Bucket: CKV_AWS_18: no logs",
        "0 findings on 0 resources are accepted, each with its reason; 1 unexplained",
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
