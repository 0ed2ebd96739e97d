"""What a host and an address are: the public Internet, this machine, or something that no URL may lead to."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

_NOT_PUBLIC: Final = tuple(
    (ipaddress.ip_network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "an unspecified"),
        ("10.0.0.0/8", "a private"),
        ("100.64.0.0/10", "a shared"),
        ("127.0.0.0/8", "a loopback"),
        ("169.254.0.0/16", "a link-local"),
        ("172.16.0.0/12", "a private"),
        ("192.0.0.0/24", "a reserved"),
        ("192.0.2.0/24", "a documentation"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "a private"),
        ("198.18.0.0/15", "a benchmarking"),
        ("198.51.100.0/24", "a documentation"),
        ("203.0.113.0/24", "a documentation"),
        ("224.0.0.0/4", "a multicast"),
        ("240.0.0.0/4", "a reserved"),
        ("::/128", "an unspecified"),
        ("::1/128", "a loopback"),
        ("::ffff:0:0/96", "an IPv4-mapped"),
        ("64:ff9b::/96", "a NAT64"),
        ("64:ff9b:1::/48", "a NAT64"),
        ("2001::/32", "a Teredo"),
        ("2001::/23", "a reserved"),
        ("2001:db8::/32", "a documentation"),
        ("2002::/16", "a 6to4"),
        ("3fff::/20", "a documentation"),
        ("fc00::/7", "a private"),
        ("fe80::/10", "a link-local"),
        ("ff00::/8", "a multicast"),
    )
)
"""IANA's special-purpose registries for IPv4 and IPv6, and the ranges that carry an IPv4 address inside an IPv6 one.
Written out, because `ipaddress.is_global` differs between the versions of Python and lets some of these through.
"""
_UNICAST: Final = ipaddress.ip_network("2000::/3")
"""All that IANA has given out of IPv6 for the public Internet."""
_LABEL: Final = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z)({_LABEL}\.)*{_LABEL}\Z")
_NUMBER: Final = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)\Z")


def kind_of(address: str) -> str | None:
    """What an IP address is where it is not a public one, such as "a loopback"; None for a public one."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    for network, kind in _NOT_PUBLIC:
        if ip in network:
            return kind
    return "a reserved" if ip.version == 6 and ip not in _UNICAST else None


def is_address(host: str) -> bool:
    """Whether a URL's host is an IP address in its usual form."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_number(host: str) -> bool:
    """Whether a resolver may take a host for a number: 2130706433, 0x7f.1, 0177.0.0.1, 127.1."""
    return _NUMBER.match(host) is not None


def is_name(host: str) -> bool:
    """Whether a host, in lower case, can be a name."""
    return _NAME.match(host) is not None


def is_loopback(host: str | None) -> bool:
    """Whether a URL's host is this machine, by name or by number."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def local_exception(local_outputs: str | None, aws_endpoint_url: str | None) -> tuple[str, int] | None:
    """The one host and port from which outputs may be fetched over plain http: `local_outputs`, as "127.0.0.1:8080".

    None, and so dead, unless both it and the AWS endpoint are on this machine: only the local stack is such a place.
    """
    try:
        endpoint, place = urlsplit(aws_endpoint_url or ""), urlsplit(f"//{local_outputs or ''}")
        if is_loopback(endpoint.hostname) and is_loopback(place.hostname) and place.hostname and place.port:
            return place.hostname, place.port
    except ValueError:
        pass
    return None
