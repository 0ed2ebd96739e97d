"""The local servers answer no web page and no other user of the machine.

`tests/security/from_chromium.json` is what Chromium 156 sent from a page of another loopback origin, recorded by
`make browser`: by fetch() with and without CORS, preflights, forms, an image, frames and a WebSocket. Each is sent
again here as it was, but for the page's address and, so that nothing else keeps it out, with a valid signature.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
import botocore.exceptions
import httpx
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from local.emulator.client import Emulator, running
from tests.emulator import Aws
from tests.integration.conftest import ROLE
from tests.integration.test_emulator import create
from tests.mock_runflow import Runflow, running_runflow

__all__ = ["running_runflow"]

RECORDED: Final = json.loads(
    (Path(__file__).parents[1] / "security" / "from_chromium.json").read_text(encoding="utf-8")
)
TOLD: Final = {"origin", "sec-fetch-site"}
"""Headers that tell a page, of which each that was sent must be enough."""


def send(url: str, method: str, path: str, headers: Mapping[str, str], host: str | None = None) -> tuple[int, Any]:
    """A request with these headers and no others but Host and Content-Length; its status and its answer's headers."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": host or place.netloc, "Content-Length": "0", **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers
    finally:
        connection.close()


def signature(emulator: Emulator, method: str = "GET", path: str = "/", secret: str = "") -> dict[str, str]:
    """The headers that sign a request to S3, with the emulator's own keys or with another secret."""
    keys = Credentials(emulator.env["AWS_ACCESS_KEY_ID"], secret or emulator.env["AWS_SECRET_ACCESS_KEY"])
    request = AWSRequest(method, emulator.endpoint_url + path)
    S3SigV4Auth(keys, "s3", emulator.env["AWS_REGION"]).add_auth(request)
    return dict(request.headers)


def test_what_was_recorded_is_of_every_kind() -> None:
    modes = {entry["headers"].get("Sec-Fetch-Mode", "websocket") for entry in RECORDED}
    assert modes == {"cors", "no-cors", "navigate", "websocket"}
    assert {entry["headers"].get("Sec-Fetch-Dest") for entry in RECORDED} == {None, "empty", "iframe", "image"}
    assert {entry["method"] for entry in RECORDED} == {"GET", "POST", "PUT", "DELETE", "OPTIONS"}
    sent = [{name.lower() for name in entry["headers"]} & TOLD for entry in RECORDED]
    assert all(sent), "each tells that it comes from a page"
    assert {"sec-fetch-site"} in sent, "some have no Origin"


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/billing"), ("POST", "/reset"), ("POST", "/keys")])
def test_another_user_does_not_drive_the_mock(running_runflow: Runflow, method: str, path: str) -> None:
    for key in ({}, {"Authorization": "Bearer rf_live_local"}):
        assert send(running_runflow.url, method, f"/_admin{path}", key)[0] == 401


@pytest.mark.parametrize("path", ["/_ministack/reset", "/_ministack/health", "/_detag/requests", "/_localstack/health"])
def test_another_user_does_not_drive_the_emulator(emulated_aws: Aws, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        assert send(emulated_aws.emulator.endpoint_url, method, path, {})[0] == 403


@pytest.mark.parametrize("entry", RECORDED, ids=lambda entry: f"{entry['method']} {entry['path']}")
def test_what_a_page_sends_is_refused(emulated_aws: Aws, running_runflow: Runflow, entry: dict[str, Any]) -> None:
    emulator = emulated_aws.emulator
    method, path, headers = entry["method"], entry["path"], entry["headers"]
    status, answered = send(emulator.endpoint_url, method, path, headers)
    assert status == 403
    assert [name for name in answered if name.lower().startswith("access-control-")] == []
    assert send(running_runflow.url, method, path, headers)[0] == 403

    for told in {name for name in headers if name.lower() in TOLD}:
        alone = {told: headers[told]}
        assert send(emulator.endpoint_url, "GET", "/", {**signature(emulator), **alone})[0] == 403
        assert send(running_runflow.url, "GET", "/v1/health", alone)[0] == 403


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}])
def test_a_program_and_what_the_user_opened_are_answered(
    emulated_aws: Aws, running_runflow: Runflow, headers: dict[str, str]
) -> None:
    emulator = emulated_aws.emulator
    assert send(emulator.endpoint_url, "GET", "/", {**signature(emulator), **headers})[0] == 200
    assert send(running_runflow.url, "GET", "/v1/health", headers)[0] == 200


