"""The one public route: open to Runflow's bursts, and keeping nothing of what strangers send."""

from __future__ import annotations

import json
import re

from tests.template.stack import Stack

SAFE = {
    "requestId", "requestTime", "identity.sourceIp", "routeKey", "status", "responseLatency", "integrationStatus",
    "integrationErrorMessage",
}  # fmt: skip


def test_there_is_one_route_and_it_ends_in_the_callback_function(stack: Stack) -> None:
    (api,) = stack.of_type("AWS::ApiGatewayV2::Api").values()
    assert {path: set(methods) for path, methods in api["Body"]["paths"].items()} == {"/callbacks": {"post"}}
    integration = api["Body"]["paths"]["/callbacks"]["post"]["x-amazon-apigateway-integration"]
    assert stack.names(integration) & set(stack.deployed["Resources"]) == {"CallbackFunction"}
    assert integration["payloadFormatVersion"] == "2.0"
    assert "CorsConfiguration" not in api, "no browser calls it"


def test_every_run_is_told_this_route(stack: Stack) -> None:
    url = {"Fn::Sub": "${HttpApi.ApiEndpoint}/callbacks"}
    assert stack.properties("SubmitFunction")["Environment"]["Variables"]["CALLBACK_URL"] == url
    assert stack.source["Outputs"]["CallbackUrl"]["Value"] == url


def test_the_throttle_is_far_above_our_own_bursts(stack: Stack) -> None:
    (stage,) = stack.of_type("AWS::ApiGatewayV2::Stage").values()
    uploads = stack.consumers()["UploadQueue"]
    tries = 3
    burst = stack.source["Parameters"]["MaxConcurrency"]["Default"] * uploads["BatchSize"] * tries
    route = stage["DefaultRouteSettings"]
    assert route["ThrottlingRateLimit"] >= 8 * burst
    assert route["ThrottlingBurstLimit"] >= 8 * burst
    assert "RouteSettings" not in stage


def test_the_throttle_is_below_that_of_a_whole_account(stack: Stack) -> None:
    """In every region: the newer ones allow an account a burst of 1,250 (API Gateway Developer Guide, "Quotas")."""
    (stage,) = stack.of_type("AWS::ApiGatewayV2::Stage").values()
    route = stage["DefaultRouteSettings"]
    assert route["ThrottlingRateLimit"] < 2_500
    assert route["ThrottlingBurstLimit"] < 1_250


def test_access_logs_hold_no_path_no_query_and_no_header(stack: Stack) -> None:
    (stage,) = stack.of_type("AWS::ApiGatewayV2::Stage").values()
    settings = stage["AccessLogSettings"]
    assert stack.one_name(settings["DestinationArn"]) == "HttpApiLogs"
    line = json.loads(settings["Format"])
    used = re.findall(r"\$context\.([A-Za-z.]+)", settings["Format"])
    assert set(used) == SAFE
    assert len(line) == len(used)


def test_the_callback_function_answers_before_api_gateway(stack: Stack) -> None:
    """The callback function answers before API Gateway gives up."""
    api_gateway_waits = 30
    assert stack.properties("CallbackFunction")["Timeout"] < api_gateway_waits
