"""The network under Runflow's API and output URLs: deadlines, connections that are not trusted, and all that httpx does
by itself and may not do here. Each of the latter is shown to happen where it is not switched off.
"""

from __future__ import annotations

import gzip
import logging
import ssl
import time
import traceback
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Final

import httpcore
import httpx
import pytest

from detag.adapters import http
from detag.adapters.http import (
    IDLE_SECONDS,
    MAX_CONNECTIONS,
    Network,
    RequestFailed,
    client,
    header,
    location,
    read_all,
    request_to,
)
from tests.wire import Wire, answer, resolver

TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
NAMES = {"a.test": ["1.1.1.1"], "b.test": ["2.2.2.2"]}
ORIGIN = httpx.URL("https://a.test")
BARE: Final = (b"GET /x HTTP/1.1", b"Host: a.test", b"", b"")


def over(wire: Wire) -> httpx.Client:
    return client(TLS, Network(resolve=resolver(NAMES), inner=wire))


def plain(wire: Wire, monkeypatch: pytest.MonkeyPatch, **options: Any) -> httpx.Client:
    """A client as httpx makes it, with its own transport; it is given the wire for the network."""
    for name in ("ConnectionPool", "HTTPProxy"):
        monkeypatch.setattr(httpcore, name, partial(getattr(httpcore, name), network_backend=wire))
    return httpx.Client(verify=TLS, **options)


def a_request(target: bytes = b"/x", seconds: float = 60, **headers: str) -> httpx.Request:
    named = [(name.encode(), value.encode()) for name, value in headers.items()]
    return request_to(ORIGIN, "GET", target, named, time.monotonic() + seconds)


def body(connections: httpx.Client, request: httpx.Request | None = None) -> bytes:
    return read_all(connections.send(request or a_request(), stream=True), 1_000_000)


def both(one: list[bytes], two: list[bytes]) -> Iterable[bytes]:
    """Two answers on one connection."""
    return [*one, *two]


# Connections


def test_a_connection_is_used_again_while_it_is_fresh() -> None:
    wire = Wire([both(answer(body=b"one"), answer(body=b"two"))])
    connections = over(wire)
    assert [body(connections) for _ in "12"] == [b"one", b"two"]
    assert len(wire.lines) == 1


@pytest.mark.parametrize("seconds", [IDLE_SECONDS + 0.1, 3600.0, -1.0])
def test_no_connection_is_used_after_a_pause_of_the_wall_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """A connection is not used again after a pause of the wall clock."""
    wire = Wire([answer(body=b"one"), answer(body=b"two")])
    connections = over(wire)
    assert body(connections) == b"one"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + seconds)  # frozen meanwhile: time.monotonic has stood still
    assert body(connections) == b"two"
    assert wire.lines[0].closed


def test_the_stopwatch_ends_trust_in_a_connection_too(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire([answer(body=b"one"), answer(body=b"two")])
    connections = over(wire)
    assert body(connections) == b"one"
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + IDLE_SECONDS + 0.1)  # the clock was set back meanwhile
    assert body(connections) == b"two"
    assert wire.lines[0].closed


def test_waiting_for_a_connection_ends_at_the_deadline() -> None:
    """As many as there may be are in use; `submit` has ten threads."""
    wire = Wire([answer(body=b"x")] * MAX_CONNECTIONS)
    connections = over(wire)
    opened = [connections.send(a_request(), stream=True) for _ in range(MAX_CONNECTIONS)]
    began = time.monotonic()
    with pytest.raises(RequestFailed, match="PoolTimeout"):
        body(connections, a_request(seconds=0.05))
    assert time.monotonic() - began < 20.0, "it waited for as long as it liked"
    assert len(opened) == len(wire.lines) >= 20


def test_a_passed_deadline_sends_nothing() -> None:
    wire = Wire([answer()])
    with pytest.raises(RequestFailed, match="Timeout"):
        body(over(wire), a_request(seconds=-1))
    assert (wire.connected, wire.sent) == ([], [])


def test_the_deadline_is_one_for_all_the_operations_of_a_request() -> None:
    def slow() -> Iterator[bytes]:
        for part in answer(body=b"one"):
            time.sleep(0.01)
            yield part

    wire = Wire([slow()])
    body(over(wire), a_request(seconds=3))
    connecting, *reading = wire.timeouts
    assert 3 >= connecting >= reading[0] > reading[1] > 0
    assert reading[0] - reading[1] >= 0.01


