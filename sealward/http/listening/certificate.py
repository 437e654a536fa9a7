"""The API's own certificate, for TLS without a proxy. A renewed certificate is used without a restart."""

from __future__ import annotations

import logging
import ssl
import time
from typing import TYPE_CHECKING, Final

from sealward.settings import SettingRefused

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

CHECK_EVERY: Final = 5.0
"""Seconds after which, at the next connection, the files are checked for changes."""


class Certificate:
    """A certificate with its chain and its private key, in PEM files.

    Raises SettingRefused when the files cannot be used.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = (certificate, key)
        self._stamps = self._read_stamps()
        self._checked_at = time.monotonic()
        try:
            self._context = self._load()
        except (OSError, ValueError) as refused:  # an SSLError is an OSError
            message = f"SEALWARD_TLS_CERTIFICATE={certificate}, SEALWARD_TLS_KEY={key}: {refused}"
            raise SettingRefused(message) from refused

    def context(self) -> ssl.SSLContext:
        """Return the TLS context of new connections.

        Where the renewed files cannot be used, it is the context of the old certificate.
        """
        if time.monotonic() - self._checked_at > CHECK_EVERY:
            self._checked_at = time.monotonic()
            self._renew()
        return self._context

    def _renew(self) -> None:
        stamps = self._read_stamps()
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            self._context = self._load()
        except (OSError, ValueError) as refused:
            found = f"{self._files[0]}: {refused}"
            log.error("the new certificate cannot be used, the old certificate stays: %s", found)  # noqa: TRY400 - no bug
        else:
            log.info("the certificate %s was renewed", self._files[0])

    def _read_stamps(self) -> tuple[tuple[int, int], ...]:
        """Return a value that changes when a file is written or replaced.

        A missing file adds nothing to it.
        """
        stamps = []
        for path in self._files:
            try:
                found = path.stat()
            except OSError:
                continue
            stamps.append((found.st_ino, found.st_mtime_ns))
        return tuple(stamps)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols(["http/1.1"])
        certificate, key = self._files
        context.load_cert_chain(certificate, key, _no_passphrase)
        return context


def _no_passphrase() -> str:
    """Return an empty passphrase, so that OpenSSL does not ask at a terminal."""
    raise ValueError("the key has a passphrase; a server cannot be asked for it")
