"""The template as it is written, and as CloudFormation sees it after the SAM transform."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tests.template.resolve import refused, resolved

ROOT = Path(__file__).resolve().parents[2]
SAM_PYTHON = os.environ.get("SAM_PYTHON") or ROOT / ".venv" / "sam" / "bin" / "python"


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Ref X` is {"Ref": "X"}, `!GetAtt X.Y` is {"Fn::GetAtt": ["X", "Y"]}."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


@dataclass(frozen=True)
class Stack:
    """`source`: template.yaml. `deployed`: the same after the transform. Both as plain dictionaries."""

    text: str
    source: dict[str, Any]
    deployed: dict[str, Any]

    def given(self, **values: str) -> Stack:
        """What a deploy with these parameters makes, all others at their defaults: no choice is left in `deployed`."""
        return replace(self, deployed=resolved(self.deployed, **values))

    def refused(self, **values: str) -> list[str]:
        """Why a deploy with these parameters would be refused before anything is made."""
        return refused(self.source, **values)

    def of_type(self, kind: str) -> dict[str, Any]:
        """The properties of every deployed resource of a type, by logical id. At least one: else nothing is tested."""
        found = {
            name: resource.get("Properties", {})
            for name, resource in self.deployed["Resources"].items()
            if resource["Type"] == kind
        }
        assert found, f"the template has no {kind}"
        return found

    def properties(self, name: str) -> dict[str, Any]:
        """The properties of one deployed resource."""
        properties: dict[str, Any] = self.deployed["Resources"][name]["Properties"]
        return properties

    def statements(self, name: str) -> list[dict[str, Any]]:
        """The statements of a role's own policies, or of a resource policy."""
        properties = self.properties(name)
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [properties])]
        return [statement for document in documents for statement in document["Statement"]]

    def consumers(self) -> dict[str, dict[str, Any]]:
        """The event source mapping of each queue that has one, by the queue's logical id."""
        mappings = self.of_type("AWS::Lambda::EventSourceMapping").values()
        return {self.one_name(mapping["EventSourceArn"]): mapping for mapping in mappings}

    def names(self, value: Any) -> set[str]:
        """Every logical id, parameter or pseudo parameter that a value refers to."""
        if isinstance(value, list):
            return set().union(*map(self.names, value)) if value else set()
        if not isinstance(value, dict):
            return set()
        found: set[str] = set()
        for key, inner in value.items():
            if key == "Ref":
                found.add(inner)
            elif key == "Fn::GetAtt":
                found.add(inner[0] if isinstance(inner, list) else inner.split(".")[0])
            elif key == "Fn::Sub":
                text, given = (inner, {}) if isinstance(inner, str) else inner
                found |= {name.split(".")[0] for name in re.findall(r"\$\{([^}!]+)\}", text)} - set(given)
                found |= self.names(given)
            else:
                found |= self.names(inner)
        return found

    def one_name(self, value: Any) -> str:
        """The only logical id that a value refers to."""
        (name,) = self.names(value)
        return name


def read_source() -> dict[str, Any]:
    """The template as it is written."""
    source: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(encoding="utf-8"), _Loader)
    return source


def read_stack() -> Stack:
    """The template, both ways."""
    template = ROOT / "template.yaml"
    command = [str(SAM_PYTHON), str(Path(__file__).with_name("transform.py")), str(template)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Stack(template.read_text(encoding="utf-8"), read_source(), json.loads(done.stdout))
