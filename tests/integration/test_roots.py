"""Trust in a folder of roots: what layers/dependencies/roots.py makes is what AWS clients and our TLS verify with."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from unittest.mock import patch

import botocore
import certifi
import pytest
from botocore.exceptions import SSLError
from botocore.httpsession import URLLib3Session

from detag.adapters.aws import aws_client, aws_config
from detag.adapters.roots import TESTED_WITH
from tests.layer import pinned

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "layers/dependencies/roots.py"
METHOD = "e901bea927531cd9c7b976717f05430d6e2ecd9f3b92513ad9909d2520d840b5"
"""Of the source of the one method of botocore that has a private name and is replaced."""


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def made(bundle: Path, folder: Path) -> Path:
    subprocess.run([sys.executable, str(SCRIPT), str(bundle), str(folder)], check=True)
    return folder


def authority(folder: Path, name: str) -> Path:
    """A CA of our own, with a certificate for 127.0.0.1 beside it."""
    folder.mkdir()
    (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1\n")
    key = ["-newkey", "rsa:2048", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem", "-subj", f"/CN={name}")
    openssl("req", *key, "-keyout", f"{folder}/key.pem", "-out", f"{folder}/request", "-subj", "/CN=127.0.0.1")
    signed = ["-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key", "-extfile", f"{folder}/extensions"]
    openssl("x509", "-req", "-in", f"{folder}/request", *signed, "-out", f"{folder}/certificate.pem")
    return folder


class _Queues(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"QueueUrls": []}'
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return authority(tmp_path_factory.mktemp("ours") / "ca", "ours")


@pytest.fixture(scope="module")
def endpoint(ours: Path) -> Iterator[str]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(ours / "certificate.pem", ours / "key.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Queues)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that refuses us is no news
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def queues(endpoint: str, folder: Path | None, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "made up")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made up")
    with patch("detag.adapters.aws.roots", lambda: str(folder) if folder else None):
        client = aws_client("sqs", aws_config(attempts=1))
    return client.list_queues()["QueueUrls"] if folder else client.list_queues()


def test_each_certificate_of_the_bundle_is_in_the_folder_once(tmp_path: Path) -> None:
    folder = made(Path(certifi.where()), tmp_path / "roots")
    bundle, loaded = (ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) for _ in range(2))
    bundle.load_verify_locations(certifi.where())
    for path in folder.iterdir():
        loaded.load_verify_locations(path)
    assert len(bundle.get_ca_certs()) > 100
    assert sorted(loaded.get_ca_certs(binary_form=True)) == sorted(bundle.get_ca_certs(binary_form=True))


def test_a_client_trusts_what_is_in_its_folder(
    ours: Path, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert queues(endpoint, made(ours / "ca.pem", tmp_path / "roots"), monkeypatch) == []


def test_a_client_does_not_trust_what_is_not(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = authority(tmp_path / "other", "ours")  # of the same name, so that the file is found and then does not fit
    with pytest.raises(SSLError):
        queues(endpoint, made(other / "ca.pem", tmp_path / "roots"), monkeypatch)


def test_a_client_with_a_folder_reads_no_bundle(
    ours: Path, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That botocore still has the hook: without it the lever would be gone, unnoticed."""
    folder = made(ours / "ca.pem", tmp_path / "roots")
    read: list[object] = []
    genuine = ssl.SSLContext.load_verify_locations

    def noted(self: ssl.SSLContext, cafile: object = None, capath: object = None, cadata: object = None) -> None:
        read.append(cafile)
        genuine(self, cafile, capath, cadata)  # type: ignore[arg-type]

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", noted)
    queues(endpoint, folder, monkeypatch)
    assert read
    assert set(read) == {None}


def test_botocore_is_the_version_that_was_tested() -> None:
    """Where it is not: read what changed around it, see that the tests here pass, and raise `TESTED_WITH`."""
    assert pinned()["botocore"] == botocore.__version__ == TESTED_WITH


def test_botocores_private_method_is_as_it_was() -> None:
    source = inspect.getsource(URLLib3Session.__dict__["_setup_ssl_cert"])
    assert hashlib.sha256(source.encode()).hexdigest() == METHOD
    assert source.count("conn.ca_certs") == 2
    assert "self._setup_ssl_cert(conn, request.url, self._verify)" in inspect.getsource(URLLib3Session.send)


def test_without_a_folder_the_bundle_is_read(
    ours: Path, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a folder the bundle is read, and an operator's own beats both."""
    with pytest.raises(SSLError):
        queues(endpoint, None, monkeypatch)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(ours / "ca.pem"))
    other = made(authority(tmp_path / "other", "other") / "ca.pem", tmp_path / "roots")
    assert queues(endpoint, other, monkeypatch) == []


def test_a_build_host_without_openssl_makes_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A build host without OpenSSL makes no folder, and says what that costs."""
    spec = importlib.util.spec_from_file_location("roots", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    module.main(Path(certifi.where()), tmp_path / "roots")
    assert not (tmp_path / "roots").exists()
    assert "17 ms" in capsys.readouterr().out
