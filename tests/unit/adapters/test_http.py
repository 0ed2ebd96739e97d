"""The network under Runflow's API and its links: deadlines, connections that are not trusted, what is not logged."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore
import pytest

from detag.adapters import http
from detag.adapters.http import IDLE_SECONDS, Network, TooLong, header, read_all, until
from tests.wire import Wire, answer, resolver

TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
NAMES = {"a.test": ["1.1.1.1"]}
URL = "https://a.test/x"


def pool(wire: Wire) -> httpcore.ConnectionPool:
    return httpcore.ConnectionPool(
        ssl_context=TLS,
        keepalive_expiry=IDLE_SECONDS,
        network_backend=Network(resolve=resolver(NAMES), inner=wire),
    )


def in_a_minute() -> dict[str, object]:
    return until(time.monotonic() + 60)


def both(one: list[bytes], two: list[bytes]) -> Iterable[bytes]:
    """Two answers on one connection."""
    return [*one, *two]


def test_a_connection_is_used_again_while_it_is_fresh() -> None:
    wire = Wire([both(answer(body=b"one"), answer(body=b"two"))])
    connections = pool(wire)
    assert [connections.request("GET", URL, extensions=in_a_minute()).content for _ in "12"] == [b"one", b"two"]
    assert len(wire.lines) == 1


@pytest.mark.parametrize("seconds", [IDLE_SECONDS + 0.1, 3600.0, -1.0])
def test_no_connection_is_used_after_a_pause_of_the_wall_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """A connection is not used again after a pause of the wall clock."""
    wire = Wire([answer(body=b"one"), answer(body=b"two")])
    connections = pool(wire)
    assert connections.request("GET", URL, extensions=in_a_minute()).content == b"one"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + seconds)  # frozen meanwhile: time.monotonic has stood still
    assert connections.request("GET", URL, extensions=in_a_minute()).content == b"two"
    assert wire.lines[0].closed


def test_a_passed_deadline_sends_nothing() -> None:
    wire = Wire([answer()])
    with pytest.raises(httpcore.TimeoutException):
        pool(wire).request("GET", URL, extensions=until(time.monotonic() - 1))
    assert (wire.connected, wire.sent) == ([], [])


def test_the_deadline_is_one_for_all_the_operations_of_a_request() -> None:
    def slow() -> Iterator[bytes]:
        for part in answer(body=b"one"):
            time.sleep(0.01)
            yield part

    wire = Wire([slow()])
    pool(wire).request("GET", URL, extensions=until(time.monotonic() + 3))
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
    with pytest.raises(httpcore.ConnectTimeout):
        pool(wire).request("GET", URL, extensions=until(time.monotonic() + 0.05))
    assert len(wire.lines) == 1
    assert wire.all_closed


def test_a_request_without_a_deadline_is_a_bug() -> None:
    with pytest.raises(ValueError, match="deadline"):
        pool(Wire([answer()])).request("GET", URL)


def test_a_silent_address_leaves_time_for_the_next() -> None:
    """An address that does not answer leaves time for the next."""
    wire = Wire([answer(body=b"one")], refuse={"2600::1"})
    network = Network(resolve=lambda host, port: ["2600::1", "1.1.1.1"], inner=wire)
    connections = httpcore.ConnectionPool(ssl_context=TLS, network_backend=network)
    assert connections.request("GET", URL, extensions=in_a_minute()).content == b"one"
    assert wire.timeouts[:2] == [http.CONNECT_SECONDS] * 2


@pytest.mark.parametrize("host", ["unknown.test", "a" * 64 + ".test"])
def test_a_name_that_cannot_be_resolved_is_a_failed_connection(host: str) -> None:
    def resolve(name: str, _port: int) -> list[str]:
        name.encode("idna")  # as the system's does
        raise OSError("no such name")

    network = Network(resolve=resolve, inner=Wire([]))
    with pytest.raises(httpcore.ConnectError):
        httpcore.ConnectionPool(network_backend=network).request("GET", f"http://{host}/", extensions=in_a_minute())


def test_a_name_without_an_address_is_a_failed_connection() -> None:
    network = Network(resolve=lambda host, port: [], inner=Wire([]))
    with pytest.raises(httpcore.ConnectError):
        httpcore.ConnectionPool(network_backend=network).request("GET", "http://a.test/", extensions=in_a_minute())


def test_a_body_is_read_to_its_bound() -> None:
    def body() -> Iterator[bytes]:
        for _ in range(10):
            yield b"x" * 10

    assert len(read_all(httpcore.Response(200, content=body()), 100)) == 100
    with pytest.raises(TooLong):
        read_all(httpcore.Response(200, content=body()), 99)


def test_a_header_is_found_whatever_its_case() -> None:
    response = httpcore.Response(200, headers=[(b"RETRY-After", b" 7 "), (b"retry-after", b"8")])
    assert header(response, b"retry-after") == b"7"
    assert header(response, b"location") is None


def test_no_url_and_no_header_is_logged_even_at_the_loudest(caplog: pytest.LogCaptureFixture) -> None:
    answered = answer(302, Location="https://b.test/y?X-Amz-Signature=secret", Set_Cookie="secret")
    with caplog.at_level(logging.DEBUG):
        headers = [(b"Authorization", b"Bearer rf_live_secret")]
        pool(Wire([answered])).request("GET", f"{URL}?X-Amz-Signature=s", headers=headers, extensions=in_a_minute())
    assert "secret" not in caplog.text
    assert "X-Amz" not in caplog.text
