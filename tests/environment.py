"""What every function is deployed with, for tests: the template's own defaults, and names for what it makes."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from detag.settings import CallbackSettings, DeliverSettings, ReconcileSettings, SubmitSettings, load
from tests.template.resolve import resolved
from tests.template.stack import read_source

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


def _variables() -> dict[str, str]:
    resources = resolved(read_source())["Resources"].values()
    functions = [one["Properties"] for one in resources if one["Type"].endswith("::Function")]
    variables = {name: value for one in functions for name, value in one["Environment"]["Variables"].items()}
    return {name: _made(value) for name, value in variables.items()}


def _made(value: Any) -> str:
    match value:
        case {"Ref": name} | {"Fn::Sub": name}:
            return MADE[name]
    return str(value)


ENVIRON: Final = _variables()
"""The variables of all functions together."""


def settings(kind: type[Settings], **changes: object) -> Settings:
    """A function's settings as deployed, some of them changed: `daily_spend_limit_usd=None`, `paused=True`."""
    environ: dict[str, str] = ENVIRON | {name.upper(): _text(value) for name, value in changes.items()}
    known: tuple[object, ...] = (kind, *environ.items())
    if known not in _LOADED:
        _LOADED[known] = load(kind, environ)
    loaded: Settings = _LOADED[known]
    return loaded


_LOADED: Final[dict[tuple[object, ...], Any]] = {}
"""What was read before: a simulation asks for the same whenever a process starts."""


def _text(value: object) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
