"""Attack the local stack's servers from a web page: `python -m tests.security.browser` (`make browser`).

Starts an emulator and a mock Runflow, and headless Chromium on a page of another loopback origin, which tries what a
page can: requests with and without CORS, forms, an image, frames, a WebSocket, a name of its own that leads to
loopback; to create and run a function, to make a bucket, to change the mock. Then looks for traces. Exits with 1 if
there is one, or if the page could read anything. `--record` writes what Chromium sent to `from_chromium.json`, which
tests/integration/test_web_pages.py sends again without a browser.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import boto3
import httpx

from local.emulator import client
from local.processes import Child

RECORDED = Path(__file__).with_name("from_chromium.json")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-web-resources"),
)

# Opens every door it can find, then tells its own server what it could read.
PAGE = """<!doctype html><title>a page</title><body><script>
const emulator = EMULATOR, runflow = RUNFLOW, recorder = RECORDER, made = FUNCTION, seen = {};
async function fetched(name, url, options) {
  try {
    const answer = await fetch(url, options);
    seen[name] = answer.type === "opaque" ? "sent, not readable" : `readable: ${answer.status}`;
  } catch (error) { seen[name] = "not readable"; }
}
function submitted(name, action, text) {
  return new Promise(done => {
    const frame = document.createElement("iframe"), form = document.createElement("form");
    const field = document.createElement("input"), cut = text.lastIndexOf('"}') ;
    frame.name = name; frame.onload = () => { seen[name] = "sent, not readable"; setTimeout(done, 200); };
    // As text/plain a form's body is name=value: the equals sign is put inside a value of the JSON.
    field.name = text.slice(0, cut); field.value = text.slice(cut);
    Object.assign(form, {action, method: "post", enctype: "text/plain", target: name});
    form.append(field); document.body.append(frame, form); form.submit();
    setTimeout(done, 3000);
  });
}
function shown(name, url) {
  return new Promise(done => {
    const image = new Image();
    image.onload = () => { seen[name] = "readable: an image"; done(); };
    image.onerror = () => { seen[name] = "not readable"; done(); };
    image.src = url;
  });
}
function framed(name, url) {
  return new Promise(done => {
    const frame = document.createElement("iframe");
    frame.onload = () => {
      try { seen[name] = `readable: ${frame.contentDocument.body.innerText}`; }
      catch (error) { seen[name] = "sent, not readable"; }
      done();
    };
    frame.src = url; document.body.append(frame);
  });
}
function talked(name, url) {
  return new Promise(done => {
    const line = new WebSocket(url.replace("http", "ws"));
    line.onopen = () => { seen[name] = "readable: a WebSocket"; done(); };
    line.onerror = () => { seen[name] = "not readable"; done(); };
  });
}
async function attack(base, kind) {
  const text = {method: "POST", mode: "no-cors", headers: {"Content-Type": "text/plain"}};
  const scope = "test/20260101/us-east-1/lambda/aws4_request";
  const key = `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=00`;
  if (kind !== "runflow") {
    const functions = `${base}/2015-03-31/functions`;
    await fetched(`${kind}: read`, `${base}/_ministack/health`);
    await fetched(`${kind}: read without CORS`, `${base}/_ministack/health`, {mode: "no-cors"});
    await fetched(`${kind}: create a function`, functions, {...text, body: made.replace("NAME", "fetched")});
    await fetched(`${kind}: invoke it`, `${functions}/fetched/invocations`, {...text, body: "{}"});
    await fetched(`${kind}: create a function, signed`, functions,
      {method: "POST", headers: {Authorization: key}, body: made.replace("NAME", "signed")});
    await fetched(`${kind}: invoke it, signed`, `${functions}/signed/invocations`,
      {method: "POST", headers: {Authorization: key}, body: "{}"});
    await fetched(`${kind}: make a bucket`, `${base}/a-bucket-of-the-page`, {method: "PUT"});
    await submitted(`${kind}: create a function by a form`, functions, made.replace("NAME", "posted"));
    await submitted(`${kind}: invoke it by a form`, `${functions}/posted/invocations`, '{"a": ""}');
    await submitted(`${kind}: forget everything by a form`, `${base}/_ministack/reset`, '{"a": ""}');
    await shown(`${kind}: an image`, `${base}/_ministack/health`);
    await framed(`${kind}: a frame`, `${base}/_ministack/health`);
    await talked(`${kind}: a WebSocket`, `${base}/_aws/execute-api/x/y`);
  }
  if (kind !== "emulator") {
    const fault = '{"on": "callback", "do": "lose", "client_ref": ""}';
    await fetched(`${kind}: read billing`, `${base}/_admin/billing`);
    await fetched(`${kind}: post a fault`, `${base}/_admin/faults`, {...text, body: fault});
    await fetched(`${kind}: delete the faults`, `${base}/_admin/faults`, {method: "DELETE"});
    await submitted(`${kind}: post a fault by a form`, `${base}/_admin/faults`, fault);
    await shown(`${kind}: health as an image`, `${base}/v1/health`);
    await framed(`${kind}: health in a frame`, `${base}/v1/health`);
  }
}
(async () => {
  await attack(recorder, "recorder"); await attack(emulator, "emulator"); await attack(runflow, "runflow");
  await fetch("/seen", {method: "POST", body: JSON.stringify(seen)});
})();
</script>"""


class Server(ThreadingHTTPServer):
    """A server of this script's own. `requests` is all that came, `seen` what the page said of its attempts."""

    daemon_threads = True

    def __init__(self, page: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.page = page
        self.requests: list[dict[str, Any]] = []
        self.seen: dict[str, str] = {}
        self.reported = Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    """Serves the page, or, where there is none, records and allows everything, as an open server would."""

    protocol_version = "HTTP/1.1"
    server: Server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/seen":
            self.server.seen = json.loads(body)
            self.server.reported.set()
        self.server.requests.append({"method": self.command, "path": self.path, "headers": self.headers.items()})
        answer = self.server.page.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(answer)))
        for name in ("Origin", "Methods", "Headers"):
            if not self.server.page:
                self.send_header(f"Access-Control-Allow-{name}", "GET, PUT, POST, DELETE" if name == "Methods" else "*")
        if not self.server.page:
            self.send_header("Access-Control-Allow-Headers", "authorization")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_HEAD = _answer  # noqa: N815 - the base class's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """A server at work."""
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def mock(folder: Path) -> Iterator[str]:
    """A mock Runflow; its URL."""
    log = folder / "runflow.log"
    env = {"PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1"}
    child = Child("mock Runflow", [sys.executable, "-m", "local.runflow", "--port=0"], log, env, client.REPOSITORY)
    try:
        child.wait_until_ready(lambda: "ready at" in log.read_text())
        yield log.read_text().split()[-1]
    finally:
        child.stop()