@pytest.mark.parametrize("host", ["page.example", "page.example:PORT", "127.0.0.1", "127.0.0.1.page.example:PORT", ""])
def test_a_foreign_name_is_refused(emulated_aws: Aws, running_runflow: Runflow, host: str) -> None:
    """DNS rebinding: the page's own name leads to loopback, so that the browser takes the server for the page's."""
    emulator = emulated_aws.emulator
    for url, path in ((emulator.endpoint_url, "/_ministack/health"), (running_runflow.url, "/v1/health")):
        named = host.replace("PORT", str(urlsplit(url).port))
        assert send(url, "GET", path, {}, named or " ")[0] in {400, 403}
    port = urlsplit(running_runflow.url).port
    assert send(running_runflow.url, "GET", "/v1/health", {}, f"localhost:{port}")[0] == 200


# Another user of the machine

GUESSES: Final = ("test", "000000000000", "")


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator that enforces roles."""
    with running(tmp_path_factory.mktemp("strict"), auth=True) as emulator:
        yield emulator


@pytest.fixture(params=["roles are not enforced", "roles are enforced"])
def emulator(request: pytest.FixtureRequest) -> Emulator:
    """An emulator of each kind."""
    if request.param == "roles are enforced":
        found: Emulator = request.getfixturevalue("strict")
    else:
        found = request.getfixturevalue("emulated_aws").emulator
    return found


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/_ministack/health",
        "/_ministack/config",
        "/2015-03-31/functions",
        "/_localstack/health",
        "/health",
        "/x/y",
    ],
)
def test_without_the_keys_of_the_run_nothing_is_answered(emulator: Emulator, path: str) -> None:
    for method in ("GET", "POST", "PUT", "OPTIONS"):
        assert send(emulator.endpoint_url, method, path, {})[0] == 403
        assert send(emulator.endpoint_url, method, path, {"Authorization": "Bearer x"})[0] == 403
        wrong = signature(emulator, method, path, "another secret")
        assert send(emulator.endpoint_url, method, path, wrong)[0] == 403
        of_another = signature(emulator, "HEAD", path)
        assert send(emulator.endpoint_url, method, path, of_another)[0] == 403


@pytest.mark.parametrize("key", GUESSES)
@pytest.mark.parametrize("secret", ["test", ""])
def test_keys_that_everybody_knows_are_refused(emulator: Emulator, key: str, secret: str) -> None:
    request = AWSRequest("GET", f"{emulator.endpoint_url}/2015-03-31/functions")
    SigV4Auth(Credentials(key, secret), "lambda", "us-east-1").add_auth(request)
    assert send(emulator.endpoint_url, "GET", "/2015-03-31/functions", dict(request.headers))[0] == 403


def test_every_run_has_keys_of_its_own(emulated_aws: Aws, strict: Emulator) -> None:
    one, other = emulated_aws.emulator.env, strict.env
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert one[name] != other[name]
        assert len(one[name]) > 20


def test_the_session_of_a_function_cannot_be_guessed(strict: Emulator) -> None:
    """MiniStack makes it of the names of the function and its role, which everybody knows."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    Aws(strict).client("iam").create_role(RoleName="anyone", AssumeRolePolicyDocument=policy)
    function = create(
        Aws(strict), {"handler.py": "import os\ndef lambda_handler(event, context): return dict(os.environ)"}
    )
    given = function().payload
    arn = Aws(strict).client("lambda").get_function(FunctionName=function.name)["Configuration"]["FunctionArn"]
    digest = sha256(f"{arn}:{ROLE}".encode()).hexdigest()
    assert given["AWS_ACCESS_KEY_ID"] == f"ASIA{digest[:16].upper()}"
    guessed = [sha256(f"{word}:{digest}".encode()).hexdigest() for word in ("secret", "token")]

    def answered(secret: str, token: str) -> int:
        request = AWSRequest("POST", strict.endpoint_url + "/", data=b"Action=GetCallerIdentity&Version=2011-06-15")
        request.headers["Content-Type"] = "application/x-www-form-urlencoded"
        SigV4Auth(Credentials(given["AWS_ACCESS_KEY_ID"], secret, token), "sts", "us-east-1").add_auth(request)
        return httpx.post(
            strict.endpoint_url + "/", content=request.data, headers=dict(request.headers), trust_env=False
        ).status_code

    own = given["AWS_SECRET_ACCESS_KEY"], given["AWS_SESSION_TOKEN"]
    assert answered(*own) == 200
    assert {answered(*guessed), answered(guessed[0], own[1]), answered(own[0], guessed[1])} == {403}


