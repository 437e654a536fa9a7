"""The HTTP server: waitress, in the process, with a bounded number of threads."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Final

import waitress
from waitress import wasyncore

if TYPE_CHECKING:
    import falcon

THREADS: Final = 16
MAX_REQUEST: Final = 16 * 1024 * 1024
"""Bytes of a body beyond which waitress itself refuses; the application refuses far earlier."""


class Listener:
    """Answers on one address until it is stopped. Raises OSError when the address cannot be had."""

    def __init__(self, app: falcon.App[Any, Any], host: str, port: int) -> None:
        self._sockets: dict[int, Any] = {}
        self._server = waitress.create_server(
            app,
            map=self._sockets,
            host=host,
            port=port,
            threads=THREADS,
            ident="sealward",
            max_request_body_size=MAX_REQUEST,
            clear_untrusted_proxy_headers=True,
            channel_request_lookahead=1,  # so that streams learn when their client has gone
        )
        self._thread = threading.Thread(target=self._server.run, name="http", daemon=True)

    @property
    def url(self) -> str:
        """Return where it listens; the port is the real one when 0 was asked for."""
        host, port = self._server.effective_host, self._server.effective_port
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what is at hand, then end. Only the server's own thread may close its sockets."""
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=5)
        with contextlib.suppress(OSError):  # the server's thread closed the trigger before it was let go
            self._server.trigger.pull_trigger(lambda: wasyncore.close_all(self._sockets, ignore_all=True))
        if self._thread.is_alive():
            self._thread.join(5)
