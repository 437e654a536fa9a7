"""Messages of syslog: RFC 5424 over TCP, with TLS (RFC 5425) or without it (RFC 6587).

Each message stands behind the count of its bytes. A receiver of syslog acknowledges nothing: bytes that lay
in a socket's buffer when the connection broke are lost without an error. Therefore `Connection.send` asks
before each message whether the receiver has closed the connection.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from sealward.formats import kinds

if TYPE_CHECKING:
    from sealward.formats.notice import Notice

AUDIT: Final = 13
"""The facility "log audit" (RFC 5424, section 6.2.1)."""
TLS: Final = "syslog+tls"
TCP: Final = "syslog+tcp"
PORTS: Final = {TLS: 6514, TCP: 601}
PATIENCE: Final = 30.0
"""Seconds for which a receiver may take nothing."""
HOSTNAME_MOST: Final = 255


def message(notice: Notice, body: str, hostname: str) -> bytes:
    """Return a message of syslog with a body in UTF-8. `hostname` is the host that sends it."""
    priority = AUDIT * 8 + kinds.severity(notice).syslog
    time = notice.time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    host = "".join(one for one in hostname if "!" <= one <= "~")[:HOSTNAME_MOST] or "-"
    head = f"<{priority}>1 {time} {host} sealward {os.getpid()} {notice.topic[:32]} - "
    return head.encode("ascii", "replace") + b"\xef\xbb\xbf" + body.encode("utf-8", "replace")


def framed(text: bytes) -> bytes:
    """Return a message behind the count of its bytes (RFC 6587, section 3.4.1)."""
    return f"{len(text)} ".encode() + text


@dataclass(frozen=True, slots=True)
class Receiver:
    """The address of a receiver of syslog, and the certificates for TLS."""

    host: str
    port: int
    tls: ssl.SSLContext | None

    def __str__(self) -> str:
        """Return the address as a URL."""
        return f"{TCP if self.tls is None else TLS}://{self.host}:{self.port}"


def receiver(url: str, ca_file: str | None, cert_file: str | None, key_file: str | None) -> Receiver:
    """Return the receiver at a URL, as `syslog+tls://HOST:PORT`.

    Raises ValueError for any other URL, OSError and ssl.SSLError where a certificate cannot be read.
    """
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(f"a receiver is {TLS}://HOST:PORT or {TCP}://HOST:PORT")
    context = None
    if parts.scheme == TLS:
        context = ssl.create_default_context(cafile=ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if cert_file:
            context.load_cert_chain(cert_file, key_file)
    return Receiver(parts.hostname, parts.port or PORTS[parts.scheme], context)


class Connection:
    """A connection to a receiver."""

    def __init__(self, to: Receiver) -> None:
        """Connect. Raises OSError; ssl.SSLError is one."""
        plain = socket.create_connection((to.host, to.port), timeout=PATIENCE)
        try:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._socket = plain if to.tls is None else to.tls.wrap_socket(plain, server_hostname=to.host)
        except OSError:
            plain.close()
            raise

    def send(self, text: bytes) -> None:
        """Send a message. Raises OSError, also where the receiver has closed the connection."""
        if self._is_closed():
            raise ConnectionResetError("the receiver closed the connection")
        self._socket.sendall(framed(text))

    def _is_closed(self) -> bool:
        """Say whether the receiver has closed the connection: a receiver of syslog sends nothing else."""
        readable, _, _ = select.select([self._socket], [], [], 0)
        if not readable:
            return False
        self._socket.settimeout(0.0)
        try:
            return not self._socket.recv(4096)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        finally:
            self._socket.settimeout(PATIENCE)

    def close(self) -> None:
        """Close the connection, the orderly way of TLS where that is possible."""
        try:
            if isinstance(self._socket, ssl.SSLSocket):
                self._socket.settimeout(1.0)
                self._socket.unwrap()
        except OSError:
            pass  # the receiver is gone: there is nobody to take leave of
        finally:
            self._socket.close()
