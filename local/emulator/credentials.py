"""Requires the keys of this run, as another user of this machine reaches loopback too.

MiniStack takes every caller for the account's root unless ``AUTH`` is on, and lets anybody use some of its routes even
then.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from ministack.core import iam_evaluator, lambda_runtime, sigv4
from ministack.services import sts

from local.loopback import App, Message, Receive, Scope, Send, refuse

from .patches.hooks import hook

# An HTTP API is public, as on AWS: its function judges the callbacks. Only a whole path is an API's: what lacks a stage
# MiniStack takes for a call of the service that the headers name.
PUBLIC = re.compile(r"/_aws/execute-api/[0-9A-Za-z]+/[^/]")


def required(app: App) -> App:
    """`app`, answering 403 to a request that is not signed with a key of this run.

    Signed is by SigV4, in the Authorization header or in a presigned URL, or by SigV2 in a presigned URL, which is what
    boto3 makes unless told otherwise. The keys are the root's, which are in this process's environment, and those that
    MiniStack has given to roles and users.
    """
    _fit()

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or PUBLIC.match(scope["path"]):
            await app(scope, receive, send)
            return
        query = parse_qs(scope["query_string"].decode("utf-8", "replace"), keep_blank_values=True)
        headers = _headers(scope)
        if not _attempted(headers, query):
            await refuse(send, "Sign the request with the keys of this run.")
            return
        body, replay = await _read(receive)
        if _signed(scope, headers, query, body):
            await app(scope, replay, send)
        else:
            await refuse(send, "The request is not signed with a key of this run.", "SignatureDoesNotMatch")

    return checked


def unguessable_sessions() -> None:
    """Give the sessions of functions secrets of this run: MiniStack derives them from names that everybody knows."""
    original = hook(lambda_runtime, "execution_credentials", "config")
    key = os.urandom(32)

    def execution_credentials(config: dict[str, Any]) -> dict[str, str]:
        made: dict[str, str] = dict(original(config))
        session = sts._sessions.get(made["AWS_ACCESS_KEY_ID"])
        if session is None:  # without AUTH a function has the account's own key
            return made
        for ours, theirs in (("AWS_SECRET_ACCESS_KEY", "SecretAccessKey"), ("AWS_SESSION_TOKEN", "SessionToken")):
            made[ours] = hmac.new(key, made[ours].encode(), hashlib.sha256).hexdigest()
            session[theirs] = made[ours]
        return made

    lambda_runtime.execution_credentials = execution_credentials


def _fit() -> None:
    """Raise PatchError where MiniStack's own checks are no longer what `_signed` calls."""
    hook(iam_evaluator, "resolve_credential", "access_key_id account_id session_token")
    hook(iam_evaluator, "_sigv2_check", "request account_id")
    hook(sigv4, "parse_header_signature", "headers")
    hook(sigv4, "parse_query_signature", "query_params")
    hook(
        sigv4,
        "header_signature_failure",
        "signature secret method raw_path query_params headers body presigned explain",
    )


def _headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), sigv4.decode_header_value(value)
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    return headers


def _attempted(headers: Mapping[str, str], query: Mapping[str, list[str]]) -> bool:
    return headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 ") or any(
        name in query for name in ("X-Amz-Signature", "Signature")
    )


async def _read(receive: Receive) -> tuple[bytes, Receive]:
    """The body, and a `receive` that gives it once more."""
    parts: list[bytes] = []
    messages: list[Message] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            messages.append(message)
            break
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = b"".join(parts)
    messages.insert(0, {"type": "http.request", "body": body, "more_body": bool(messages)})

    async def replay() -> Message:
        return messages.pop(0) if messages else await receive()

    return body, replay


def _signed(scope: Scope, headers: Mapping[str, str], query: Mapping[str, list[str]], body: bytes) -> bool:
    method, path = scope["method"], scope["raw_path"].decode("latin-1")
    in_query = "authorization" not in headers
    if in_query and "AWSAccessKeyId" in query:
        key = query["AWSAccessKeyId"][0]
        request = iam_evaluator.SignedRequest(key, method, path, query, headers, sigv2=True, auth_path=path)
        return isinstance(iam_evaluator._sigv2_check(request, _account(key)), iam_evaluator.ResolvedCredential)
    signature = sigv4.parse_query_signature(query) if in_query else sigv4.parse_header_signature(headers)
    if not isinstance(signature, sigv4.HeaderSignature) or signature.region_set is not None:
        return False
    key = signature.access_key_id
    token = query.get("X-Amz-Security-Token", [""])[0] if in_query else headers.get("x-amz-security-token", "")
    found = iam_evaluator.resolve_credential(key, _account(key), token)
    if not isinstance(found, iam_evaluator.ResolvedCredential):
        return False
    failure = sigv4.header_signature_failure(
        signature, found.secret_access_key, method, path, query, headers, body, presigned=in_query
    )
    return failure is None


def _account(key: str) -> str:
    """The account that MiniStack takes a key for: that which the key itself names, or its only other one."""
    return key if re.fullmatch(r"\d{12}", key) else "000000000000"