def browser() -> str:
    """The browser's program. Exits with a sentence where there is none."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    sys.exit("There is no Chromium or Chrome on the PATH.")


def function(trace: Path) -> str:
    """The request that creates a function which leaves a trace; its name is still NAME."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        source = f"import os\ndef lambda_handler(event, context): open({str(trace)!r}, 'a').write('was here\\n')"
        zipped.writestr("handler.py", source)
    settings = {
        "FunctionName": "NAME",
        "Runtime": "python3.13",
        "Handler": "handler.lambda_handler",
        "Role": "arn:aws:iam::000000000000:role/anyone",
        "Code": {"ZipFile": base64.b64encode(archive.getvalue()).decode()},
        "Description": "",
    }
    return json.dumps(settings)


def session_of(emulator: client.Emulator) -> boto3.Session:
    """Its own keys and region."""
    env = emulator.env
    return boto3.Session(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], region_name=env["AWS_REGION"])


def traces(emulator: client.Emulator, runflow: str, trace: Path) -> list[str]:
    """What the page has left behind."""
    found: list[str] = []
    session = session_of(emulator)
    lambdas = session.client("lambda", endpoint_url=emulator.endpoint_url)
    s3 = session.client("s3", endpoint_url=emulator.endpoint_url)
    found += [f"a function: {each['FunctionName']}" for each in lambdas.list_functions()["Functions"]]
    buckets = [each["Name"] for each in s3.list_buckets()["Buckets"]]
    found += [f"a bucket: {name}" for name in buckets if name != "ours"]
    if "ours" not in buckets:
        found.append("the emulator has forgotten everything")
    if trace.exists():
        found.append(f"a function ran as this user: {trace.read_text().count('was here')} times")
    key = {"Authorization": "Bearer rf_live_local"}
    faults = httpx.get(f"{runflow}/_admin/faults", headers=key, trust_env=False).json()
    return found + [f"a fault of the mock: {fault['on']}/{fault['do']}" for fault in faults]


