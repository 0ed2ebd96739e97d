"""Metrics and log lines by Powertools."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from detag.adapters.invocation import INVOCATION
from detag.domain.metrics import Metric
from detag.ports.errors import safe_description

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

Handler = Callable[[dict[str, Any], "LambdaContext"], dict[str, Any]]

_LINE: Final = {"asctime", "level", "location", "message", "service", "timestamp"}
_TAKEN: Final = _LINE.union(vars(logging.makeLogRecord({})))
"""Names that a log record or the line itself already uses: the standard library raises KeyError for most of them."""


def line_fields(fields: dict[str, object]) -> dict[str, Any]:
    """The fields of a line, with an underscore after those whose names are taken."""
    return {f"{name}_" if name in _TAKEN else name: value for name, value in fields.items()}


class InvocationFailed(Exception):
    """What Lambda gets, and logs, of an error that ends an invocation; see `safe_description`."""


class PowertoolsTelemetry:
    """See `detag.ports.telemetry.Telemetry`. Names, namespace and level come from Powertools' own variables."""

    def __init__(self, logger: Logger | None = None, metrics: Metrics | None = None) -> None:
        self._logger, self._metrics = logger or Logger(), metrics or Metrics()
        self._lock = Lock()  # Metrics is not made for threads, and `submit` works in ten
        self._counted = False

    def invocation(self, handler: Handler) -> Handler:
        """Decorates a Lambda handler: its lines carry the request's id, its metrics are sent when it ends, and an
        error that ends it is logged as `safe_description` has it. Its calls know how long it has. Raises
        `InvocationFailed`.
        """

        @wraps(handler)
        def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
            self._logger.append_keys(request_id=context.aws_request_id)
            INVOCATION.begin(context.get_remaining_time_in_millis())
            try:
                return handler(event, context)
            except Exception as error:  # noqa: BLE001 - the runtime logs whatever leaves here, text and all
                raise InvocationFailed(safe_description(error)) from None
            finally:
                INVOCATION.end()
                self._flush()

        return handle

    def _flush(self) -> None:
        with self._lock:
            if self._counted:  # Powertools warns of an empty set
                self._metrics.flush_metrics()
            self._counted = False

    def count(self, metric: Metric, value: float = 1) -> None:
        """See `Telemetry`."""
        with self._lock:
            self._counted = True
            self._metrics.add_metric(name=metric, unit=MetricUnit.Count, value=value)

    def alarm(self, metric: Metric) -> None:
        """See `Telemetry`."""
        self.count(metric)
        self._flush()

    def info(self, message: str, **fields: object) -> None:
        """See `Telemetry`."""
        self._logger.info(message, extra=line_fields(fields), stacklevel=3)

    def warning(self, message: str, **fields: object) -> None:
        """See `Telemetry`."""
        self._logger.warning(message, extra=line_fields(fields), stacklevel=3)
