"""Output URLs over real sockets and real TLS: what only the network itself can show of `detag.adapters.outputs`."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

import pytest

from detag.adapters.http import Network, resolve
from detag.adapters.outputs import Guard, SafeFetcher, Target
from detag.ports.errors import Transient
from detag.ports.outputs import Unsafe
from detag.ports.runs_fake import tiny_image
from tests.server import Server, certificate, serving
from tests.wire import answer

OUTPUT = tiny_image("image/webp", b"cleaned")


class Open(Guard):
    """Lets any address and any port through: the server of a test is on this machine."""

    def url(self, target: Target, user: str | None) -> None:
        pass

    def address(self, host: str, port: int, address: str) -> None:
        pass


class Hasty(Open):
    seconds = 0.5


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("certificates"), "outputs.test")


@pytest.fixture(scope="module")
def trusting(own: tuple[Path, Path]) -> ssl.SSLContext:
    """Trusts the certificate of outputs.test, and no other."""
    return ssl.create_default_context(cafile=str(own[0]))


@pytest.fixture
def shown() -> list[str | None]:
    """The names that TLS was begun for."""
    return []


@pytest.fixture
def server(own: tuple[Path, Path], shown: list[str | None]) -> Iterator[Server]:
    """outputs.test, which has only an output."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*own)
    tls.sni_callback = lambda _socket, name, _context: shown.append(name)
    with serving(lambda path: answer(body=OUTPUT), tls) as running:
        yield running


def fetch(url: str, tls: ssl.SSLContext, guard: Guard, names: Callable[[str, int], list[str]] = resolve) -> bytes:
    network = Network(guard.address, resolve=names)
    with SafeFetcher(tls, guard, network).open(url) as download:
        return download.body.read()


def here(_host: str, _port: int) -> list[str]:
    """Every name is this machine."""
    return ["127.0.0.1"]


# TLS


def test_a_pinned_address_is_spoken_to_under_the_hosts_name(
    server: Server, trusting: ssl.SSLContext, shown: list[str | None]
) -> None:
    assert fetch(f"https://outputs.test:{server.port}/a", trusting, Open(), here) == OUTPUT
    assert (shown, server.asked) == (["outputs.test"], ["GET /a HTTP/1.1"])


def test_a_certificate_of_another_host_is_not_accepted(server: Server, trusting: ssl.SSLContext) -> None:
    with pytest.raises(Transient):
        fetch(f"https://other.test:{server.port}/a", trusting, Open(), here)
    with pytest.raises(Transient):
        fetch(f"https://127.0.0.1:{server.port}/a", trusting, Open(), here)
    assert server.asked == []


def test_a_certificate_that_nobody_vouches_for_is_not_accepted(server: Server) -> None:
    with pytest.raises(Transient):
        fetch(f"https://outputs.test:{server.port}/a", ssl.create_default_context(), Open(), here)
    assert server.asked == []


def test_any_certificate_is_accepted_where_none_is_checked(server: Server) -> None:
    careless = ssl.create_default_context()
    careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
    assert fetch(f"https://other.test:{server.port}/a", careless, Open(), here) == OUTPUT


def test_plain_http_where_tls_is_spoken_gives_nothing(server: Server, trusting: ssl.SSLContext) -> None:
    with pytest.raises(Transient):
        fetch(f"http://outputs.test:{server.port}/a", trusting, Open(), here)


def test_tls_where_plain_http_is_spoken_gives_nothing(trusting: ssl.SSLContext) -> None:
    with serving(lambda path: answer(body=OUTPUT)) as plain, pytest.raises(Transient):
        fetch(f"https://outputs.test:{plain.port}/a", trusting, Hasty(), here)


# Addresses, as this machine's own resolver reads them

DISGUISES = ["2130706433", "0x7f000001", "0x7f.1", "127.1", "017700000001"]


class Undisguised(Guard):
    """The guard of URLs, but for the port, which here cannot be 443."""

    def url(self, target: Target, user: str | None) -> None:
        super().url(Target(target.scheme, target.host, 443, target.path), user)


@pytest.mark.parametrize("host", [*DISGUISES, "0177.0.0.1", "127.0.0.1", "localhost"])  # one is no host to httpx
def test_no_form_of_this_machines_address_is_connected_to(host: str, trusting: ssl.SSLContext) -> None:
    with serving(lambda path: answer(body=OUTPUT)) as plain:
        with pytest.raises(Unsafe):
            fetch(f"https://{host}:{plain.port}/a", trusting, Undisguised())
        assert plain.asked == []


@pytest.mark.parametrize("host", [*DISGUISES, "127.0.0.1", "localhost"])
def test_every_form_of_it_leads_there_without_the_guard(host: str, trusting: ssl.SSLContext) -> None:
    try:
        resolve(host, 80)
    except OSError:
        assert host in DISGUISES  # this machine's resolver knows no such form
        return
    with serving(lambda path: answer(body=OUTPUT)) as plain:
        assert fetch(f"http://{host}:{plain.port}/a", trusting, Open()) == OUTPUT


# Time


def drip(parts: Iterable[bytes], pause: float = 0.03) -> Iterator[bytes]:
    for part in parts:
        yield part
        time.sleep(pause)


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


HEADERS, BODY = answer(body=OUTPUT)
CHUNKED = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1\r\n%c\r\n" % byte for byte in BODY]]
SLOW: dict[str, Callable[[], Iterable[bytes]]] = {
    "a body that drips": lambda: chain([HEADERS], drip(bytewise(BODY))),
    "headers that drip": lambda: drip([*bytewise(HEADERS), BODY]),
    "many headers": lambda: drip([b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 40, b"\r\n" + BODY]),
    "news before the answer": lambda: drip([*[b"HTTP/1.1 103 Early Hints\r\n\r\n"] * 40, HEADERS, BODY]),
    "chunks that drip": lambda: drip([*CHUNKED, b"0\r\n\r\n"]),
    "silence": lambda: drip([b"", HEADERS + BODY], 1.2),
}


@pytest.mark.parametrize("kind", SLOW)
def test_a_slow_server_is_left_at_the_deadline(kind: str, trusting: ssl.SSLContext) -> None:
    with serving(lambda path: SLOW[kind]()) as server, pytest.raises(Transient):
        fetch(f"http://outputs.test:{server.port}/a", trusting, Hasty(), here)


@pytest.mark.parametrize("kind", SLOW)
def test_a_slow_server_is_waited_for_without_the_deadline(kind: str, trusting: ssl.SSLContext) -> None:
    with serving(lambda path: SLOW[kind]()) as server:
        assert fetch(f"http://outputs.test:{server.port}/a", trusting, Open(), here) == OUTPUT


def test_a_handshake_that_never_ends_is_left_at_the_deadline(trusting: ssl.SSLContext) -> None:
    with serving(lambda path: []) as silent, pytest.raises(Transient):  # it waits for the end of a request
        fetch(f"https://outputs.test:{silent.port}/a", trusting, Hasty(), here)
    assert silent.asked == []


def test_redirects_do_not_begin_the_time_anew(trusting: ssl.SSLContext) -> None:
    def slowly(path: str) -> Iterator[bytes]:
        time.sleep(0.3)
        yield from answer(302, b"", Location=path + "x") if len(path) < 4 else answer(body=OUTPUT)

    with serving(slowly) as server:
        url = f"http://outputs.test:{server.port}/a"
        with pytest.raises(Transient):
            fetch(url, trusting, Hasty(), here)
        assert fetch(url, trusting, Open(), here) == OUTPUT
