"""How secrets are read, and that no error shows them."""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from detag.adapters.secrets import ApiKey, SecretsManagerCallbackSecrets, read_api_key, read_callback_secrets
from detag.ports.errors import Transient
from detag.ports.runs import NotConfigured
from detag.ports.secrets import Unset

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:CallbackSecrets-abcdef"

Reader = Callable[[Any], object]
READERS: list[Reader] = [
    lambda client: SecretsManagerCallbackSecrets(client, ARN).read(),
    lambda client: ApiKey(client, ARN)(),
]
MISSING = (Unset, NotConfigured)

Stub = Any
"""A Stubber: botocore's types do not say whose client it has."""


@pytest.fixture
def stub() -> Iterator[Stub]:
    client = boto3.client(
        "secretsmanager", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    with Stubber(client) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("code", ["ResourceNotFoundException", "InvalidRequestException"])
def test_a_secret_without_a_value_is_told_as_such(stub: Stub, read: Reader, code: str) -> None:
    stub.add_client_error("get_secret_value", code, http_status_code=400, expected_params={"SecretId": ARN})
    with pytest.raises(MISSING, match="no value"):
        read(stub.client)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("code", "status"),
    [("ThrottlingException", 400), ("InternalServiceError", 500), ("InvalidParameterException", 400)],
)
def test_a_secret_that_cannot_be_read_now_is_transient(stub: Stub, read: Reader, code: str, status: int) -> None:
    stub.add_client_error("get_secret_value", code, http_status_code=status)
    with pytest.raises(Transient, match=code):
        read(stub.client)


@pytest.mark.parametrize("code", ["AccessDeniedException", "DecryptionFailure"])
@pytest.mark.parametrize(("read", "raised"), [*zip(READERS, [Transient, NotConfigured], strict=True)])
def test_a_denied_secret_says_what_to_do(stub: Stub, read: Reader, raised: type[Exception], code: str) -> None:
    """Photos wait for the API key as where none is stored; a callback is sent again while its secret is denied."""
    stub.add_client_error("get_secret_value", code, service_message=f"no right on {ARN}", http_status_code=400)
    with pytest.raises(raised, match=rf"may not be read \({code}\): let the functions' roles read it") as error:
        read(stub.client)
    assert ARN not in str(error.value)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("text", ["s3cr3t", '{"s3cr3t"', '["s3cr3t"]', '{"other": "s3cr3t"}', "null", "[" * 100_000])
def test_a_value_of_another_shape_is_never_told(stub: Stub, read: Reader, text: str) -> None:
    stub.add_response("get_secret_value", {"SecretString": text})
    with pytest.raises(MISSING, match="shape") as raised:
        read(stub.client)
    chain: BaseException | None = raised.value
    while chain is not None:
        shown = "".join(traceback.format_exception_only(chain)) + repr(vars(chain))
        assert "s3cr3t" not in shown
        chain = chain.__cause__ or chain.__context__


@pytest.mark.parametrize("read", READERS)
def test_a_value_of_bytes_is_none(stub: Stub, read: Reader) -> None:
    stub.add_response("get_secret_value", {"SecretBinary": b"s3cr3t"})
    with pytest.raises(MISSING, match="text"):
        read(stub.client)


@pytest.mark.parametrize(
    ("secrets", "expected"),
    [
        (["whsec_1"], (b"whsec_1",)),
        (["whsec_2\n", " whsec_1"], (b"whsec_2", b"whsec_1")),
        ([], None),
        (["whsec_1", ""], None),
        (["whsec_1", "  "], None),
        (["whsec_1", None], None),
        (["whsec_1", 7], None),
        ("whsec_1", None),
        ({"whsec_1": 1}, None),
        (None, None),
    ],
)
def test_callback_secrets_are_a_list_of_texts(secrets: object, expected: tuple[bytes, ...] | None) -> None:
    assert read_callback_secrets(json.dumps({"secrets": secrets})) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("rf_live_1", "rf_live_1"),
        (" rf_live_1\n", "rf_live_1"),
        ("", None),
        ("  ", None),
        ("rf live", None),
        ("rf_live_1\r\nX-Other: 1", None),
        ("rf_lïve", None),
        (7, None),
        (["rf_live_1"], None),
        (None, None),
    ],
)
def test_an_api_key_is_a_text_that_a_header_can_hold(key: object, expected: str | None) -> None:
    assert read_api_key(json.dumps({"api_key": key})) == expected


def test_a_failure_is_not_kept(stub: Stub) -> None:
    api_key = ApiKey(stub.client, ARN)
    stub.add_client_error("get_secret_value", "ResourceNotFoundException", http_status_code=400)
    stub.add_client_error("get_secret_value", "ThrottlingException", http_status_code=400)
    stub.add_response("get_secret_value", {"SecretString": '{"api_key": "rf_live_1"}'})
    with pytest.raises(NotConfigured):
        api_key()
    with pytest.raises(Transient):
        api_key()
    assert [api_key(), api_key()] == ["rf_live_1", "rf_live_1"]


def test_threads_that_want_the_key_at_once_fetch_it_once() -> None:
    class Slow:
        calls = 0

        def get_secret_value(self, **_: Any) -> dict[str, str]:
            self.calls += 1
            time.sleep(0.02)
            return {"SecretString": '{"api_key": "rf_live_1"}'}

    client = Slow()
    api_key, start = ApiKey(client, ARN), threading.Barrier(8)  # type: ignore[arg-type]

    def want(_: int) -> str:
        start.wait()
        return api_key()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(want, range(8))) == ["rf_live_1"] * 8
    assert client.calls == 1
