"""Where `sealward subscribe` passes events on to: standard output, or a receiver of syslog."""

from __future__ import annotations

import socket
import sys
import time
from typing import TYPE_CHECKING, Final, Protocol

from sealward.formats import syslog

if TYPE_CHECKING:
    from sealward.formats.notice import Notice

PAUSE: Final = 2.0
"""Seconds until a receiver that could not be reached is tried again."""


class Outlet(Protocol):
    """Takes events, one after the other."""

    def take(self, notice: Notice, line: str) -> None:
        """Pass an event on, with its line in the format that was asked for; return when it is passed on."""

    def close(self) -> None:
        """End."""


class Printed:
    """Standard output, one line an event."""

    def take(self, notice: Notice, line: str) -> None:  # noqa: ARG002 - a line holds everything
        """Print the line."""
        print(line, flush=True)

    def close(self) -> None:
        """Do nothing: standard output is the process's."""


class Sent:
    """A receiver of syslog. An event waits until the receiver takes it, however long the receiver is away."""

    def __init__(self, receiver: syslog.Receiver) -> None:
        self._receiver = receiver
        self._hostname = socket.gethostname()
        self._connection: syslog.Connection | None = None
        self._is_away = False

    def take(self, notice: Notice, line: str) -> None:
        """Send the event."""
        text = syslog.message(notice, line, self._hostname)
        while True:
            try:
                self._connected().send(text)
            except OSError as why:
                self._lose(str(why) or type(why).__name__)
                time.sleep(PAUSE)
            else:
                return

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> syslog.Connection:
        if self._connection is None:
            self._connection = syslog.Connection(self._receiver)
            if self._is_away:
                print(f"sealward: {self._receiver} is back", file=sys.stderr)
            self._is_away = False
        return self._connection

    def _lose(self, why: str) -> None:
        self.close()
        if not self._is_away:
            print(f"sealward: {self._receiver}: {why}; tried every {PAUSE:.0f} s", file=sys.stderr)
        self._is_away = True
