"""Judge a template after the SAM transform by checkov's checks and by AWS's own rules for cfn-guard. Offline.

    .venv/policy/bin/python bin/policy.py .build/transformed.json
    .venv/policy/bin/python bin/policy.py --combinations .build/combinations/*.json

A finding is accepted only where the template gives the reason: for every resource of a type in its own Metadata, for
one resource in that one's.

    Metadata:
      AcceptedFindings:
        AWS::S3::Bucket:
          - {checks: [CKV_AWS_18, CT.S3.PR.2], reason: ...}

    Resources:
      OutputBucket:
        Metadata:
          AcceptedFindings:
            - {checks: [CT.S3.PR.4], reason: ...}

The template's Metadata may also name a resource that SAM makes. Types are those after the transform. Any other finding
fails, and so does an acceptance without a reason, one without its finding, be it at a single resource of its type, and
one that is given twice; with --combinations, what the template makes of other parameters, only the finding does. The
rules are those of AWS Control Tower's proactive controls, as the package
cdk-validator-cfnguard carries them together with the cfn-guard program.
"""

from __future__ import annotations

import importlib.util
import json
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PACKAGE = "cdklabs.cdk_validator_cfnguard"
PROGRAMS = {"Linux": "ubuntu", "Darwin": "macos"}
PROCESSORS = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
RULES = "rules/control-tower/cfn-guard"
ACCEPTED = "AcceptedFindings"
COPIES = ("AWS::Lambda::EventInvokeConfig",)
"""What SAM makes of a function and gives the function's Metadata to."""

Place = tuple[str, str]
"""Identifier of the check, which tells the tool by its prefix, and logical id of the resource."""


class CannotJudge(Exception):
    """A tool did not do its work. The text says which."""


