"""What every AWS adapter shares: its client, how long to wait, and which errors may pass by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import botocore.session
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
)
from botocore.exceptions import ConnectionError as NotConnected
from urllib3.util import Timeout

from detag.adapters.invocation import INVOCATION
from detag.adapters.roots import bound, roots, session_of, trust
from detag.ports.errors import Transient

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError

CONNECT_SECONDS: Final = 2.0
READ_SECONDS: Final = 5.0
ATTEMPTS: Final = 3
"""Calls, the first included, as far as the invocation has time for them."""
PAUSE_SECONDS: Final = 2.0
"""The longest pause that the SDK makes between three calls."""
KEEP: Final[dict[str, float]] = {"dynamodb": 1.0, "sqs": 1.0}
"""Seconds that a call leaves of its invocation, by service: what writes down how far a photo came may use most."""
KEEP_OTHERS: Final = 8.0
"""So much is left after a call of any other service: enough to write down that it failed (2 + 5 s, and 1 s)."""
POOL: Final = 16
"""Connections kept: `submit` works on ten photos at once."""

THROTTLES: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "OverLimit",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""The codes that AWS services have for "too fast"."""
PASSING: Final = THROTTLES | {
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServiceError",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "TransactionConflictException",
    "TransactionInProgressException",
}
_BROKEN: Final[tuple[type[BotoCoreError], ...]] = (
    CredentialRetrievalError,
    HTTPClientError,  # timeouts, closed connections
    IncompleteReadError,
    NotConnected,  # timeouts, refused connections, TLS
    ResponseStreamingError,
)


def aws_config(*, read_seconds: float = READ_SECONDS, attempts: int = ATTEMPTS) -> Config:
    """The one client configuration: short waits, and few retries by the SDK, with its own backoff and retry quota."""
    return Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=POOL,
    )


_core: Final = botocore.session.get_session()
session: Final = Session(botocore_session=_core)
"""One for all clients: the first makes what the others share."""


def aws_client(service: str, config: Config, *, keep: float | None = None) -> Any:
    """A client of one of the services that layers/dependencies/prune.py keeps.

    However its calls hang, `keep` seconds of the invocation are left after them (see `KEEP`); a call for which there is
    no time raises `Transient` at once.
    """
    keep = KEEP.get(service, KEEP_OTHERS) if keep is None else keep
    make: Any = session.client
    client = make(service, config=config)
    timeout = _WhatIsLeft(config.connect_timeout, config.read_timeout, keep)  # type: ignore[attr-defined]
    bound(session_of(client), timeout)
    client.meta.events.register_first("needs-retry", _no_time_for_another(keep))
    folder = roots()
    if folder and not _core.get_config_variable("ca_bundle"):  # an operator's AWS_CA_BUNDLE beats ours
        bound(trust(client, config, folder), timeout)
    return client


class _WhatIsLeft(Timeout):
    """urllib3 asks for a copy before each request: it gets what the invocation has left then.

    Half of that is for the connection and the headers, half for the body that may hang after them.
    """

    def __init__(self, connect: float, read: float, keep: float) -> None:
        super().__init__(connect=connect, read=read)
        self._longest, self._keep = (connect, read), keep

    def clone(self) -> Timeout:
        half = INVOCATION.left(self._keep) / 2
        if half <= 0:
            raise Transient("too little time is left")
        connect, read = self._longest
        return Timeout(connect=min(connect, half), read=min(read, half), total=min(connect + read, half))


def _no_time_for_another(keep: float) -> Callable[..., None]:
    """A handler that the SDK asks before it repeats a call. Raises `Transient` where it would be too late."""

    def judge(caught_exception: Exception | None = None, **_: object) -> None:
        if caught_exception is not None and INVOCATION.left(keep + PAUSE_SECONDS) <= 0:
            raise Transient("no time for another try") from None

    return judge


def error_code(error: ClientError) -> str:
    """The service's own word for an error, such as `ThrottlingException`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def passing(error: ClientError) -> bool:
    """Whether an error may pass by itself: too fast, a fault of the service's own, or contention."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or status == 429 or error_code(error) in PASSING


@contextmanager
def calling(operation: str) -> Iterator[None]:
    """Around one AWS call: what may pass is raised as `Transient`, all else as it is, with the operation named.

    Of a broken connection only the kind is kept: its text holds the URL.
    """
    try:
        yield
    except ClientError as error:
        if passing(error):
            raise Transient(f"{operation}: {error_code(error) or 'server error'}") from error
        error.add_note(f"while calling {operation}: {error_code(error)}")
        raise
    except Transient as error:
        raise Transient(f"{operation}: {error}") from None
    except _BROKEN as error:
        raise Transient(f"{operation}: {type(error).__name__}") from None
    except Exception as error:
        error.add_note(f"while calling {operation}")
        raise
