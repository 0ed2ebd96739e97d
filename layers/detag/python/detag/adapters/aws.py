"""What every AWS adapter shares: its client, how long to wait, and which errors may pass by themselves."""

from __future__ import annotations

from collections.abc import Iterator
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

from detag.adapters.roots import roots, trust
from detag.ports.errors import Transient

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError

CONNECT_SECONDS: Final = 2.0
READ_SECONDS: Final = 5.0
ATTEMPTS: Final = 3
"""Calls, the first included. At the worst 3 x (2 + 5) s and their pauses: below the 30 s that `submit` has."""
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


def aws_client(service: str, config: Config) -> Any:
    """A client of one of the services that layers/dependencies/prune.py keeps."""
    make: Any = session.client
    client = make(service, config=config)
    folder = roots()
    if folder and not _core.get_config_variable("ca_bundle"):  # an operator's AWS_CA_BUNDLE beats ours
        trust(client, config, folder)
    return client


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
    except _BROKEN as error:
        raise Transient(f"{operation}: {type(error).__name__}") from None
    except Exception as error:
        error.add_note(f"while calling {operation}")
        raise
