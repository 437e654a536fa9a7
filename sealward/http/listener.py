"""The HTTP server: waitress, in the process, with a bounded number of threads."""

from __future__ import annotations

import contextlib
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
import waitress
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask

from sealward.http.errors import Error, ErrorAnswer
from sealward.http.request_id import HEADER, new_request_id

if TYPE_CHECKING:
    import falcon

THREADS: Final = 16
MAX_REQUEST: Final = 16 * 1024 * 1024
"""Bytes of a body beyond which waitress itself refuses; the application refuses far earlier."""


REASONS: Final = {
    413: "http.too-large",
    431: "http.too-large",
    500: "internal",
    501: "http.not-implemented",
}
"""Stable codes of what waitress itself refuses, before there is a request; everything else is malformed."""


class Refused(ErrorTask):  # type: ignore[misc]  # waitress has no types
    """Answers what is no request in the form that all errors have."""

    def execute(self) -> None:
        """Answer, and close the connection."""
        refused, request_id = self.request.error, new_request_id()
        reason = REASONS.get(refused.code, "http.malformed")
        error = Error(refused.code, HTTPStatus(refused.code).phrase, str(refused.body), reason, request_id)
        body = msgspec.json.encode(ErrorAnswer(error))
        self.status = f"{refused.code} {refused.reason}"
        self.response_headers += [("Content-Type", "application/json"), (HEADER, request_id)]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class Channel(HTTPChannel):  # type: ignore[misc]  # as above
    """A connection."""

    error_task_class = Refused


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
        self._server.channel_class = Channel
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
