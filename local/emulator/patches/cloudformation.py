"""Patches to how MiniStack's CloudFormation applies the properties of a resource."""

import json
import os
from collections.abc import Callable
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import apigateway, dynamodb, iam, lambda_svc, secretsmanager
from ministack.services.cloudformation import provisioners

from .hooks import PatchError, hook, still_needed

Properties = dict[str, Any]
Attributes = dict[str, Any]

# (physical id, attributes, properties before or None if new, properties now) -> (physical id, attributes)
Then = Callable[[str, Attributes, Properties | None, Properties], tuple[str, Attributes]]

# An account and region for trial calls, without any state yet.
NOWHERE = ("999999999999", "us-east-1")


class Kind:
    """The functions with which MiniStack creates, updates and deletes one type of resource."""

    def __init__(self, resource_type: str) -> None:
        self.handlers: dict[str, Any] = provisioners._RESOURCE_HANDLERS.get(resource_type) or {}
        if not self.handlers.get("update_with_logical_id"):
            raise PatchError(f"MiniStack no longer makes {resource_type} the way the patch expects")
        self.create = hook(self.handlers, "create", "logical_id props stack_name")
        self.update = hook(self.handlers, "update", "physical_id old_props new_props stack_name logical_id")
        self.delete = hook(self.handlers, "delete", "physical_id props")

    def try_out(self, props: Properties, broken: Callable[[str, Attributes], bool], behaviour: str) -> None:
        """Create a resource in NOWHERE, check that it is ``broken``, and delete it. Raises PatchError if it is not."""
        with request_scope(*NOWHERE):
            physical_id, attributes = self.create("Resource", props, "stack")
            still_needed(broken(physical_id, attributes), behaviour)
            self.delete(physical_id, props)

    def then(self, do: Then, find: Callable[[str], str] = str) -> None:
        """Call ``do`` after each create and each update. ``find`` turns a physical id into MiniStack's own."""

        def create(logical_id: str, props: Properties, stack_name: str) -> tuple[str, Attributes]:
            physical_id, attributes = self.create(logical_id, props, stack_name)
            return do(physical_id, attributes, None, props)

        def update(
            physical_id: str,
            old_props: Properties,
            new_props: Properties,
            stack_name: str,
            logical_id: str | None = None,
        ) -> tuple[str, Attributes]:
            found, attributes = self.update(find(physical_id), old_props, new_props, stack_name, logical_id)
            return do(found, attributes, old_props, new_props)

        def delete(physical_id: str, props: Properties) -> None:
            self.delete(find(physical_id), props)

        self.handlers.update(create=create, update=update, delete=delete)


def http_api_gets_its_routes() -> None:
    """Make routes and integrations from an HTTP API's ``Body``, and give it an endpoint that resolves.

    SAM describes an HTTP API entirely in ``Body``, an OpenAPI document; MiniStack makes an API without routes from it.
    Its endpoint is a host name that no resolver knows; the path form below serves the same API.
    """
    hook(apigateway, "_create_route", "api_id data")
    hook(apigateway, "_create_integration", "api_id data")
    kind = Kind("AWS::ApiGatewayV2::Api")
    body = {"paths": {"/x": {"get": {"x-amazon-apigateway-integration": {"type": "aws_proxy", "uri": "arn:x"}}}}}
    kind.try_out(
        {"Body": body, "ProtocolType": "HTTP"},
        lambda api_id, _: not apigateway._routes[api_id],
        "routes from the Body of an HTTP API",
    )
    kind.try_out(
        {"ProtocolType": "HTTP"},
        lambda _, attributes: ".execute-api." in attributes["ApiEndpoint"],
        "an ApiEndpoint that resolves",
    )

    def import_body(
        api_id: str, attributes: Attributes, old: Properties | None, new: Properties
    ) -> tuple[str, Attributes]:
        if old is None or new.get("Body") != old.get("Body") or not apigateway._routes[api_id]:
            _import_body(api_id, new.get("Body") or {})
        # The shape that AWS gives: no stage, as $default is served from the root.
        endpoint = f"{os.environ['DETAG_EMULATOR_URL']}/_aws/execute-api/{api_id}"
        apigateway._apis[api_id]["apiEndpoint"] = endpoint
        return api_id, {**attributes, "ApiEndpoint": endpoint}

    kind.then(import_body)


def _import_body(api_id: str, body: dict[str, Any]) -> None:
    """Replace the API's routes with those of an OpenAPI document. Raises ValueError for what is not supported."""
    if (body.get("components") or {}).get("securitySchemes") or "x-amazon-apigateway-cors" in body:
        raise ValueError("the local emulator makes neither authorizers nor CORS from the Body of an HTTP API")
    apigateway._routes[api_id] = {}
    apigateway._integrations[api_id] = {}
    for path, operations in (body.get("paths") or {}).items():
        for method, operation in operations.items():
            integration = operation["x-amazon-apigateway-integration"]
            if integration["type"].lower() != "aws_proxy":
                raise ValueError(f"the local emulator makes only aws_proxy integrations, not {integration['type']}")
            made = _result(
                apigateway._create_integration(
                    api_id,
                    {
                        "integrationType": "AWS_PROXY",
                        "integrationUri": integration["uri"],
                        "payloadFormatVersion": integration.get("payloadFormatVersion", "2.0"),
                        "timeoutInMillis": integration.get("timeoutInMillis", 30000),
                    },
                )
            )
            verb = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
            route_key = "$default" if path == "/$default" else f"{verb} {path}"
            target = f"integrations/{made['integrationId']}"
            _result(apigateway._create_route(api_id, {"routeKey": route_key, "target": target}))


