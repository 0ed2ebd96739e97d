"""tests/conftest.py and pyproject.toml: a test reaches nothing that it did not start."""

from __future__ import annotations

import os
import socket

import boto3
import pytest
from botocore.exceptions import NoCredentialsError, NoRegionError
from pytest_socket import SocketBlockedError


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_a_unit_test_has_no_sockets() -> None:
    with pytest.raises(SocketBlockedError):
        socket.socket()
    with pytest.raises(SocketBlockedError):
        socket.create_connection(("127.0.0.1", 9))


def test_the_developers_region_does_not_come_in() -> None:
    with pytest.raises(NoRegionError):
        boto3.client("sqs")


def test_the_developers_credentials_do_not_come_in() -> None:
    with pytest.raises(NoCredentialsError):
        boto3.client("sqs", region_name="eu-west-1").list_queues()


def test_nothing_of_the_developers_aws_settings_is_left() -> None:
    left = {name for name in os.environ if name.startswith("AWS_")}

    assert left == {"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED"}
