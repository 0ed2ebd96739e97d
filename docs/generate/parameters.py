"""The parameters of the stack."""

from __future__ import annotations

from docs.generate import markdown
from docs.generate.template import template


def table() -> str:
    """Every parameter, in the groups that the console shows."""
    rows = []
    for group in template()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]:
        rows.append([f"**{group['Label']['default']}**", "", "", ""])
        for name in group["Parameters"]:
            parameter = template()["Parameters"][name]
            takes = parameter["ConstraintDescription"].removeprefix("must be ").removesuffix(".")
            default = str(parameter["Default"])
            rows.append([f"`{name}`", f"`{default}`" if default else "empty", takes, parameter["Description"]])
    return markdown.table(["parameter", "default", "takes", "what it does"], rows)
