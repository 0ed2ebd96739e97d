"""The real handlers, loaded as Lambda loads them: from `functions/`, with nothing but their environment."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final
from unittest.mock import patch
from uuid import uuid4

import urllib3.util.connection  # noqa: F401 - tries a socket when it is first imported: so not inside a test

FUNCTIONS: Final = Path(__file__).resolve().parents[1] / "functions"
AWS: Final = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "made up",
}


def handler(function: str, environ: Mapping[str, str]) -> ModuleType:
    """A fresh copy of a function's module. Making its clients calls nobody."""
    spec = importlib.util.spec_from_file_location(
        f"handler_{function}_{uuid4().hex}", FUNCTIONS / function / "handler.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    powertools = {"POWERTOOLS_SERVICE_NAME": function, "POWERTOOLS_METRICS_NAMESPACE": "detag/test"}
    with patch.dict(os.environ, {**AWS, **powertools, **environ}):
        spec.loader.exec_module(module)
    return module


def context(seconds: float = 30.0) -> Any:
    """The second argument of a handler, of an invocation that has so many seconds."""
    return SimpleNamespace(
        aws_request_id=str(uuid4()),
        function_name="function",
        memory_limit_in_mb=512,
        invoked_function_arn="arn:aws:lambda:eu-central-1:111122223333:function:function",
        get_remaining_time_in_millis=lambda: int(seconds * 1000),
    )