def test_an_http_api_stays_public_and_leads_nowhere_else(emulator: Emulator) -> None:
    """A callback bears none of these keys; a header that names another service opens nothing."""
    for headers in (
        {},
        {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"},
        {"X-Amz-Target": "AWSCognitoIdentityProviderService.ListUserPools"},
        {"X-Amz-Target": "secretsmanager.ListSecrets", "Content-Type": "application/x-amz-json-1.1"},
        {"X-Amz-Request-Route": "x"},
    ):
        for path in ("none/callbacks", "../2015-03-31/functions", "", "x", "x/", "/x/y", "abcdef12", "abcdef12//y"):
            assert send(emulator.endpoint_url, "POST", f"/_aws/execute-api/{path}", headers)[0] in {403, 404}, path


@pytest.mark.parametrize("path", ["x", "x/", "", "/x/y", "abcdef12"])
def test_a_path_that_is_no_apis_makes_nothing(emulator: Emulator, path: str) -> None:
    """MiniStack takes it for a call of the service that a form or a query names."""
    asked = f"/_aws/execute-api/{path}?Action=ListUsers&Version=2010-05-08"
    assert send(emulator.endpoint_url, "POST", asked, {"Content-Type": "application/x-www-form-urlencoded"})[0] == 403


@pytest.mark.parametrize("version", ["s3", "s3v4"])
@pytest.mark.parametrize("key", ["a.jpg", "a folder/é+%&=?.jpg"])
def test_presigned_urls_are_served_and_forged_ones_are_not(emulator: Emulator, version: str, key: str) -> None:
    def client(version: str, secret: str = "") -> Any:
        return boto3.client(
            "s3",
            aws_access_key_id=emulator.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=secret or emulator.env["AWS_SECRET_ACCESS_KEY"],
            region_name=emulator.env["AWS_REGION"],
            endpoint_url=emulator.endpoint_url,
            config=Config(signature_version=version),
        )

    client("s3v4").create_bucket(Bucket="photos")
    client("s3v4").put_object(Bucket="photos", Key=key, Body=b"a photo")
    ours, forger = client(version), client(version, "another secret")
    wanted = {"Bucket": "photos", "Key": key}
    url = ours.generate_presigned_url("get_object", Params=wanted, ExpiresIn=60)
    assert httpx.get(url, trust_env=False).content == b"a photo"
    assert httpx.get(url.replace("photos", "others"), trust_env=False).status_code == 403
    expired = ours.generate_presigned_url("get_object", Params=wanted, ExpiresIn=-5)
    assert httpx.get(expired, trust_env=False).status_code in {400, 403}
    forged = forger.generate_presigned_url("get_object", Params=wanted, ExpiresIn=60)
    assert httpx.get(forged, trust_env=False).status_code == 403
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        client("s3v4", "another secret").list_buckets()
    assert refused.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