def test_a_deadline_that_passes_before_tls_leaks_no_connection() -> None:
    """A deadline that passes before TLS leaves no connection open."""

    class Slow(Wire):
        def connect_tcp(self, *arguments: Any, **named: Any) -> httpcore.NetworkStream:
            time.sleep(0.1)
            return super().connect_tcp(*arguments, **named)

    wire = Slow([answer()])
    with pytest.raises(RequestFailed, match="ConnectTimeout"):
        body(over(wire), a_request(seconds=0.05))
    assert len(wire.lines) == 1
    assert wire.all_closed


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_a_request_without_a_deadline_is_a_bug(timeout: float | None) -> None:
    """Whatever timeouts httpx has."""
    with pytest.raises(ValueError, match="deadline"):
        over(Wire([answer()])).get("https://a.test/x", timeout=timeout)
    with pytest.raises(ValueError, match="deadline"):
        Network(resolve=resolver(NAMES), inner=Wire([])).connect_tcp("a.test", 443)


def test_a_silent_address_leaves_time_for_the_next() -> None:
    """An address that does not answer leaves time for the next."""
    wire = Wire([answer(body=b"one")], refuse={"2600::1"})
    network = Network(resolve=lambda host, port: ["2600::1", "1.1.1.1"], inner=wire)
    assert body(client(TLS, network)) == b"one"
    assert wire.timeouts[:2] == [http.CONNECT_SECONDS] * 2


@pytest.mark.parametrize("host", ["unknown.test", "a" * 64 + ".test"])
def test_a_name_that_cannot_be_resolved_is_a_failed_connection(host: str) -> None:
    def resolve(name: str, _port: int) -> list[str]:
        name.encode("idna")  # as the system's does
        raise OSError("no such name")

    network = Network(resolve=resolve, inner=Wire([]))
    with pytest.raises(RequestFailed, match="ConnectError"):
        client(TLS, network).send(
            request_to(httpx.URL(scheme="http", host=host), "GET", b"/", [], time.monotonic() + 60)
        )


def test_a_name_without_an_address_is_a_failed_connection() -> None:
    with pytest.raises(RequestFailed, match="ConnectError"):
        body(client(TLS, Network(resolve=lambda host, port: [], inner=Wire([]))))


@pytest.mark.parametrize(
    ("answered", "kind"),
    [
        ([b"HTTP/1.1 200 So\r\nContent-Length: 9\r\n\r\nhalf"], "RemoteProtocolError"),
        ([b"nonsense\r\n\r\n"], "RemoteProtocolError"),
        ([], "RemoteProtocolError"),
    ],
)
def test_a_failure_is_told_by_its_kind_alone(answered: list[bytes], kind: str) -> None:
    with pytest.raises(RequestFailed) as failure:
        body(over(Wire([answered])), a_request(b"/x?X-Amz-Signature=secret"))
    assert (str(failure.value), failure.value.__cause__) == (kind, None)
    assert failure.value.__suppress_context__


def test_a_failure_does_not_carry_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    bearer = "Bearer rf_live_secret"
    with pytest.raises(RequestFailed) as ours:
        body(over(Wire([[]])), a_request(Authorization=bearer))
    assert vars(ours.value) == {}
    with pytest.raises(httpx.RemoteProtocolError) as theirs:
        plain(Wire([[]]), monkeypatch).get("https://a.test/x", headers={"Authorization": bearer})
    assert theirs.value.request.headers["Authorization"] == bearer


def test_what_cannot_be_sent_is_not_told() -> None:
    bearer = f"Bearer rf_live_{'5ec2e7'}\n"
    with pytest.raises(RequestFailed) as failure:
        body(over(Wire([answer()])), a_request(Authorization=bearer))
    assert "rf_live_5ec2e7" not in "".join(traceback.format_exception(failure.value))


# Bodies and headers


def test_a_body_is_read_to_its_bound() -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(10):
            yield b"x" * 10

    assert len(read_all(httpx.Response(200, content=chunks()), 100)) == 100
    with pytest.raises(RequestFailed, match=r"^TooLong$"):
        read_all(httpx.Response(200, content=chunks()), 99)


def test_a_header_is_found_whatever_its_case() -> None:
    response = httpx.Response(200, headers=[(b"RETRY-After", b" 7 "), (b"retry-after", b"8")])
    assert header(response, b"retry-after") == b"7"
    assert header(response, b"x-other") is None


# What httpx does by itself


def test_no_url_and_no_header_is_logged_even_at_the_loudest(caplog: pytest.LogCaptureFixture) -> None:
    answered = answer(302, Location="https://b.test/y?X-Amz-Signature=secret", Set_Cookie="secret")
    with caplog.at_level(logging.DEBUG):
        body(over(Wire([answered])), a_request(b"/x?X-Amz-Signature=s", Authorization="Bearer rf_live_secret"))
    assert caplog.records == []


def test_urls_and_headers_would_be_logged(caplog: pytest.LogCaptureFixture) -> None:
    for name, level in (("httpx", logging.INFO), ("httpcore", logging.DEBUG)):
        caplog.set_level(level, name)  # what the module switches off
    answered = answer(302, Location="https://b.test/y?X-Amz-Signature=secret1")
    over(Wire([answered])).get(
        "https://a.test/x?X-Amz-Signature=secret2", extensions={"deadline": time.monotonic() + 60}
    )
    logged = {record.name.partition(".")[0]: "" for record in caplog.records}
    for record in caplog.records:
        logged[record.name.partition(".")[0]] += record.getMessage()
    assert "secret2" in logged["httpx"]
    assert "secret1" in logged["httpcore"]


