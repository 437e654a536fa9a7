"""Where a webhook may send: public addresses, and the networks that the operator allows.

A webhook's URL comes from a user of the API, and the worker stands in the operator's network. A URL that
leads to an address of that network would let the user reach services that trust the network (server-side
request forgery). A name can lead to another address at each look-up, so the worker connects to the address
that was checked.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from sealward.commands.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Sequence

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address
    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PORTS: Final = {"https": 443, "http": 80}
MOST: Final = 2048
"""Characters of a URL, at most."""
CARRIERS: Final = tuple(
    ipaddress.ip_network(one) for one in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)
"""IPv6 networks whose addresses carry an IPv4 address, which may be private: NAT64, 6to4, Teredo."""


class UrlRefused(Rejected):
    """The webhook's URL must be https://HOST/…, without a user in it."""

    code = "webhook.url-refused"


class AddressRefused(Rejected):
    """The webhook's host has no public address. SEALWARD_WEBHOOK_NETWORKS allows other networks."""

    code = "webhook.address-refused"


@dataclass(frozen=True, slots=True)
class Destination:
    """The parts of a webhook's URL."""

    scheme: str
    host: str
    port: int
    target: str
    """Path and query."""


def destination(url: str) -> Destination:
    """Return the parts of a URL. Raises UrlRefused."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as wrong:
        raise UrlRefused from wrong
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= MOST
    if (
        not plain
        or parts.scheme not in PORTS
        or not parts.hostname
        or parts.username is not None
        or parts.fragment
    ):
        raise UrlRefused
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(parts.scheme, parts.hostname, port or PORTS[parts.scheme], target)


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks that are allowed beside public addresses."""

    allowed: Sequence[Network] = ()

    def addresses(self, to: Destination) -> list[str]:
        """Return the addresses of a destination that may be connected to.

        Plain HTTP is allowed to the operator's networks alone. Raises AddressRefused, and OSError when the
        name cannot be resolved.
        """
        found = socket.getaddrinfo(to.host, to.port, type=socket.SOCK_STREAM)
        addresses = [str(one[4][0]) for one in found]
        may = [one for one in addresses if self._may(_address(one), to.scheme)]
        if not may:
            raise AddressRefused
        return may

    def _may(self, address: Address, scheme: str) -> bool:
        if any(address.version == one.version and address in one for one in self.allowed):
            return True
        return scheme == "https" and _is_public(address)


def _address(text: str) -> Address:
    found = ipaddress.ip_address(text.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast:
        return False
    return not any(address.version == one.version and address in one for one in CARRIERS)
