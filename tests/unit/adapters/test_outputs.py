"""Output URLs are hostile until proven otherwise: what is refused and why, and that each guard is what refuses it.

No sockets: `tests.wire.Wire` stands for the network and knows what would have been connected to.
"""

from __future__ import annotations

import ssl
import tracemalloc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpcore
import pytest

from detag.adapters.http import Network
from detag.adapters.outputs import Guard, SafeFetcher, Target
from detag.domain.images import HEAD_BYTES
from detag.ports.errors import Transient
from detag.ports.outputs import OutputUrlExpired, Unsafe
from detag.ports.runs_fake import tiny_image
from tests.shapes import chunk
from tests.wire import Wire, answer, resolver

OUTPUT = tiny_image("image/webp", b"cleaned")
JPEG = tiny_image("image/jpeg", b"cleaned")
HTML = b"<html><script>alert(1)</script></html>"
PUBLIC = "93.184.216.34"
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
NAMES = {"outputs.test": [PUBLIC], "other.test": ["93.184.216.35"]}
URL = "https://outputs.test/outputs/1.webp?X-Amz-Signature=secret"


# Guards without one of their rules


class NoUrlRule(Guard):
    def url(self, target: Target, user: str | None) -> None:
        pass


class NoHostRule(Guard):
    def host(self, host: str) -> None:
        pass

    def address(self, host: str, port: int, address: str) -> None:
        pass


class NoAddressRule(Guard):
    def address(self, host: str, port: int, address: str) -> None:
        pass


class NoRules(NoUrlRule, NoAddressRule):
    pass


class NoEncodingRule(Guard):
    def encoding(self, encoding: bytes | None) -> None:
        pass


class SmallGuard(Guard):
    most_bytes = len(OUTPUT) - 1


class NoImageRule(Guard):
    def image(self, head: bytes, length: int) -> None:
        return None


class NoEndRule(Guard):
    def end(self, image: object, head: bytes, tail: bytes) -> None:
        pass


class NoRedirectRule(Guard):
    redirects = 100


@dataclass
class Case:
    """A URL and what comes of it; why it is refused, and the guard without the rule that refuses it."""

    url: str
    why: str
    off: type[Guard]
    answers: list[Iterable[bytes]] = field(default_factory=lambda: [answer(body=OUTPUT)])
    names: dict[str, list[str]] = field(default_factory=dict)
    guard: type[Guard] = Guard
    body: bytes = OUTPUT
    reaches: tuple[str, int] = (PUBLIC, 443)
    """The last that is connected to where the rule is taken away."""


def redirect(location: str, status: int = 302) -> list[bytes]:
    return answer(status, b"elsewhere", Location=location)


def literal(address: str, kind: str) -> Case:
    host = f"[{address}]" if ":" in address else address
    return Case(f"https://{host}/x", f"leads to {kind} address", NoAddressRule, reaches=(address, 443))


def named(address: str, kind: str) -> Case:
    names = {"evil.test": [address]}
    return Case("https://evil.test/x", f"leads to {kind} address", NoAddressRule, names=names, reaches=(address, 443))


def disguised(host: str) -> Case:
    names = {host: ["127.0.0.1"]}  # as a resolver reads it
    why = "address in disguise"
    return Case(f"https://{host}/x", why, NoHostRule, names=names, reaches=("127.0.0.1", 443))


def onward(location: str, why: str, off: type[Guard], reaches: tuple[str, int], status: int = 302) -> Case:
    answers: list[Iterable[bytes]] = [redirect(location, status), answer(body=OUTPUT)]
    return Case(URL, why, off, answers, {"evil.test": ["169.254.169.254"]}, reaches=reaches)


ADDRESSES = {
    "127.0.0.1": "a loopback",
    "127.8.8.8": "a loopback",
    "::1": "a loopback",
    "10.1.2.3": "a private",
    "172.16.5.4": "a private",
    "192.168.1.1": "a private",
    "fd00:ec2::254": "a private",
    "169.254.169.254": "a link-local",
    "169.254.170.2": "a link-local",
    "fe80::1": "a link-local",
    "100.100.100.200": "a shared",
    "0.0.0.0": "an unspecified",
    "::": "an unspecified",
    "192.0.0.170": "a reserved",
    "250.1.1.1": "a reserved",
    "::7f00:1": "a reserved",
    "198.18.0.1": "a benchmarking",
    "203.0.113.7": "a documentation",
    "224.0.0.251": "a multicast",
    "ff02::fb": "a multicast",
    "::ffff:127.0.0.1": "an IPv4-mapped",
    "::ffff:a9fe:a9fe": "an IPv4-mapped",
    "64:ff9b::7f00:1": "a NAT64",
    "64:ff9b:1::a9fe:a9fe": "a NAT64",
    "2002:7f00:1::": "a 6to4",
    "2001:0:7f00:1::": "a Teredo",
}

