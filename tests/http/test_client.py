"""The address that a request comes from, with any forged headers."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealward.http.listening.client import Proxies, client_at

TRUSTED = [ipaddress.ip_network(one) for one in ("192.0.2.0/24", "2001:db8:1::/48")]
PROXY, CLIENT = "192.0.2.1", "203.0.113.9"
APPENDED = Proxies(TRUSTED, "x-forwarded-for")
FORWARDED = Proxies(TRUSTED, "forwarded")

CHAINS = {
    "": PROXY,
    "203.0.113.9": CLIENT,
    " 203.0.113.9 ": CLIENT,
    "10.0.0.1, 203.0.113.9": CLIENT,
    "127.0.0.1, 192.0.2.1, 203.0.113.9": CLIENT,
    "203.0.113.9, 192.0.2.7": CLIENT,
    "10.0.0.1, 203.0.113.9, 192.0.2.7, 192.0.2.8": CLIENT,
    "203.0.113.9:4711": CLIENT,
    "::ffff:203.0.113.9": CLIENT,
    "[::ffff:203.0.113.9]:4711": CLIENT,
    "2001:db8:2::9": "2001:db8:2::9",
    "[2001:db8:2::9]:4711": "2001:db8:2::9",
    "10.0.0.1, 2001:db8:2::9, 2001:db8:1::7": "2001:db8:2::9",
    "192.0.2.7, 192.0.2.8": "192.0.2.7",
    "unknown": PROXY,
    "203.0.113.9, unknown": PROXY,
    "203.0.113.9, ": PROXY,
    "203.0.113.9, unknown, 192.0.2.7": "192.0.2.7",
    "fe80::1%eth0\x1b[31m": PROXY,
    "203.0.113.9\x00": PROXY,
    "0x7f.1": PROXY,
    "2130706433": PROXY,
    "203.0.113.009": PROXY,
    "1" * 5000: PROXY,
    "1.1.1.1, " * 5000 + "203.0.113.9": CLIENT,
}
ELEMENTS = {
    "": PROXY,
    "for=203.0.113.9": CLIENT,
    "For=203.0.113.9;proto=https;by=192.0.2.1": CLIENT,
    'proto=https;for="203.0.113.9:4711"': CLIENT,
    'for="[2001:db8:2::9]:4711"': "2001:db8:2::9",
    "for=10.0.0.1, for=203.0.113.9": CLIENT,
    'for="[2001:db8:2::9]", for=192.0.2.7': "2001:db8:2::9",
    'for="evil, for=203.0.113.9': CLIENT,
    'for="a,b", for=203.0.113.9': CLIENT,
    'x="1", y="2, for=203.0.113.9': CLIENT,
    'for="evil, for="[2001:db8:2::9]"': "2001:db8:2::9",
    "for=_hidden": PROXY,
    "for=unknown": PROXY,
    "by=203.0.113.9": PROXY,
    "203.0.113.9": PROXY,
    'for="203.0.113.9': PROXY,
}


@pytest.mark.parametrize(("chain", "address"), CHAINS.items(), ids=range(len(CHAINS)))
def test_the_last_address_that_is_no_proxy_of_ours(chain: str, address: str) -> None:
    """What stands before it a client has written itself; what is no address leaves the last proxy."""
    assert APPENDED.client_behind(PROXY, chain).address == address


@pytest.mark.parametrize(("element", "address"), ELEMENTS.items(), ids=range(len(ELEMENTS)))
def test_the_same_in_a_forwarded_header(element: str, address: str) -> None:
    """Quotes that a client leaves open do not swallow what the proxy wrote."""
    assert FORWARDED.client_behind(PROXY, element).address == address


@given(st.text(max_size=80))
def test_whatever_a_client_sends_stands_before_what_the_proxy_writes(sent: str) -> None:
    """It changes nothing."""
    assert APPENDED.client_behind(PROXY, f"{sent}, {CLIENT}").address == CLIENT
    assert FORWARDED.client_behind(PROXY, f"{sent}, for={CLIENT}").address == CLIENT
    assert FORWARDED.client_behind(PROXY, f'{sent}, for="[2001:db8:2::9]:1"').address == "2001:db8:2::9"


@given(st.text(max_size=80), st.sampled_from([APPENDED, FORWARDED]))
def test_whatever_stands_there_an_address_comes_out(text: str, proxies: Proxies) -> None:
    """One that can be printed."""
    ipaddress.ip_address(proxies.client_behind(PROXY, text).address)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("::ffff:203.0.113.9", CLIENT, True),
        ("2001:db8:2::1", "2001:db8:2:0:ffff::2", True),
        ("2001:db8:2::1", "2001:db8:2:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("203.0.113.8", CLIENT, False),
    ],
)
def test_what_counts_as_one_client(one: str, other: str, is_same: bool) -> None:  # noqa: FBT001 - a parameter
    """An IPv4 address however it is written; an IPv6 network of 64 bits."""
    assert (client_at(one).key == client_at(other).key) == is_same


def test_who_is_trusted() -> None:
    """Only who is named: nobody by default, a proxy in IPv6's clothes too."""
    assert APPENDED.trusts("::ffff:192.0.2.1")
    assert not APPENDED.trusts("203.0.113.9")
    assert not APPENDED.trusts("unix")
    assert not Proxies([], "x-forwarded-for").trusts(PROXY)
