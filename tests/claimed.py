"""A node with three signed servers, and a liar beside it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from door import SERVERS, Door
from reporter import Reporter

from sealward.events.store import store as stores
from sealward.protocol.desired import Assignment

SERVER: Final = SERVERS[0]
SECOND: Final = timedelta(seconds=1)


class Fleet(Door):
    """A home with three signed servers that are as they were signed, and a liar beside it."""

    def __init__(self) -> None:
        super().__init__(stores.in_memory())
        self.home, self.liar, self.third = (Reporter(f"kvm{number}", number) for number in (1, 2, 3))
        self.say(self.home.registration(), self.home.inventory(*SERVERS, running=SERVERS))
        self.say(self.liar.registration(), self.third.registration())
        for number, one in enumerate(SERVERS, 1):
            self.handler.handle(self.home.order(one))
            self.measure(self.home, one, number)
            self.signs[one] = lambda number=number, one=one: Assignment(  # type: ignore[misc]  # a default
                number, one, 1, 1, "true", (), "{}"
            )

    def say(self, *bodies: bytes) -> None:
        """Have reports taken, none of which is refused."""
        self.now += SECOND
        assert self.take(*bodies) == [None] * len(bodies)

    def measure(
        self,
        node: Reporter,
        server_id: str = SERVER,
        sign_id: int = 1,
        **more: Any,  # noqa: ANN401 - whatever a report says
    ) -> list[str | None]:
        """Have a node say what it measured just now."""
        self.now += SECOND
        return self.take(node.measured(server_id, sign_id, self.now, **more))

    def claim(self, node: Reporter | None = None, *servers: str) -> None:
        """Have a node say that it runs servers, and their home deny it."""
        servers = servers or (SERVER,)
        self.say((node or self.liar).inventory(*servers, running=servers))
        for one in self.inquiries("kvm1"):
            self.say(self.home.leaving(one, self.now, leaving=False))

    def kinds(self, *wanted: type) -> list[type]:
        """Return which events of those kinds the log has."""
        return [type(one) for one in self.log() if isinstance(one, wanted)]