CASES = {
    **{f"literal {address}": literal(address, kind) for address, kind in ADDRESSES.items()},
    **{f"name of {address}": named(address, kind) for address, kind in ADDRESSES.items()},
    **{
        f"disguise {host}": disguised(host)
        for host in (
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "127.1",
            "127.0.1",
            "017700000001",
            "0x7f.0.0.0x1",
        )
    },
    "plain http": Case("http://outputs.test/x", "not https but 'http'", NoUrlRule, reaches=(PUBLIC, 80)),
    "plain http on 443": Case("http://outputs.test:443/x", "not https", NoUrlRule),
    "another port": Case("https://outputs.test:8443/x", "names port 8443", NoUrlRule, reaches=(PUBLIC, 8443)),
    "port 80": Case("https://outputs.test:80/x", "names port 80", NoUrlRule, reaches=(PUBLIC, 80)),
    "port 22": Case("https://outputs.test:22/x", "names port 22", NoUrlRule, reaches=(PUBLIC, 22)),
    "a user": Case("https://me@outputs.test/x", "holds a user name", NoUrlRule),
    # pragma: allowlist nextline secret
    "user and password": Case("https://me:pw@outputs.test/x", "holds a user name", NoUrlRule),
    "a user that looks like the host": Case(
        "https://s3.amazonaws.com@evil.test/x",
        "holds a user name",
        NoRules,
        names={"evil.test": ["127.0.0.1"]},
        reaches=("127.0.0.1", 443),
    ),
    "an empty user": Case("https://@outputs.test/x", "holds a user name", NoUrlRule),
    "redirect to plain http": onward("http://other.test/x", "not https", NoUrlRule, ("93.184.216.35", 80)),
    "redirect to loopback": onward("https://127.0.0.1/x", "a loopback address", NoAddressRule, ("127.0.0.1", 443)),
    "redirect to metadata": onward("http://169.254.169.254/latest/", "not https", NoRules, ("169.254.169.254", 80)),
    "redirect to a name of metadata": onward(
        "https://evil.test/", "a link-local", NoAddressRule, ("169.254.169.254", 443)
    ),
    "redirect to a port": onward("https://other.test:8443/", "names port", NoUrlRule, ("93.184.216.35", 8443), 307),
    "redirect to a user": onward("//u@other.test/", "user name", NoUrlRule, ("93.184.216.35", 443), 308),
    "redirect to a disguise": onward("https://0x7f.1/", "in disguise", NoHostRule, ("127.0.0.1", 443), 301),
    "too many redirects": Case(
        URL,
        "more than 3 times",
        NoRedirectRule,
        [*[redirect("https://other.test/y")] * 4, answer(body=OUTPUT)],
        reaches=("93.184.216.35", 443),
    ),
    "redirects in a circle": Case(URL, "more than 3 times", NoRedirectRule, [*[redirect("")] * 4, answer(body=OUTPUT)]),
    "too large, as it says": Case(URL, "larger than", Guard, guard=SmallGuard),
    "too large, without saying": Case(
        URL, "larger than", Guard, [answer(body=OUTPUT, Content_Length="none")], guard=SmallGuard
    ),
    "compressed": Case(URL, "sent compressed", NoEncodingRule, [answer(body=OUTPUT, Content_Encoding="gzip")]),
    "compressed twice": Case(
        URL, "sent compressed", NoEncodingRule, [answer(body=OUTPUT, Content_Encoding="br, gzip")]
    ),
    "HTML with an image's type": Case(
        URL, "not an image", NoImageRule, [answer(body=HTML, Content_Type="image/webp")], body=HTML
    ),
    "SVG": Case(
        URL, "is not supported", NoImageRule, [answer(body=b"<svg/>", Content_Type="image/svg+xml")], body=b"<svg/>"
    ),
    "nothing at all": Case(URL, "not an image", NoImageRule, [answer(body=b"")], body=b""),
    "an image of another kind": Case(
        URL, "not supported", NoImageRule, [answer(body=b"BM" + bytes(200))], body=b"BM" + bytes(200)
    ),
    "longer than its Content-Length, a JPEG": Case(
        URL, "before its end", NoEndRule, [answer(body=JPEG, Content_Length=str(len(JPEG) - 2))], body=JPEG[:-2]
    ),
    "longer than its Content-Length, a WebP": Case(
        URL,
        "before its end",
        NoImageRule,
        [answer(body=OUTPUT, Content_Length=str(len(OUTPUT) - 2))],
        body=OUTPUT[:-2],
    ),
}


