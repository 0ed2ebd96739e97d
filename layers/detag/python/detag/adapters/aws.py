"""What every AWS adapter shares: its client, how long to wait, and which errors may pass by themselves."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import certifi
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
)
from botocore.exceptions import ConnectionError as NotConnected
from botocore.httpsession import URLLib3Session
from botocore.loaders import Loader
from botocore.session import Session
from botocore.utils import get_environ_proxies

from detag.ports.errors import Transient

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError

SERVICES: Final = ("dynamodb", "events", "s3", "secretsmanager", "sqs")
DATA: Final = Path(__file__).with_name("data")
"""Where bin/endpoints.py puts botocore's table of endpoints, cut to these services: read at every cold start, 37 times
smaller."""
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
"""The words that AWS services have for "too fast"."""
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


def roots() -> str | None:
    """The folder that layers/dependencies/roots.py makes of certifi's bundle; None where it was not made.

    OpenSSL opens the one certificate of it that it needs. The bundle costs 17 ms of CPU whenever it is read, and
    botocore reads it for every connection.
    """
    folder = Path(certifi.__file__).with_name("roots")
    return str(folder) if folder.is_dir() else None


class _Https(URLLib3Session):
    """Botocore's own way to send a request, but for where its trust comes from."""

    roots: str

    def _setup_ssl_cert(self, conn: Any, url: str, verify: Any) -> None:
        # The hook has a private name. Should botocore rename it, then this does nothing, and the bundle is read again.
        super()._setup_ssl_cert(conn, url, verify)  # type: ignore[misc]
        conn.ca_certs, conn.ca_cert_dir = None, self.roots


class _Data(Loader):
    """Botocore's models, without the walk through its 440 services by which it learns that there are these."""

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - all types are the same to us
        """Those that we use."""
        return list(SERVICES)


_session: Final = Session()
_session.register_component("data_loader", _Data([str(DATA)]))


def aws_client(service: str, config: Config) -> Any:
    """A client of one of `SERVICES`: what `boto3.client` makes, without the import of boto3 and of its transfers."""
    client: Any = _session.create_client(service, config=config)
    options: Any = config  # whose attributes the stubs do not know
    folder = roots()
    if folder and not _session.get_config_variable("ca_bundle"):  # an operator's AWS_CA_BUNDLE beats ours
        https: Any = _Https(
            proxies=get_environ_proxies(client.meta.endpoint_url),
            timeout=(options.connect_timeout, options.read_timeout),  # type: ignore[arg-type]
            max_pool_connections=options.max_pool_connections,
            # As botocore's own client has it. Without it every body waits for the acknowledgement of its header: 40 ms.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],  # type: ignore[list-item]
        )
        https.roots = folder
        client.meta.events.register("before-send", lambda request, **_: https.send(request))
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

    Of a broken connection only the kind is told: its text holds the URL.
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
