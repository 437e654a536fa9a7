"""The HTTP server: waitress, in the process, with a bounded number of threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import waitress

if TYPE_CHECKING:
    import falcon

THREADS: Final = 16
MAX_REQUEST: Final = 16 * 1024 * 1024
"""Bytes of a body beyond which waitress itself refuses; the application refuses far earlier."""


class Listener:
    """Answers on one address until it is stopped. Raises OSError when the address cannot be had."""

    def __init__(self, app: falcon.App[Any, Any], listen: str) -> None:
        self._server = waitress.create_server(
            app,
            listen=listen,
            threads=THREADS,
            ident="sealward",
            max_request_body_size=MAX_REQUEST,
            clear_untrusted_proxy_headers=True,
        )
        self._thread = threading.Thread(target=self._server.run, name="http", daemon=True)

    @property
    def url(self) -> str:
        """Return where it listens; the port is the real one when 0 was asked for."""
        host, port = self._server.effective_host, self._server.effective_port
        return f"http://{host}:{port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what is at hand, then end."""
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=5)
        self._server.close()
