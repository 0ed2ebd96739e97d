"""The template as it is written."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

PLACE: Final = Path(__file__).parents[2] / "template.yaml"


class _Loader(yaml.SafeLoader):
    """YAML in which a short form of CloudFormation stands for what it is given: `!GetAtt Queue.Arn` for "Queue.Arn"."""


def _given(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
    return loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else None


_Loader.add_multi_constructor("!", _given)


@cache
def template() -> dict[str, Any]:
    """The whole of it."""
    found: dict[str, Any] = yaml.load(PLACE.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a safe loader
    return found