def fetch(url: str, wire: Wire, guard: Guard, names: dict[str, list[str]] | None = None) -> bytes:
    """The bytes that a URL gives."""
    network = Network(guard.address, resolve=resolver(NAMES | (names or {})), inner=wire)
    with SafeFetcher(TLS, guard, network).open(url) as download:
        data = download.body.read()
    assert (download.head, download.length) == (data[:HEAD_BYTES], len(data))
    return data


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_is_refused_with_its_reason(case: Case) -> None:
    wire = Wire(list(case.answers))
    with pytest.raises(Unsafe, match=case.why) as refusal:
        fetch(case.url, wire, case.guard(), case.names)
    assert "X-Amz" not in str(refusal.value)
    assert wire.all_closed


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_reaches_its_target_without_the_guard(case: Case) -> None:
    wire = Wire(list(case.answers))
    names = case.names | {"0x7f.1": ["127.0.0.1"]}
    assert fetch(case.url, wire, case.off(), names) == case.body
    assert wire.connected[-1] == case.reaches


def test_what_httpx_takes_for_no_host_is_refused() -> None:
    """With our own rule for hosts, and without it."""
    for guard in (Guard(), NoHostRule()):
        wire = Wire([answer(body=OUTPUT)])
        with pytest.raises(Unsafe):
            fetch("https://0177.0.0.1/x", wire, guard, {"0177.0.0.1": ["127.0.0.1"]})
        assert wire.connected == []


REFUSED_BEFORE = [name for name, case in CASES.items() if len(case.answers) == 1 and case.off in (
    NoUrlRule, NoHostRule, NoAddressRule, NoRules)]  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_BEFORE)
def test_nothing_is_connected_to_where_a_url_is_refused(name: str) -> None:
    wire = Wire([])
    with pytest.raises(Unsafe):
        fetch(CASES[name].url, wire, Guard(), CASES[name].names)
    assert wire.connected == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "outputs.test/x",
        "//outputs.test/x",
        "https:/outputs.test",
        "https:outputs.test/x",
        "https://",
        "https:///x",
        "https://?x",
        "https://:443/x",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "gopher://x:70/_x",
        "ftp://outputs.test/x",
        "javascript:alert(1)",
        "https://outputs.test:port/x",
        "https://outputs.test:99999/x",
        "https://[::1/x",
        "https://[127.0.0.1]/x",
        "https://[v1.a]/x",
        "https://outputs.test\\@other.test/x",
        "https:\\\\outputs.test/x",
        "https://outputs.test/x\r\nHost: other.test",
        "https://outputs.test/\tx",
        "https://outputs.test/ x",
        "https://outputs.test /x",
        " https://outputs.test/x",
        "https://outputs.test/x\n",
        "https://outputs.test/\x00",
        "https://outputs.test/\x7f",
        "https://outputs.test/\ud83d",
        "https://outputs.test/x?\udfff",
        "https://bücher.example/x",
        "https://\uff11\uff12\uff17.0.0.1/x",
        "https://127\u30020\u30020\u30021/x",
        "https://outputs%2etest/x",
        "https://outputs..test/x",
        "https://outputs.test./x",
        "https://-.test/x",
        "https://fe80::1%25eth0/x",
        "https://" + "a" * 300 + ".test/x",
        "https://outputs.test/" + "x" * 9_000,
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    wire = Wire([])
    with pytest.raises(Unsafe):
        fetch(url, wire, Guard())
    assert wire.connected == []


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://outputs.test", b"/"),
        ("https://outputs.test?a=1", b"/?a=1"),
        ("HTTPS://OUTPUTS.TEST:443/A?b#c", b"/A?b"),
        ("https://outputs.test/a%20b%2Fc+d?X-Amz-Date=A%2Fb&c=0", b"/a%20b%2Fc+d?X-Amz-Date=A%2Fb&c=0"),
        ("https://outputs.test/Größe.webp?ü", b"/Gr%C3%B6%C3%9Fe.webp?%C3%BC"),
        ("https://outputs.test/a/../b//c", b"/a/../b//c"),
    ],
)
def test_a_good_url_is_asked_for_as_it_is_written(url: str, path: bytes) -> None:
    wire = Wire([answer(body=OUTPUT)])
    assert fetch(url, wire, Guard()) == OUTPUT
    assert wire.sent[0].split(b" ")[:2] == [b"GET", path]
    assert wire.hosts == ["outputs.test"]


