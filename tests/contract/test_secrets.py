"""What every store of callback secrets does, and the API key."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from detag.adapters.secrets import ApiKey, SecretsManagerCallbackSecrets
from detag.ports.runs import NotConfigured
from detag.ports.secrets import CallbackSecrets, Unset
from detag.ports.secrets_fake import FakeCallbackSecrets
from tests.emulator import Aws


@dataclass
class Side:
    """Callback secrets, and how an operator stores them."""

    secrets: CallbackSecrets
    store: Callable[..., None]


@dataclass
class Secret:
    """A secret as the template makes it: without a value."""

    client: Any
    arn: str

    def put(self, text: str) -> None:
        self.client.put_secret_value(SecretId=self.arn, SecretString=text)


@pytest.fixture
def secret(aws: Aws, name: str) -> Secret:
    client = aws.client("secretsmanager")
    return Secret(client, client.create_secret(Name=name)["ARN"])


@pytest.fixture(params=["fake", "secretsmanager"])
def side(request: pytest.FixtureRequest) -> Side:
    if request.param == "fake":
        fake = FakeCallbackSecrets()
        return Side(fake, lambda *secrets: setattr(fake, "secrets", secrets))
    secret: Secret = request.getfixturevalue("secret")
    return Side(
        SecretsManagerCallbackSecrets(secret.client, secret.arn),
        lambda *secrets: secret.put(json.dumps({"secrets": secrets})),
    )


def test_secrets_that_nobody_stored_are_unset(side: Side) -> None:
    with pytest.raises(Unset, match="no value"):
        side.secrets.read()


def test_all_secrets_are_read_the_current_one_first(side: Side) -> None:
    side.store("whsec_current", "whsec_prévious")
    assert side.secrets.read() == (b"whsec_current", "whsec_prévious".encode())


def test_a_secret_that_was_replaced_is_read_at_once(side: Side) -> None:
    side.store("whsec_1")
    side.secrets.read()
    side.store("whsec_2", "whsec_1")
    assert side.secrets.read() == (b"whsec_2", b"whsec_1")


@pytest.mark.parametrize(
    "text",
    ["whsec_1", '{"secrets": "whsec_1"}', '{"secrets": []}', '{"secrets": ["whsec_1", ""]}', '{"secret": ["whsec_1"]}'],
)
def test_callback_secrets_of_another_shape_are_unset(secret: Secret, text: str) -> None:
    """Secrets of another shape are unset, and the message shows none of them."""
    secret.put(text)
    with pytest.raises(Unset, match="shape") as raised:
        SecretsManagerCallbackSecrets(secret.client, secret.arn).read()
    assert "whsec_1" not in str(raised.value)


def test_a_secret_that_is_being_deleted_is_unset(secret: Secret) -> None:
    secret.put('{"secrets": ["whsec_1"]}')
    secret.client.delete_secret(SecretId=secret.arn, RecoveryWindowInDays=7)
    with pytest.raises(Unset):
        SecretsManagerCallbackSecrets(secret.client, secret.arn).read()


def test_the_api_key_is_not_configured_until_one_is_stored(secret: Secret) -> None:
    api_key = ApiKey(secret.client, secret.arn)
    with pytest.raises(NotConfigured, match="no value"):
        api_key()
    secret.put('{"api_key": "rf_live_1"}')
    assert api_key() == "rf_live_1"


def test_the_api_key_is_kept_until_it_is_to_be_forgotten(secret: Secret) -> None:
    secret.put('{"api_key": "rf_live_1"}')
    api_key = ApiKey(secret.client, secret.arn)
    api_key()
    secret.put('{"api_key": "rf_live_2"}')
    assert api_key() == "rf_live_1"
    api_key.forget()
    assert api_key() == "rf_live_2"
