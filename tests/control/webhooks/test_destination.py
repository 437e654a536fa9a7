"""A webhook reaches public addresses, and what the operator allows; by no name and no form another one."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from sealward.control.webhooks.destination import AddressRefused, Networks, UrlRefused, destination

PRIVATE = (
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",  # metadata of clouds
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 - an address to refuse
    "224.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[::]",
    "[fe80::1]",
    "[fd00::1]",
    "[ff02::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "2130706433",
    "0x7f000001",
    "017700000001",
    "127.1",
    "localhost",
)


@pytest.mark.parametrize("host", PRIVATE)
def test_a_private_address_is_refused_in_every_form(host: str) -> None:
    """Also where a name or another notation leads to it."""
    with pytest.raises((AddressRefused, OSError)):
        Networks().addresses(destination(f"https://{host}/hook"))


def test_a_public_address_is_taken() -> None:
    """As it stands."""
    assert Networks().addresses(destination("https://8.8.8.8/hook")) == ["8.8.8.8"]
    assert Networks().addresses(destination("https://[2606:4700::1111]:8443/")) == ["2606:4700::1111"]


def test_the_operator_allows_networks_and_plain_http_to_them() -> None:
    """And to them alone."""
    networks = Networks((ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("::1/128")))

    assert networks.addresses(destination("http://10.1.2.3:8080/x")) == ["10.1.2.3"]
    assert networks.addresses(destination("http://[::1]/")) == ["::1"]
    with pytest.raises(AddressRefused):
        networks.addresses(destination("http://8.8.8.8/"))
    with pytest.raises(AddressRefused):
        networks.addresses(destination("https://10.2.0.1/"))


def test_a_name_with_a_private_and_a_public_address_leads_to_the_public_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The address that was checked is the address that is connected to."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 443)) for one in ("10.0.0.1", "8.8.8.8")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    assert Networks().addresses(destination("https://both.example/")) == ["8.8.8.8"]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://user:secret@a.example/",
        "https://user@a.example/",
        "https://a.example/#part",
        "https://a.example:99999/",
        "https://a.example/ x",
        "https://a.example/\r\nX-Header: 1",
        "https://ä.example/",
        "gopher://a.example",
        "//a.example/",
        "https://[::1/",
        f"https://a.example/{'x' * 2048}",
    ],
)
def test_another_url_is_refused(url: str) -> None:
    """Before anything is asked of the network."""
    with pytest.raises(UrlRefused):
        destination(url)