def test_a_servers_cookie_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers() -> list[Iterable[bytes]]:
        return [both(answer(Set_Cookie="id=secret"), answer())]

    ours, theirs = Wire(answers()), Wire(answers())
    for connections in (over(ours), plain(theirs, monkeypatch)):
        for _ in "12":
            connections.get("https://a.test/x", extensions={"deadline": time.monotonic() + 60})
    assert b"Cookie: id=secret" in theirs.sent[0]
    assert b"cookie" not in ours.sent[0].lower()


def test_nothing_is_decompressed(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(bytes(1_000_000))
    answered = answer(body=bomb, Content_Encoding="gzip")
    assert body(over(Wire([answered]))) == bomb
    assert len(plain(Wire([answered]), monkeypatch).get("https://1.1.1.1/").content) == 1_000_000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even if httpx is told to."""

    def answers() -> list[Iterable[bytes]]:
        return [answer(status, Location="https://b.test/y"), answer()]

    ours, theirs = Wire(answers()), Wire(answers())
    response = over(ours).send(a_request(), follow_redirects=True)
    assert (response.status_code, location(response), response.next_request) == (status, b"https://b.test/y", None)
    assert len(ours.connected) == 1
    plain(theirs, monkeypatch, follow_redirects=True).get("https://a.test/x")
    assert [host for host, _ in theirs.connected] == ["a.test", "b.test"]


@pytest.mark.parametrize("nonsense", ["https://b.test:x/", "/\x00", "https://1.2.3.999/", "https://xn--/"])
def test_a_redirect_to_nonsense_is_an_answer_like_any_other(nonsense: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def response(where: str) -> httpx.Response:
        return httpx.Response(302, headers={"Location": where})

    monkeypatch.setattr(
        httpcore.ConnectionPool,
        "handle_request",
        lambda self, request: httpcore.Response(302, headers=[(b"Location", nonsense.encode())]),
    )
    assert over(Wire([])).send(a_request()).status_code == 302
    with pytest.raises((httpx.RemoteProtocolError, UnicodeError)):  # the latter unforeseen by httpx
        httpx.Client(transport=httpx.MockTransport(lambda request: response(nonsense))).get("https://a.test/x")


def test_the_environment_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://proxy.test:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    ours, theirs = Wire([answer()]), Wire([answer()])
    connections = over(ours)
    body(connections)
    assert ours.connected == [("1.1.1.1", 443)]
    assert not connections.trust_env
    with pytest.raises(FileNotFoundError):
        httpx.Client()
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(httpx.TransportError):
        plain(theirs, monkeypatch, timeout=1).get("https://a.test/x")
    assert theirs.connected == [("proxy.test", 3128)]


def test_what_is_sent_is_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = Wire([answer()]), Wire([answer()])
    body(over(ours))
    assert ours.sent == [b"\r\n".join(BARE)]
    plain(theirs, monkeypatch).get("https://a.test/x")
    for name in (b"Accept: */*", b"Accept-Encoding: gzip", b"User-Agent: python-httpx"):
        assert name in theirs.sent[0]


def test_headers_are_sent_as_given_repeated_ones_too() -> None:
    """As spelled and in order; a mapping would keep only the last of two of one name."""
    wire = Wire([answer()])
    given = [(b"X-Note", b"one"), (b"accept", b"image/*"), (b"X-Note", b"two")]
    body(over(wire), request_to(ORIGIN, "GET", b"/x", given, time.monotonic() + 60))
    assert wire.sent == [b"GET /x HTTP/1.1\r\nHost: a.test\r\nX-Note: one\r\naccept: image/*\r\nX-Note: two\r\n\r\n"]


@pytest.mark.parametrize("target", [b"/a/../b//c", b"/a%2e/%7Ex?a=b%2Fc&%zz", b"/v1/runs/..", b"/|^`{}"])
def test_a_path_goes_as_it_is_written(target: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = Wire([answer()]), Wire([answer()])
    body(over(ours), a_request(target))
    assert ours.sent[0].split(b" ")[1] == target
    plain(theirs, monkeypatch).get(f"https://a.test{target.decode()}")
    assert target == b"/a%2e/%7Ex?a=b%2Fc&%zz" or theirs.sent[0].split(b" ")[1] != target


def test_no_authorization_is_made_of_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = Wire([answer()]), Wire([answer()])
    with_user = "https://user:secret@a.test/x"  # pragma: allowlist secret
    over(ours).get(with_user, extensions={"deadline": time.monotonic() + 60})
    assert b"Authorization" not in ours.sent[0]
    plain(theirs, monkeypatch).get(with_user)
    assert b"Authorization: Basic" in theirs.sent[0]
