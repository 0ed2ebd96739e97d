"""Secrets in AWS Secrets Manager. No error made here holds a secret's text."""

from __future__ import annotations

import json
from threading import Lock
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from detag.adapters.aws import calling, error_code
from detag.ports.errors import Transient
from detag.ports.runs import NotConfigured
from detag.ports.secrets import Unset

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_VALUELESS = frozenset({"ResourceNotFoundException", "InvalidRequestException"})
"""A secret that was never given a value, and one that is marked for deletion."""
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "DecryptionFailure"})
"""Rights that are missing: on the secret, or on its key."""


class _Denied(Exception):
    """The secret may not be read, or not be decrypted. The message says what to do."""


def get_secret_request(arn: str) -> dict[str, Any]:
    """The GetSecretValue request for a secret's current value."""
    return {"SecretId": arn}


def read_callback_secrets(text: str) -> tuple[bytes, ...] | None:
    """The secrets in `{"secrets": ["whsec_current", "whsec_previous"]}`, or None for any other text."""
    secrets = _field(text, "secrets")
    if not isinstance(secrets, list) or not secrets:
        return None
    stripped = [secret.strip() if isinstance(secret, str) else "" for secret in secrets]
    return tuple(secret.encode() for secret in stripped) if all(stripped) else None


def read_api_key(text: str) -> str | None:
    """The key in `{"api_key": "rf_live_..."}`, or None for any other text, and for a key that no header can hold."""
    key = _field(text, "api_key")
    if not isinstance(key, str):
        return None
    key = key.strip()
    return key if key and key.isascii() and key.isprintable() and " " not in key else None


def _field(text: str, name: str) -> object:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value.get(name) if isinstance(value, dict) else None


def _fetch(client: SecretsManagerClient, arn: str) -> str:
    """A secret's current text. Raises `Unset`, `Transient` or `_Denied`."""
    try:
        with calling("GetSecretValue"):
            answer = client.get_secret_value(**get_secret_request(arn))
    except ClientError as error:
        if error_code(error) in _VALUELESS:
            raise Unset("it has no value") from None
        if error_code(error) not in _DENIED:
            raise Transient(f"GetSecretValue: {error_code(error)}") from None
        raise _Denied(
            f"it may not be read ({error_code(error)}): let the functions' roles read it and use its KMS key"
        ) from None
    if "SecretString" not in answer:
        raise Unset("it has no value as text")
    return answer["SecretString"]


class SecretsManagerCallbackSecrets:
    """See `detag.ports.secrets.CallbackSecrets`."""

    def __init__(self, client: SecretsManagerClient, arn: str) -> None:
        self._client, self._arn = client, arn

    def read(self) -> tuple[bytes, ...]:
        """See `CallbackSecrets`."""
        try:
            secrets = read_callback_secrets(_fetch(self._client, self._arn))
        except _Denied as error:  # as good as one that fails for now: it is there, and Runflow sends again
            raise Transient(f"CallbackSecrets: {error}") from None
        if secrets is None:
            raise Unset('its value is not of the shape {"secrets": ["whsec_..."]}')
        return secrets


class ApiKey:
    """Runflow's API key, fetched once and kept until `forget`: a call gives it. For many threads."""

    def __init__(self, client: SecretsManagerClient, arn: str) -> None:
        self._client, self._arn = client, arn
        self._kept: str | None = None
        self._lock = Lock()

    def __call__(self) -> str:
        """The key. Raises `NotConfigured`, saying why, or `Transient`; neither is kept."""
        with self._lock:
            if self._kept is None:
                self._kept = self._read()
            return self._kept

    def forget(self) -> None:
        """Fetch it anew the next time: it was refused, and may have been replaced."""
        with self._lock:
            self._kept = None

    def _read(self) -> str:
        try:
            key = read_api_key(_fetch(self._client, self._arn))
        except (Unset, _Denied) as error:
            raise NotConfigured(f"RunflowApiKey: {error}") from None
        if key is None:
            raise NotConfigured('RunflowApiKey: its value is not of the shape {"api_key": "rf_live_..."}')
        return key
