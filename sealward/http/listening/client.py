"""The client address of a request: that of the connected peer, or an address that a trusted proxy names.

A proxy appends the address that it was called from to the header of the client (X-Forwarded-For, or
Forwarded, RFC 7239). So the header is read from its end, and only as far as trusted proxies wrote it: the
first address that is not a trusted proxy's is the client's. The client may have invented the addresses before
it.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealward.settings import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

SITE: Final = 64
"""Bits of an IPv6 address that name a network: a client can use all addresses of its network (RFC 6177)."""
HOPS: Final = 16
"""Proxies that a request can have passed, at most."""
MAX_CHAIN: Final = 2048
"""Characters at the end of a header that are read."""
PORT: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?")
"""The forms in which proxies write an address: `192.0.2.7:4711`, `[2001:db8::1]:4711`, `[2001:db8::1]`."""
LAST: Final = re.compile(r'(?:(.*),)?([^,"]*(?:"[^"]*"[^,"]*)*)', re.DOTALL)
"""Splits a Forwarded header at its last comma outside quotes: the elements before it, and the last
element."""
FOR: Final = re.compile(r'(?:^|;)[ \t]*for=("?)([^";,]*)\1[ \t]*(?:;|$)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Client:
    """The client of a request: the `address` for the log, and the `key` under which limits count the client.

    The key of an IPv6 address is its /64 network. An IPv4 address in IPv6 form (`::ffff:192.0.2.7`) counts as
    the IPv4 address.
    """

    address: str
    key: str


UNKNOWN: Final = Client("unknown", "unknown")


@functools.lru_cache(maxsize=4096)
def client_at(address: str) -> Client:
    """Return the client at an address in the kernel's form, without its zone (`%eth0`)."""
    found = _read(address.partition("%")[0])
    return UNKNOWN if found is None else _client(found)


class Proxies:
    """The trusted proxies, and the header of them that is read.

    Only a single header is read: a proxy that writes X-Forwarded-For passes on a Forwarded header unchanged,
    and a client can set that header to any value.
    """

    def __init__(self, networks: Sequence[Network], header: str) -> None:
        self._networks = tuple(networks)
        self._is_forwarded = header == "forwarded"
        self.header = header.upper().replace("-", "_")
        """The header's name in WSGI, without HTTP_."""

    def trusts(self, address: str) -> bool:
        """Return whether the proxy at that address may name its client."""
        if not self._networks:
            return False
        found = _read(address.partition("%")[0])
        return found is not None and self._is_proxy(found)

    def client_behind(self, peer: str, chain: str) -> Client:
        """Return the client of a request from the trusted proxy at `peer`, given the proxy's header.

        Where the header names no address, the client is the last proxy that is known.
        """
        client, rest = client_at(peer), chain[-MAX_CHAIN:]
        for _ in range(HOPS):
            if not rest.strip():
                break
            rest, found = self._last(rest)
            if found is None:
                break
            client = _client(found)
            if not self._is_proxy(found):
                break
        return client

    def _is_proxy(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def _last(self, chain: str) -> tuple[str, Address | None]:
        """Return the header without its last element, and the address that this element names."""
        if not self._is_forwarded:
            before, _, element = chain.rpartition(",")
            return before, _read(element.strip())
        parts = LAST.fullmatch(chain)
        if parts is None:
            return "", None
        named = FOR.search(parts[2])
        return parts[1] or "", None if named is None else _read(named[2].strip())


def _read(text: str) -> Address | None:
    """Return the address in a text, with or without a port; None where there is none."""
    with_port = PORT.fullmatch(text)
    if with_port is not None:
        text = with_port[1] or with_port[2]
    try:
        found = ipaddress.ip_address(text) if "%" not in text else None
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _client(address: Address) -> Client:
    if isinstance(address, ipaddress.IPv4Address):
        return Client(str(address), str(address))
    return Client(str(address), str(ipaddress.ip_network((address, SITE), strict=False)))
