"""Patch to how an HTTP API calls a function and turns its result into a response (payload format 2.0)."""

import asyncio
import base64
import json
import secrets
import time
import uuid
from typing import Any

from ministack.core.concurrency import run_reentrant
from ministack.services import apigateway, lambda_svc

from .hooks import PatchError, hook, still_needed

PARAMETERS = (
    "integration api_id stage path method headers body query_params route_key path_params authorizer_claims "
    "authorizer_scopes authorizer_lambda_context authorizer_iam owner_account_id owner_region raw_query_string"
)

# API Gateway's own quota on a request, and Lambda's on the event built from it.
MAX_BODY_BYTES = 10 * 1024 * 1024
MAX_EVENT_BYTES = 6 * 1024 * 1024

Response = tuple[int, dict[str, Any], bytes]


def requests_and_answers_are_as_api_gateway_makes_them() -> None:
    """Call functions with the event that AWS documents, and respond as AWS does.

    MiniStack leaves the cookies in a header, sends no ``x-forwarded-*``, takes requests of any size, and returns the
    text of a function's exception to the caller with status 502.
    """
    original = hook(apigateway, "_invoke_lambda_proxy", PARAMETERS)
    hook(apigateway, "_v2_request_body_is_text", "content_type")
    hook(apigateway, "_extract_lambda_ref_from_integration_uri", "uri")
    hook(apigateway, "_raw_query_string", "query_params raw_query_string")
    hook(lambda_svc, "_get_func_record_for_ref_in_scope", "function_ref account_id region")
    hook(lambda_svc, "_execution_record_for_config", "func config")
    status, event = _try_out(original)
    still_needed(status == 502, "500 for a failed function behind an HTTP API")
    still_needed("cookies" not in event, "cookies[] in the event of an HTTP API")
    still_needed("x-forwarded-for" not in event["headers"], "x-forwarded-* in the event of an HTTP API")
    apigateway._invoke_lambda_proxy = _invoke


def _try_out(invoke: Any) -> tuple[int, dict[str, Any]]:
    """The status and the event that ``invoke`` makes of a request with a cookie to a function that fails."""
    events: list[dict[str, Any]] = []

    def fail(_record: Any, event: dict[str, Any]) -> dict[str, Any]:
        events.append(event)
        return {"error": True, "body": {"errorMessage": "tried out"}}

    kept = lambda_svc._execute_function_with_config_scope, lambda_svc._get_func_record_for_ref_in_scope
    lambda_svc._execute_function_with_config_scope = fail
    lambda_svc._get_func_record_for_ref_in_scope = lambda *_, **__: ({}, {"FunctionArn": "x"}, "x")
    try:
        status, _, _ = asyncio.run(
            invoke({"integrationUri": "x"}, "api", "$default", "/", "GET", {"cookie": "a=1"}, b"", {})
        )
    finally:
        lambda_svc._execute_function_with_config_scope, lambda_svc._get_func_record_for_ref_in_scope = kept
    if not events:
        raise PatchError("MiniStack's HTTP APIs now call functions in another way")
    return status, events[0]


async def _invoke(
    integration: dict[str, Any],
    api_id: str,
    stage: str,
    path: str,
    method: str,
    headers: dict[str, str],
    body: bytes,
    query_params: dict[str, list[str]],
    route_key: str = "$default",
    path_params: dict[str, str] | None = None,
    *,
    authorizer_claims: Any = None,
    authorizer_scopes: Any = None,
    authorizer_lambda_context: Any = None,
    authorizer_iam: Any = None,
    owner_account_id: str | None = None,
    owner_region: str | None = None,
    raw_query_string: str | None = None,
) -> Response:
    """One request through a function. The parameters are those of the function it replaces."""
    reference = apigateway._extract_lambda_ref_from_integration_uri(integration["integrationUri"])
    function, config, _ = lambda_svc._get_func_record_for_ref_in_scope(
        reference, account_id=owner_account_id, region=owner_region
    )
    if function is None or config is None:
        return _message(500, "Internal Server Error")
    if len(body) > MAX_BODY_BYTES:
        return _message(413, "Request Entity Too Large")
    event = _event(api_id, stage, path, method, dict(headers), body, query_params, route_key)
    event["rawQueryString"] = apigateway._raw_query_string(query_params, raw_query_string)
    event["requestContext"]["accountId"] = owner_account_id
    if path_params:
        event["pathParameters"] = path_params
    if len(json.dumps(event)) > MAX_EVENT_BYTES:
        return _message(413, "Request Entity Too Large")
    record = lambda_svc._execution_record_for_config(function, config)
    call = asyncio.ensure_future(
        run_reentrant(
            lambda_svc._execute_function_with_config_scope, record, event, thread_name="ministack-apigw-invoke"
        )
    )
    try:
        result = await asyncio.wait_for(asyncio.shield(call), integration.get("timeoutInMillis", 30000) / 1000)
    except TimeoutError:
        return _message(503, "Service Unavailable")
    return _response(result)


def _event(
    api_id: str,
    stage: str,
    path: str,
    method: str,
    headers: dict[str, str],
    body: bytes,
    query_params: dict[str, list[str]],
    route_key: str,
) -> dict[str, Any]:
    """The event of payload format 2.0. Absent parts of a request are left out, not null."""
    cookies = [part.strip() for part in headers.pop("cookie", "").split(";") if part.strip()]
    now = time.time()
    headers = {
        **headers,
        "content-length": str(len(body)),
        "x-amzn-trace-id": f"Root=1-{int(now):x}-{secrets.token_hex(12)}",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "accountId": None,
            "apiId": api_id,
            "domainName": f"{api_id}.execute-api.localhost",
            "domainPrefix": api_id,
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": base64.b64encode(uuid.uuid4().bytes[:11]).decode(),
            "routeKey": route_key,
            "stage": stage,
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if query_params:
        event["queryStringParameters"] = {name: ",".join(values) for name, values in query_params.items()}
    if body:
        if apigateway._v2_request_body_is_text(headers.get("content-type")):
            event["body"] = body.decode("utf-8", errors="replace")
        else:
            event["body"], event["isBase64Encoded"] = base64.b64encode(body).decode("ascii"), True
    return event


def _response(result: dict[str, Any]) -> Response:
    """The response for what the function returned; the text of a function's error is never shown."""
    if result.get("throttle"):
        return _message(503, "Service Unavailable")
    if result.get("error"):
        return _message(500, "Internal Server Error")
    payload = result["body"]
    if not (isinstance(payload, dict) and "statusCode" in payload):
        body = payload if isinstance(payload, str) else json.dumps(payload)
        return 200, {"content-type": "application/json"}, body.encode()
    try:
        status = int(payload["statusCode"])
        body = payload.get("body") or ""
        content = base64.b64decode(body) if payload.get("isBase64Encoded") else body.encode()
        headers: dict[str, Any] = {name.lower(): str(value) for name, value in (payload.get("headers") or {}).items()}
    except (TypeError, ValueError, AttributeError):
        return _message(500, "Internal Server Error")
    headers.setdefault("content-type", "text/plain; charset=utf-8")
    if payload.get("cookies"):
        headers["set-cookie"] = [*payload["cookies"], *([headers["set-cookie"]] if "set-cookie" in headers else [])]
    return status, headers, content


def _message(status: int, text: str) -> Response:
    """API Gateway's own response."""
    return status, {"content-type": "application/json"}, json.dumps({"message": text}, separators=(",", ":")).encode()
