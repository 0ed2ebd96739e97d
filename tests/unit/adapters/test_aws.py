"""Which errors of AWS may pass by themselves, and what is kept of them."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ParamValidationError,
    ReadTimeoutError,
    SSLError,
)

from detag.adapters.aws import aws_config, calling
from detag.ports.errors import Transient

URL = "https://photos.s3.us-east-1.amazonaws.com/a.jpg?X-Amz-Signature=5ec2e7"


def refusal(code: str, status: int = 400) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutItem")  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ProvisionedThroughputExceededException", 400),
        ("ThrottlingException", 400),
        ("RequestLimitExceeded", 400),
        ("TransactionConflictException", 400),
        ("TransactionInProgressException", 400),
        ("RequestThrottled", 403),
        ("SlowDown", 503),
        ("TooMany", 429),
        ("InternalServerError", 500),
        ("InternalServiceError", 400),
        ("502", 502),
        ("", 503),
    ],
)
def test_throttles_faults_and_contention_are_transient(code: str, status: int) -> None:
    with pytest.raises(Transient, match=f"PutItem: {code}"), calling("PutItem"):
        raise refusal(code, status)


@pytest.mark.parametrize(
    "code",
    ["ConditionalCheckFailedException", "ValidationException", "AccessDeniedException", "ResourceNotFoundException"],
)
def test_other_errors_are_raised_as_they_are(code: str) -> None:
    """Other errors are raised as they are, with the operation named."""
    with pytest.raises(ClientError, match=code) as raised, calling("PutItem"):
        raise refusal(code)
    assert raised.value.__notes__ == [f"while calling PutItem: {code}"]


@pytest.mark.parametrize(
    "error",
    [
        ConnectTimeoutError(endpoint_url=URL),
        ReadTimeoutError(endpoint_url=URL),
        EndpointConnectionError(endpoint_url=URL),
        ConnectionClosedError(endpoint_url=URL),
        SSLError(endpoint_url=URL, error=OSError("handshake")),
    ],
)
def test_a_broken_connection_is_transient_and_hides_its_url(error: Exception) -> None:
    """A broken connection is transient, and its URL is not in the message."""
    with pytest.raises(Transient, match=f"GetObject: {type(error).__name__}") as raised, calling("GetObject"):
        raise error
    assert "5ec2e7" not in "".join(traceback.format_exception(raised.value))


def test_a_mistake_of_ours_is_not_transient() -> None:
    with pytest.raises(ParamValidationError) as raised, calling("PutItem"):
        raise ParamValidationError(report="Item is missing")
    assert raised.value.__notes__ == ["while calling PutItem"]


def test_what_goes_well_goes_on() -> None:
    with calling("PutItem"):
        done = True
    assert done


def test_clients_wait_shortly_and_retry_little() -> None:
    config: Any = aws_config()
    assert (config.connect_timeout, config.read_timeout) == (2, 5)
    assert config.retries == {"mode": "standard", "total_max_attempts": 3}
    assert config.max_pool_connections >= 10