def secret_refers_to_its_arn() -> None:
    """``!Ref`` of a secret is its ARN; MiniStack gives its name."""
    kind = Kind("AWS::SecretsManager::Secret")
    kind.try_out({}, lambda physical_id, _: not physical_id.startswith("arn:"), "the ARN as !Ref of a secret")
    kind.then(lambda _name, attributes, _old, _new: (attributes["Arn"], attributes), find=_secret_name)


def _secret_name(arn: str) -> str:
    found = [name for name, secret in secretsmanager._secrets.items() if secret["ARN"] == arn]
    return found[0] if found else arn


def secret_without_a_value_has_none() -> None:
    """A secret for which the template gives no value has no version until one is put; MiniStack stores ''."""
    kind = Kind("AWS::SecretsManager::Secret")

    def versions(physical_id: str) -> dict[str, Any]:
        found: dict[str, Any] = secretsmanager._secrets[_secret_name(physical_id)]["Versions"]
        return found

    kind.try_out({}, lambda physical_id, _: bool(versions(physical_id)), "a secret without a value")

    def forget_value(
        physical_id: str, attributes: Attributes, old: Properties | None, new: Properties
    ) -> tuple[str, Attributes]:
        if old is None and "SecretString" not in new and "GenerateSecretString" not in new:
            versions(physical_id).clear()
        return physical_id, attributes

    kind.then(forget_value)


def table_gets_its_time_to_live() -> None:
    """Apply ``TimeToLiveSpecification``, which MiniStack's CloudFormation ignores."""
    hook(dynamodb, "_update_ttl", "data")
    hook(provisioners, "_cfn_bool", "value")
    kind = Kind("AWS::DynamoDB::Table")
    sample = {
        "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
        "TimeToLiveSpecification": {"AttributeName": "t", "Enabled": True},
    }
    kind.try_out(sample, lambda name, _: name not in dynamodb._ttl_settings, "a table's time to live")

    def set_time_to_live(
        name: str, attributes: Attributes, _old: Properties | None, new: Properties
    ) -> tuple[str, Attributes]:
        if specification := new.get("TimeToLiveSpecification"):
            wanted = {**specification, "Enabled": provisioners._cfn_bool(specification.get("Enabled"))}
            _result(dynamodb._update_ttl({"TableName": name, "TimeToLiveSpecification": wanted}))
        return name, attributes

    kind.then(set_time_to_live)


def function_gets_its_reserved_concurrency() -> None:
    """Apply ``ReservedConcurrentExecutions``, which MiniStack's CloudFormation ignores."""
    kind = Kind("AWS::Lambda::Function")
    kind.try_out(
        {"ReservedConcurrentExecutions": 3},
        lambda name, _: lambda_svc._functions[name]["concurrency"] is None,
        "a function's reserved concurrency",
    )

    def reserve(name: str, attributes: Attributes, _old: Properties | None, new: Properties) -> tuple[str, Attributes]:
        reserved = new.get("ReservedConcurrentExecutions")
        lambda_svc._functions[name]["concurrency"] = None if reserved is None else int(reserved)
        return name, attributes

    kind.then(reserve)


def function_gets_its_dead_letter_queue() -> None:
    """Apply ``DeadLetterConfig``, which MiniStack's CloudFormation ignores."""
    kind = Kind("AWS::Lambda::Function")
    kind.try_out(
        {"DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:999999999999:x"}},
        lambda name, _: not lambda_svc._functions[name]["config"].get("DeadLetterConfig"),
        "a function's dead-letter queue",
    )

    def set_queue(
        name: str, attributes: Attributes, _old: Properties | None, new: Properties
    ) -> tuple[str, Attributes]:
        lambda_svc._functions[name]["config"]["DeadLetterConfig"] = new.get("DeadLetterConfig") or {}
        return name, attributes

    kind.then(set_queue)


def role_gets_its_permissions_boundary() -> None:
    """Apply ``PermissionsBoundary``, which MiniStack's CloudFormation ignores, though it judges calls by what the IAM
    API has set. As on AWS, the policy must be there.
    """
    hook(iam, "policy_known", "arn account_id")
    kind = Kind("AWS::IAM::Role")
    trust = {"Version": "2012-10-17", "Statement": []}
    kind.try_out(
        {"AssumeRolePolicyDocument": trust, "PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"},
        lambda name, _: not iam._roles[name].get("PermissionsBoundary"),
        "a role's permissions boundary",
    )

    def limit(name: str, attributes: Attributes, _old: Properties | None, new: Properties) -> tuple[str, Attributes]:
        boundary = new.get("PermissionsBoundary")
        if boundary and not iam.policy_known(boundary):
            raise ValueError(f"Scope ARN: {boundary} does not exist or is not attachable.")
        iam._roles[name]["PermissionsBoundary"] = boundary
        return name, attributes

    kind.then(limit)


def _result(response: tuple[int, dict[str, str], bytes]) -> dict[str, Any]:
    """The body of a service's response. Raises ValueError, which fails the resource, if it is an error."""
    status, _, body = response
    if status >= 400:
        raise ValueError(body.decode())
    result: dict[str, Any] = json.loads(body) if body else {}
    return result
