"""Connections of the HTTP server that end and begin within one round of poll(2)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import falcon
import pytest
import wire
from waitress import wasyncore

from sealward.http.listening import connection
from sealward.http.listening.listener import Listener


class Live:
    """Answers 200."""

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        """Answer."""
        response.text = "alive"


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Return a listener whose thread does not run: the test makes each round of poll itself."""
    app = falcon.App()
    app.add_route("/", Live())
    made = Listener(app, "127.0.0.1", 0)
    yield made
    made._server.lanes.shutdown(timeout=5)
    wasyncore.close_all(made._sockets, ignore_all=True)


def a_round(of: Listener) -> None:
    """Let the server look once at all its connections."""
    wasyncore.poll2(0.2, of._sockets)


def descriptors(of: Listener) -> set[int]:
    """Return the descriptors of the connections that are open."""
    return set(of._server.active_channels)


def test_a_connection_that_gets_the_number_of_a_closed_connection_is_answered(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel gives the lowest free number: that of the connection that the same round closed."""
    with wire.connect(listener.url) as late:
        a_round(listener)
        before = descriptors(listener)
        monkeypatch.setattr(connection, "ARRIVAL", -1.0)
        listener._server.next_channel_cleanup = 0
        with contextlib.closing(wire.connect(listener.url)) as new:
            new.sendall(wire.request("/"))
            a_round(listener)
            monkeypatch.undo()
            assert descriptors(listener) == before, "the new connection is closed, or has another number"
            assert wire.is_closed(late)
            for _ in range(3):
                a_round(listener)
            assert wire.answer(new).body == b"alive"