def test_nothing_goes_out_but_what_was_asked_for() -> None:
    wire = Wire([answer(302, b"", Location="https://other.test/y", Set_Cookie="a=b"), answer(body=OUTPUT)])
    fetch(URL, wire, Guard())
    assert wire.sent == [
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: image/*\r\nAccept-Encoding: identity\r\n"
        "User-Agent: detag/1\r\nConnection: close\r\n\r\n".encode()
        for host, path in (("outputs.test", "/outputs/1.webp?X-Amz-Signature=secret"), ("other.test", "/y"))
    ]
    assert wire.all_closed


def test_each_url_has_a_connection_of_its_own() -> None:
    wire = Wire([[*answer(body=OUTPUT), *answer(body=OUTPUT)], answer(body=OUTPUT)])
    guard = Guard()
    fetcher = SafeFetcher(TLS, guard, Network(guard.address, resolve=resolver(NAMES), inner=wire))
    for _ in "12":
        with fetcher.open(URL) as download:
            assert download.body.read() == OUTPUT
    assert wire.connected == [(PUBLIC, 443)] * 2
    assert wire.all_closed


@pytest.mark.parametrize("location", ["/y", "https://other.test/y", "//other.test/y", "?z", "y"])
def test_up_to_three_redirects_are_followed(location: str) -> None:
    wire = Wire([*[redirect(location)] * 3, answer(body=OUTPUT)])
    assert fetch(URL, wire, Guard()) == OUTPUT


@pytest.mark.parametrize("location", ["http://[", "https://other.test:x/", "https://outputs.test:port", "\x00"])
def test_a_redirect_to_nonsense_is_refused(location: str) -> None:
    with pytest.raises((Unsafe, Transient)):
        fetch(URL, Wire([redirect(location)]), Guard())


def test_a_host_is_resolved_once() -> None:
    """A host is resolved once, so that it cannot answer differently the second time."""
    answers = iter([[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]])
    wire = Wire([answer(body=OUTPUT)])
    guard = Guard()
    network = Network(guard.address, resolve=lambda host, port: next(answers), inner=wire)
    with SafeFetcher(TLS, guard, network).open(URL):
        pass
    assert wire.connected == [(PUBLIC, 443)]
    assert next(answers) == ["127.0.0.1"]


def test_a_client_that_resolves_again_is_led_astray() -> None:
    answers = iter([[PUBLIC], ["127.0.0.1"]])

    class ByName(Network):
        def connect_tcp(self, host: str, port: int, *arguments: Any, **named: Any) -> httpcore.NetworkStream:
            self._addresses(host, port)
            return wire.connect_tcp(self._resolve(host, port)[0], port)

    guard = Guard()
    wire = Wire([answer(body=OUTPUT)])
    network = ByName(guard.address, resolve=lambda host, port: next(answers), inner=wire)
    with SafeFetcher(TLS, guard, network).open(URL):
        pass
    assert wire.connected == [("127.0.0.1", 443)]


@pytest.mark.parametrize("addresses", [["127.0.0.1", PUBLIC], [PUBLIC, "::1"], ["::1", "10.0.0.1", PUBLIC, "fe80::1"]])
def test_of_several_addresses_only_a_public_one_is_connected_to(addresses: list[str]) -> None:
    wire = Wire([answer(body=OUTPUT)])
    fetch("https://mixed.test/x", wire, Guard(), {"mixed.test": addresses})
    assert wire.connected == [(PUBLIC, 443)]


def test_the_next_public_address_is_tried() -> None:
    """Where one public address does not answer, the next is tried."""
    wire = Wire([answer(body=OUTPUT)], refuse={"2600::1"})
    fetch("https://two.test/x", wire, Guard(), {"two.test": ["2600::1", "127.0.0.1", PUBLIC]})
    assert wire.connected == [("2600::1", 443), (PUBLIC, 443)]


def test_a_host_that_does_not_answer_is_tried_again_later() -> None:
    """A host whose public address does not answer is tried again later."""
    wire = Wire([], refuse={PUBLIC})
    with pytest.raises(Transient):
        fetch("https://two.test/x", wire, Guard(), {"two.test": [PUBLIC, "127.0.0.1"]})


def test_a_name_that_is_not_known_is_tried_again_later() -> None:
    with pytest.raises(Transient):
        fetch("https://unknown.test/x", Wire([]), Guard())


# The local stack


def test_the_local_exception_opens_exactly_one_host_and_port() -> None:
    wire = Wire([answer(body=OUTPUT)])
    assert fetch("http://127.0.0.1:8099/outputs/1", wire, Guard(("127.0.0.1", 8099))) == OUTPUT
    assert (wire.connected, wire.hosts) == ([("127.0.0.1", 8099)], [None])
    for other in (
        "http://127.0.0.1:8098/x",
        "http://127.0.0.2:8099/x",
        "http://localhost:8099/x",
        "https://127.0.0.1:8099/x",
        "https://127.0.0.1/x",
        "http://127.0.0.1/x",
        "http://u@127.0.0.1:8099/x",
        "http://outputs.test:8099/x",
    ):
        with pytest.raises(Unsafe):
            fetch(other, Wire([]), Guard(("127.0.0.1", 8099)), {"localhost": ["127.0.0.1"]})


def test_the_local_exception_stays_on_this_machine() -> None:
    """The local exception does not lead away from this machine."""
    with pytest.raises(Unsafe, match="private"):
        fetch("http://localhost:8099/x", Wire([]), Guard(("localhost", 8099)), {"localhost": ["10.0.0.1"]})


# What comes back


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_an_expired_url_is_told_from_a_bad_one(status: int) -> None:
    with pytest.raises(OutputUrlExpired, match=str(status)):
        fetch(URL, Wire([answer(status, b"<Error>ExpiredToken</Error>")]), Guard())


@pytest.mark.parametrize("status", [201, 204, 206, 300, 304, 402, 405, 408, 418, 429, 500, 502, 503])
def test_any_other_answer_is_tried_again_later(status: int) -> None:
    with pytest.raises(Transient):
        fetch(URL, Wire([answer(status, b"" if status in (204, 304) else OUTPUT)]), Guard())


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"nonsense\r\n\r\n"],
        [b"HTTP/1.1 200"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nx"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"],
        [b"HTTP/1.1 200 OK\r\n", *[b"X: " + b"x" * 60_000 + b"\r\n"] * 5],
    ],
)
def test_a_server_that_talks_nonsense_is_tried_again_later(parts: Sequence[bytes]) -> None:
    with pytest.raises(Transient) as failure:
        fetch(URL, Wire([parts]), Guard())
    assert "secret" not in str(failure.value)
    assert failure.value.__cause__ is None


@pytest.mark.parametrize("missing", [1, len(OUTPUT) - 30, 200_000])
def test_a_body_shorter_than_its_length_is_tried_again_later(missing: int) -> None:
    whole = tiny_image("image/webp", b"x" * 300_000)
    with pytest.raises(Transient):
        fetch(URL, Wire([answer(body=whole[:-missing], Content_Length=str(len(whole)))]), Guard())


def test_a_broken_body_fails_at_every_further_reading() -> None:
    """A body that breaks off gives an error at every further reading."""
    whole = tiny_image("image/webp", b"x" * 300_000)
    wire = Wire([answer(body=whole[:200_000], Content_Length=str(len(whole)))])
    network = Network(Guard().address, resolve=resolver(NAMES), inner=wire)
    with SafeFetcher(TLS, None, network).open(URL) as download:
        for _ in range(2):
            with pytest.raises(Transient):
                download.body.read()


def test_a_body_without_a_length_is_taken_to_its_end() -> None:
    output = tiny_image("image/webp", b"x" * 200_000)
    parts = answer(body=output, Content_Length="none")
    assert fetch(URL, Wire([parts]), Guard()) == output


def test_a_body_in_chunks_is_read_to_its_end() -> None:
    """A body in chunks is read to its end, whatever length it says besides."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (OUTPUT[:7], OUTPUT[7:])) + b"0\r\n\r\n"
    for length in ("none", "5", "500000"):
        parts = answer(body=chunks, Content_Length=length, Transfer_Encoding="chunked")
        assert fetch(URL, Wire([parts]), Guard()) == OUTPUT


def test_an_endless_body_without_a_length_is_cut_at_the_bound() -> None:
    given = 0

    def endless() -> Iterable[bytes]:
        nonlocal given
        yield from answer(body=OUTPUT, Content_Length="none")
        while True:
            given += 65_536
            yield bytes(65_536)

    class Small(Guard):
        most_bytes = 1_000_000

    with pytest.raises(Unsafe, match="larger than 1000000"):
        fetch(URL, Wire([endless()]), Small())
    assert given < 1_200_000


def test_only_without_a_length_has_a_body_to_fit_on_the_disk() -> None:
    """Announced, it goes to S3 as it comes, and may be larger."""

    class Narrow(Guard):
        most_spooled = 100_000

    output = tiny_image("image/webp", b"x" * 200_000)
    assert fetch(URL, Wire([answer(body=output)]), Narrow()) == output
    with pytest.raises(Unsafe, match="larger than 100000"):
        fetch(URL, Wire([answer(body=output, Content_Length="none")]), Narrow())


def test_no_permitted_photo_has_too_large_an_output() -> None:
    """What was paid for is stored, also as a PNG that compresses nothing: four channels of the most pixels by default.
    Without a length it has to fit on the disk of a function, 512 MB.
    """
    guard = Guard()
    guard.size(4 * 500_000_000)
    guard.spooled(300_000_000)
    with pytest.raises(Unsafe, match="larger than"):
        guard.spooled(500_000_000)
    with pytest.raises(Unsafe, match="larger than"):
        guard.size(3_000_000_000)


@pytest.mark.parametrize(("kind", "size"), [("image/jpeg", 100), ("image/png", 100), ("image/png", 200_000)])
def test_a_truncated_output_never_gives_its_last_bytes(kind: str, size: int) -> None:
    """An output that was cut before it was sent never gives its last bytes."""
    cut = tiny_image(kind, b"")[:-3]
    if size > HEAD_BYTES:
        cut = cut[:-9] + chunk(b"IDAT", bytes(size)) + cut[-9:]
    network = Network(Guard().address, resolve=resolver(NAMES), inner=Wire([answer(body=cut)]))
    seen = bytearray()

    def receive() -> None:
        with SafeFetcher(TLS, None, network).open(URL) as download:
            try:
                while data := download.body.read(1_000):
                    seen.extend(data)
            finally:
                with pytest.raises(Transient):  # and whoever reads on does not take it for the end
                    download.body.read(1_000)

    with pytest.raises(Unsafe, match="before its end"):
        receive()
    assert len(seen) < len(cut)
    assert bool(seen) == (size > HEAD_BYTES)


def test_the_head_takes_nothing_from_the_body() -> None:
    output = tiny_image("image/webp", b"x" * 100_000)
    network = Network(Guard().address, resolve=resolver(NAMES), inner=Wire([answer(body=output)]))
    with SafeFetcher(TLS, None, network).open(URL) as download:
        assert (download.head, download.length) == (output[:HEAD_BYTES], len(output))
        pieces = [download.body.read(n) for n in (1, 65_535, 7, 10_000)]
        assert b"".join(pieces) + download.body.read() == output
        assert download.body.read(10) == b""


@pytest.mark.parametrize("length", [None, "none"])
def test_memory_stays_the_same_whatever_the_size(length: str | None) -> None:
    size = 64 * 1024 * 1024
    head = tiny_image("image/webp", b"")
    start = b"RIFF" + (size - 8).to_bytes(4, "little") + head[8:]

    def large() -> Iterable[bytes]:
        yield from answer(body=start, Content_Length=length or str(size))
        for _ in range((size - len(start)) // 65_536):
            yield bytes(65_536)
        yield bytes((size - len(start)) % 65_536)

    network = Network(Guard().address, resolve=resolver(NAMES), inner=Wire([large()]))
    fetcher = SafeFetcher(TLS, None, network)
    tracemalloc.start()
    try:
        with fetcher.open(URL) as download:
            got = 0
            while data := download.body.read(65_536):
                got += len(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert got == size
    assert peak < 2 * 1024 * 1024
