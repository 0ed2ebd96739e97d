"""The emulator counts requests by program and service, for those who have its keys."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from botocore.config import Config

from local.emulator.requests import PATH
from tests.emulator import Aws


def test_requests_are_counted_by_program_and_service(aws: Aws) -> None:
    before = aws.emulator.requests()
    config = Config(user_agent="counted/1")
    endpoint = aws.emulator.endpoint_url
    s3 = aws.session.client("s3", endpoint_url=endpoint, config=config)
    s3.create_bucket(Bucket="photos")
    s3.put_object(Bucket="photos", Key="1.jpg", Body=b"1")
    aws.session.client("sqs", endpoint_url=endpoint, config=config).list_queues()
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "photos", "Key": "1.jpg"})
    urllib.request.urlopen(urllib.request.Request(url, headers={"User-Agent": "Runflow"}), timeout=10).close()
    after = aws.emulator.requests()
    assert "counted" not in before
    assert after["counted"] == {"s3": 2, "sqs": 1}
    assert after["Runflow"] == {"url": 1}


def test_a_refused_request_is_not_counted(aws: Aws) -> None:
    url = f"{aws.emulator.endpoint_url}/photos"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(urllib.request.Request(url, headers={"User-Agent": "stranger"}), timeout=10)
    assert "stranger" not in aws.emulator.requests()


def test_the_counts_are_for_those_who_have_the_keys(aws: Aws) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{aws.emulator.endpoint_url}{PATH}", timeout=10)
