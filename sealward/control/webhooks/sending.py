"""One request of a webhook: connected to an address that was checked, without redirects."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealward.control.webhooks.destination import Destination, Networks

PATIENCE: Final = 15.0
"""Seconds for which the receiver may be silent; the specification recommends 15 to 30."""
GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended: the receiver's HTTP status, or an error when it gave none."""

    status: int | None
    error: str | None
    milliseconds: int
    retry_after: float | None = None
    """Seconds that the receiver asks to wait."""

    @property
    def is_delivered(self) -> bool:
        """Say whether the receiver has taken the event. A redirect is a failure."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - the statuses of success

    @property
    def is_gone(self) -> bool:
        """Say whether the receiver wants no more events."""
        return self.status == GONE


def send(to: Destination, networks: Networks, headers: Mapping[str, str], body: bytes) -> Outcome:
    """Post a body. Raises AddressRefused; any failure of the network is an outcome."""
    began = time.monotonic()
    try:
        address = networks.addresses(to)[0]
        connection = _connected(to, address)
        try:
            connection.request("POST", to.target, body, dict(headers))
            answer = connection.getresponse()
            return Outcome(answer.status, None, _since(began), _seconds(answer.getheader("Retry-After")))
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as failed:
        return Outcome(None, str(failed) or type(failed).__name__, _since(began))


def _connected(to: Destination, address: str) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(to.host, to.port, timeout=PATIENCE)
    plain = socket.create_connection((address, to.port), timeout=PATIENCE)
    try:
        connection.sock = plain if to.scheme == "http" else _tls().wrap_socket(plain, server_hostname=to.host)
    except OSError:
        plain.close()
        raise
    return connection


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None  # noqa: PLR2004 - more digits are no time to wait
