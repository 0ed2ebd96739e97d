"""What is public, what is this machine, and what is neither."""

from __future__ import annotations

import ipaddress

import pytest

from detag.adapters.hosts import is_address, is_loopback, is_name, is_number, kind_of, local_exception

NOT_PUBLIC = {
    "0.0.0.0": "unspecified",
    "0.1.2.3": "unspecified",
    "10.0.0.1": "private",
    "10.255.255.255": "private",
    "100.64.0.1": "shared",
    "100.127.255.255": "shared",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "169.254.169.254": "link-local",
    "169.254.170.2": "link-local",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.8": "reserved",
    "192.0.0.171": "reserved",
    "192.0.2.1": "documentation",
    "192.88.99.1": "6to4 relay",
    "192.168.0.1": "private",
    "198.18.0.1": "benchmarking",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
    "::": "unspecified",
    "::1": "loopback",
    "::127.0.0.1": "reserved",
    "::ffff:127.0.0.1": "IPv4-mapped",
    "::ffff:93.184.216.34": "IPv4-mapped",
    "64:ff9b::7f00:1": "NAT64",
    "64:ff9b::a9fe:a9fe": "NAT64",
    "64:ff9b:1::a00:1": "NAT64",
    "100::1": "reserved",
    "2001::1": "Teredo",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2": "Teredo",
    "2001:2::1": "reserved",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "6to4",
    "2002:a9fe:a9fe::1": "6to4",
    "3fff::1": "documentation",
    "4000::1": "reserved",
    "5f00::1": "reserved",
    "fc00::1": "private",
    "fd00:ec2::254": "private",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "fec0::1": "reserved",
    "ff02::1": "multicast",
    "ff0e::1": "multicast",
}
PUBLIC = [
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "52.219.75.12",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::1",
    "2600:1f18::1",
    "2a05:d050:4000::1",
    "2a00:1450:4001::1",
    "3fff:1000::1",
]


@pytest.mark.parametrize(("address", "kind"), NOT_PUBLIC.items())
def test_an_address_that_is_not_public_is_named_for_what_it_is(address: str, kind: str) -> None:
    assert (kind_of(address) or "").removeprefix("an ").removeprefix("a ") == kind


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_one(address: str) -> None:
    assert kind_of(address) is None


def test_nothing_that_python_calls_private_is_public_here() -> None:
    for number in range(0, 2**32, 65_521):
        address = ipaddress.IPv4Address(number)
        if not address.is_global or address.is_multicast:
            assert kind_of(str(address)), address


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "017700000001",
        "127.0.0.1.2",
        "a.b.1",
        "0x",
        "1.0x7f",
    ],
)
def test_a_host_that_a_resolver_reads_as_a_number_is_one(host: str) -> None:
    assert is_number(host)
    assert not is_address(host)


@pytest.mark.parametrize(
    "host", ["example.com", "1.example.com", "0x7f.example", "xn--bcher-kva.example", "a_b.s3.amazonaws.com"]
)
def test_a_name_is_one(host: str) -> None:
    assert is_name(host)
    assert not is_number(host)
    assert not is_address(host)


@pytest.mark.parametrize(
    "host", ["", ".", "a..b", "-a.b", "a-.b", "a b", "a%62", "a.b.", "ä.de", "a" * 64, "a." * 127 + "ab"]
)
def test_what_cannot_be_a_name_is_none(host: str) -> None:
    assert not is_name(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_this_machine_is_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", [None, "", "localhost.example.com", "128.0.0.1", "example.com", "0.0.0.0", "::"])
def test_another_machine_is_not_taken_for_this_one(host: str | None) -> None:
    assert not is_loopback(host)


LOCAL = "http://127.0.0.1:4566"


@pytest.mark.parametrize("endpoint", [LOCAL, "https://127.0.0.1:4566", "http://localhost:4566", "http://[::1]:4566"])
def test_the_local_stack_opens_one_host_and_port(endpoint: str) -> None:
    assert local_exception("127.0.0.1:8099", endpoint) == ("127.0.0.1", 8099)
    assert local_exception("[::1]:8099", endpoint) == ("::1", 8099)


@pytest.mark.parametrize(
    "endpoint",
    [
        None,
        "",
        "https://s3.eu-central-1.amazonaws.com",
        "https://vpce-1.s3.eu-central-1.vpce.amazonaws.com",
        "http://10.0.0.1:4566",
        "http://127.0.0.1.example.com:4566",
        "http://localhost.example.com",
        "http://example.com/127.0.0.1",
        "http://127.0.0.1@example.com",
        "127.0.0.1:4566",
        "http://[::1",
    ],
)
def test_the_local_hole_is_dead_unless_aws_is_on_this_machine(endpoint: str | None) -> None:
    assert local_exception("127.0.0.1:8099", endpoint) is None


@pytest.mark.parametrize(
    "place", [None, "", "127.0.0.1", "127.0.0.1:", "10.0.0.1:8099", "example.com:443", "127.0.0.1:x", "127.0.0.1:99999"]
)
def test_the_local_hole_leads_to_this_machine_only(place: str | None) -> None:
    assert local_exception(place, LOCAL) is None
