"""What every function is deployed with, for tests: the template's own defaults, and names for what it makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeVar

import yaml

from detag.settings import CallbackSettings, DeliverSettings, ReconcileSettings, SubmitSettings, load

TEMPLATE: Final = Path(__file__).resolve().parents[1] / "template.yaml"
MADE: Final = {
    "JobTable": "jobs",
    "InputBucket": "in",
    "OutputBucket": "out",
    "UploadQueue": "https://sqs.eu-central-1.amazonaws.com/111122223333/uploads",
    "ResultQueue": "https://sqs.eu-central-1.amazonaws.com/111122223333/results",
    "RunflowApiKey": "arn:aws:secretsmanager:eu-central-1:111122223333:secret:key",
    "CallbackSecrets": "arn:aws:secretsmanager:eu-central-1:111122223333:secret:callback",
    "${HttpApi.ApiEndpoint}/callbacks": "https://abc123.execute-api.eu-central-1.amazonaws.com/callbacks",
}
"""What CloudFormation would put in place of each reference to a resource."""

Settings = TypeVar("Settings", SubmitSettings, CallbackSettings, DeliverSettings, ReconcileSettings)


class _Loader(yaml.SafeLoader):
    """YAML in which a short form, such as `!Ref`, is its argument."""


_Loader.add_multi_constructor("!", lambda _loader, _suffix, node: node.value)


def _variables() -> dict[str, str]:
    template: dict[str, Any] = yaml.load(TEMPLATE.read_text(encoding="utf-8"), _Loader)  # of a SafeLoader's kind
    known = {name: str(parameter["Default"]) for name, parameter in template["Parameters"].items()} | MADE
    functions = [one["Properties"] for one in template["Resources"].values() if one["Type"].endswith("::Function")]
    variables = {name: value for one in functions for name, value in one["Environment"]["Variables"].items()}
    return {name: known.get(str(value), str(value)) for name, value in variables.items()}


ENVIRON: Final = _variables()
"""The variables of all functions together."""


def settings(kind: type[Settings], **changes: object) -> Settings:
    """A function's settings as deployed, some of them changed: `daily_spend_limit_usd=None`, `paused=True`."""
    return load(kind, ENVIRON | {name.upper(): _text(value) for name, value in changes.items()})


def _text(value: object) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
