"""A receiver of syslog for tests, over TCP or TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stack.certificates import Certificates


class Collector:
    """A receiver of syslog: counts bytes as RFC 6587 says, and keeps the messages."""

    def __init__(self, certificates: Certificates | None, port: int = 0) -> None:
        self.messages: list[str] = []
        self._context = None
        if certificates is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificates.certificate, certificates.key)
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port = self._listening.getsockname()[1]
        self._taken: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                taken, _ = self._listening.accept()
                taken = self._context.wrap_socket(taken, server_side=True) if self._context else taken
            except ssl.SSLError:
                continue
            except OSError:
                return
            self._taken.append(taken)
            threading.Thread(target=self._read, args=(taken.makefile("rb"),), daemon=True).start()

    def _read(self, file: socket.SocketIO) -> None:
        try:
            while count := b"".join(iter(lambda: file.read(1).strip() or b"", b"")):
                self.messages.append(file.read(int(count)).decode())
        except (OSError, ValueError):
            return

    def close(self) -> None:
        """End, and every connection with it."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for one in self._taken:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._thread.join(10)