@dataclass
class Verdict:
    """What was found, what of it is accepted, and what is wrong with the acceptances."""

    accepted: dict[Place, str] = field(default_factory=dict)
    unexplained: dict[Place, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def accepted_in(template: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Every acceptance in a transformed template, with its reason ('' if it has none).

    One for a type comes once for each resource of the type.
    """
    resources = template["Resources"]
    for owner, entries in template.get("Metadata", {}).get(ACCEPTED, {}).items():
        of_type = [name for name, resource in resources.items() if resource["Type"] == owner]
        for name in of_type or [owner]:
            yield from _reasons(name, entries)
    for name, resource in resources.items():
        if resource["Type"] not in COPIES:
            yield from _reasons(name, (resource.get("Metadata") or {}).get(ACCEPTED, []))


def _reasons(resource: str, entries: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Place, str]]:
    for entry in entries:
        for check in entry["checks"]:
            yield (check, resource), str(entry.get("reason") or "").strip()


def without_metadata(template: Mapping[str, Any]) -> dict[str, Any]:
    """The template as the tools get it, so that they find what is accepted too."""
    resources = {
        name: {part: value for part, value in resource.items() if part != "Metadata"}
        for name, resource in template["Resources"].items()
    }
    return {**template, "Resources": resources}


def judge(template: Mapping[str, Any], findings: Mapping[Place, str]) -> Verdict:
    """Compare the findings (with what each says) with the acceptances in the template."""
    verdict, reasons = Verdict(), dict[Place, str]()
    for place, reason in accepted_in(template):
        check, resource = place
        if place in reasons:
            verdict.wrong.append(f"{resource}: {check} is accepted twice")
        elif not reason:
            verdict.wrong.append(f"{resource}: {check} is accepted without a reason")
        elif resource not in template["Resources"]:
            verdict.wrong.append(f"{resource}: there is no such resource or type, but {check} is accepted for it")
        elif place not in findings:
            verdict.wrong.append(f"{resource}: {check} is accepted, but not found here any more")
        reasons[place] = reason
    for place, said in findings.items():
        if reasons.get(place):
            verdict.accepted[place] = reasons[place]
        else:
            verdict.unexplained[place] = said
    return verdict


def checkov(template: Path) -> tuple[int, dict[Place, str]]:
    """How many of checkov's checks passed, and its findings."""
    command = [sys.executable, "-m", "checkov.main", "-f", str(template), "--framework", "cloudformation", "secrets"]
    options = ["--skip-download", "--quiet", "--compact", "--output", "json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise CannotJudge(f"checkov: {done.stdout}{done.stderr}") from None
    reports = answer if isinstance(answer, list) else [answer]
    if not any(report.get("check_type") == "cloudformation" for report in reports):
        raise CannotJudge(f"checkov judged nothing: {done.stdout}{done.stderr}")
    passed, findings = 0, {}
    for report in reports:
        passed += report["summary"]["passed"]
        for one in report["results"]["failed_checks"]:
            findings[one["check_id"], one["resource"].rpartition(".")[2]] = one["check_name"]
    return passed, findings


def guard(template: Path) -> tuple[int, dict[Place, str]]:
    """How many of AWS's rules passed, and the findings of the others."""
    with tempfile.TemporaryDirectory() as folder:
        program, rules = unpack(Path(folder))
        command = [str(program), "validate", "--structured", "--output-format", "json", "--show-summary", "none"]
        command += ["--rules", str(rules), "--data", str(template)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        (report,) = json.loads(done.stdout)
    except ValueError:
        raise CannotJudge(f"cfn-guard: {done.stdout[-2000:]}{done.stderr}") from None
    findings: dict[Place, str] = {}
    for rule in report["not_compliant"]:
        found = dict(_findings(rule, (rule["Rule"]["name"], "")))
        if not found:
            raise CannotJudge(f"cfn-guard: rule {rule['Rule']['name']} failed for no resource")
        findings |= found
    return len(report["compliant"]), findings


def unpack(folder: Path) -> tuple[Path, Path]:
    """The cfn-guard program for this machine, and the folder of the rules."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise CannotJudge(f"cfn-guard: {PACKAGE} is not installed")
    (archive,) = (Path(spec.origin).parent / "_jsii").glob("*.tgz")
    system, processor = PROGRAMS.get(platform.system()), PROCESSORS.get(platform.machine().lower())
    if not system or not processor:
        raise CannotJudge(f"there is no cfn-guard for {platform.system()} on {platform.machine()}")
    program = f"bin/{system}/{processor}/cfn-guard"
    wanted = tuple(f"package/{path}" for path in (program, RULES))
    with tarfile.open(archive) as files:
        members = [member for member in files.getmembers() if member.name.startswith(wanted)]
        if hasattr(tarfile, "data_filter"):  # from 3.11.4 on; before, the hash that pins the package has to do
            files.extraction_filter = tarfile.data_filter
        files.extractall(folder, members)  # noqa: S202 - see above
    return folder / "package" / program, folder / "package" / RULES


def _findings(report: Any, rule: tuple[str, str]) -> Iterator[tuple[Place, str]]:
    """The resources that a rule failed for, out of cfn-guard's tree of what it compared."""
    if isinstance(report, list):
        for one in report:
            yield from _findings(one, rule)
    elif isinstance(report, dict):
        message = (report.get("messages") or {}).get("custom_message") or ""
        if named := re.search(r"\[(CT\.[^\]]+)\]: ([^\n]*)", message):
            rule = named[1], named[2]
        path = report.get("path")
        if isinstance(path, str) and path.startswith("/Resources/"):
            yield (rule[0], path.split("/")[2]), rule[1]
        for one in report.values():
            yield from _findings(one, rule)


def main(path: Path, *, strict: bool = True) -> int:
    """Print the report; the exit code. `strict`: acceptances are judged as well."""
    template = json.loads(path.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "template.json"
        bare.write_text(json.dumps(without_metadata(template), indent=2), encoding="utf-8")
        try:
            (checks, first), (rules, second) = checkov(bare), guard(bare)
        except CannotJudge as error:
            print(error)
            return 1
    verdict = judge(template, first | second)
    print(f"{checks} checks of checkov and {rules} of AWS's guard rules find nothing")
    for (check, resource), said in sorted(verdict.unexplained.items()):
        print(f"unexplained: {resource}: {check}: {said}")
    for said in sorted(verdict.wrong) if strict else ():
        print(f"wrong: {said}")
    resources = len({resource for _, resource in verdict.accepted})
    print(
        f"{len(verdict.accepted)} findings on {resources} resources are accepted, each with its reason; "
        f"{len(verdict.unexplained)} unexplained"
    )
    return bool(verdict.unexplained or (strict and verdict.wrong))


def judge_combinations(paths: Iterable[Path]) -> int:
    """Print a report for each; the exit code."""
    failed = 0
    for path in paths:
        print(f"{path.stem}: ", end="", flush=True)
        failed |= main(path, strict=False)
    return failed


if __name__ == "__main__":
    sys.exit(
        judge_combinations(map(Path, sys.argv[2:])) if sys.argv[1] == "--combinations" else main(Path(sys.argv[1]))
    )
