"""The exceptions of calls, beside keystoneauth1's own for connections and tokens."""

from __future__ import annotations


class RequestRefused(Exception):
    """The API refused a request. `reason` is a stable code, as `sign.not-found`."""

    def __init__(self, status: int, reason: str, message: str, request_id: str | None) -> None:
        super().__init__(status, reason, message, request_id)
        self.status = status
        self.reason = reason
        self.message = message
        self.request_id = request_id

    def __str__(self) -> str:
        request = f", request {self.request_id}" if self.request_id else ""
        return f"{self.message} ({self.reason}, HTTP {self.status}{request})"


class StreamBroken(Exception):
    """The server ended the stream of events. Follow again from the last event's position."""
