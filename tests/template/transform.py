"""Prints a template after the SAM transform, as JSON, without AWS: what `sam deploy` would have CloudFormation make.

    python transform.py template.yaml [Parameter=value ...]

Runs where the SAM CLI is installed. Code is not built: every function and layer gets a made-up address.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

CODE = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}


class NoManagedPolicies:
    """The template names none, so there is nothing to look up."""

    def load(self) -> dict[str, str]:
        """Names and ARNs of managed policies."""
        return {}


def transformed(template: Path, parameters: dict[str, str]) -> dict[str, Any]:
    """The template of a file in plain CloudFormation."""
    os.environ["AWS_DEFAULT_REGION"] = "eu-west-1"  # read by the transform, for partition and region
    from samcli.yamlhelper import yaml_parse
    from samtranslator.translator.transform import transform

    source = yaml_parse(template.read_text(encoding="utf-8"))
    for name, resource in source["Resources"].items():
        if resource["Type"] in CODE:
            resource["Properties"][CODE[resource["Type"]]] = f"s3://code/{name}"
    defaults = {name: parameter.get("Default") for name, parameter in source["Parameters"].items()}
    result: dict[str, Any] = transform(source, defaults | parameters, NoManagedPolicies())
    return result


if __name__ == "__main__":
    given = dict(argument.split("=", 1) for argument in sys.argv[2:])
    print(json.dumps(transformed(Path(sys.argv[1]), given), indent=2))