def recorded(requests: list[dict[str, Any]], origin: str) -> list[dict[str, Any]]:
    """What Chromium sent, without what differs from run to run; each once."""
    found: list[dict[str, Any]] = []
    for request in requests:
        left_out = {"host", "connection", "content-length", "accept-encoding", "sec-websocket-key"}
        headers = {name: value for name, value in request["headers"] if name.lower() not in left_out}
        headers = {name: value.replace(origin, "http://127.0.0.1:1") for name, value in headers.items()}
        entry = {"method": request["method"], "path": request["path"], "headers": headers}
        if entry not in found:
            found.append(entry)
    return found


def rebound(program: str, profile: Path, url: str) -> str:
    """What Chromium shows of a page under a foreign name that leads to loopback."""
    port = url.rpartition(":")[2]
    command = [program, *QUIET, f"--user-data-dir={profile}", "--host-resolver-rules=MAP page.example 127.0.0.1"]
    done = subprocess.run(
        [*command, "--dump-dom", f"http://page.example:{port}/_ministack/health"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout


def main() -> None:
    """Attack, look, tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.security.browser", description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help=f"write what the browser sent to {RECORDED.name}")
    options = parser.parse_args()
    program = browser()
    print(subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip())
    with tempfile.TemporaryDirectory(prefix="detag-browser-") as name:
        folder = Path(name)
        trace = folder / "trace"
        with (
            client.running(folder / "emulator") as emulator,
            mock(folder) as runflow,
            serving(Server()) as recorder,
            serving(Server("page")) as page,
        ):
            s3 = session_of(emulator).client("s3", endpoint_url=emulator.endpoint_url)
            s3.create_bucket(Bucket="ours")
            words = {"EMULATOR": emulator.endpoint_url, "RUNFLOW": runflow, "RECORDER": recorder.url}
            page.page = PAGE.replace("= FUNCTION", f"= {json.dumps(function(trace))}")
            for word, value in words.items():
                page.page = page.page.replace(f"= {word}", f"= {json.dumps(value)}")
            command = [program, *QUIET, f"--user-data-dir={folder / 'profile'}", page.url]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
                reported = page.reported.wait(90)
                running.terminate()
            if not reported:
                sys.exit("The page has not said what it saw.")
            foreign = rebound(program, folder / "profile 2", emulator.endpoint_url)
            left = traces(emulator, runflow, trace)
    seen = {name: said for name, said in page.seen.items() if not name.startswith("recorder")}
    seen["emulator: by a foreign name"] = "readable: its services" if "available" in foreign else "not readable"
    for attempt, said in seen.items():
        print(f"{attempt:42} {said}")
    print("left behind: " + ("; ".join(left) or "nothing"))
    if options.record:
        RECORDED.write_text(json.dumps(recorded(recorder.requests, page.url), indent=1) + "\n")
    sys.exit(bool(left or any(said.startswith("readable") for said in seen.values())))


if __name__ == "__main__":
    main()
