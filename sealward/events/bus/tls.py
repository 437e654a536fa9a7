"""TLS to the broker: the trusted authorities, and the client's own certificate."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from sealward.settings import Settings


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files. Without `ca` the system's authorities are trusted; the server's name is always checked."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> Tls:
        """Return the files that the settings name."""
        return cls(settings.broker_ca, settings.broker_certificate, settings.broker_key)

    def context(self) -> ssl.SSLContext:
        """Return a context of Python's ssl. Raises OSError for a file that cannot be read or used."""
        made = ssl.create_default_context(cafile=self.ca)
        if self.certificate is not None:
            made.load_cert_chain(self.certificate, self.key)
        return made

    def options(self) -> dict[str, Any]:
        """Return the context's settings as kombu's option `ssl`; amqp (5.3) adds the host's name."""
        return {
            "cert_reqs": ssl.CERT_REQUIRED,
            "server_hostname": None,
            "ca_certs": self.ca,
            "certfile": self.certificate,
            "keyfile": self.key,
        }
