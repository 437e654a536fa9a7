"""A server leaves its home and libvirt there knows of no migration: what another node has said of it decides.

It is what may be done, and the page says so: nothing on the nodes tells where a cold migration goes to.
"""

from __future__ import annotations

from door import NOW, SERVERS, Door
from reporter import Reporter

from sealward.events import store as stores
from sealward.events.sign import SignMoved

SERVER = SERVERS[0]


def test_the_sign_goes_to_the_one_node_that_has_said_that_it_has_the_server() -> None:
    """Also where that node has said so all the time; it is an event, which names both nodes."""
    door = Door(stores.in_memory())
    home, other = Reporter("kvm1", 1), Reporter("kvm2", 2)
    door.take(home.registration(), other.registration(), home.inventory(SERVER, running=[SERVER]))
    door.handler.handle(home.order(SERVER))
    door.take(home.measured(SERVER, 1, NOW), other.inventory(SERVER, running=()))
    assert door.sign(SERVER).node_id == 1
    door.take(home.inventory())

    assert door.sign(SERVER).node_id == 2
    (moved,) = [one for one in door.log() if isinstance(one, SignMoved)]
    assert (moved.from_hostname, moved.hostname, moved.grounds) == ("kvm1", "kvm2", "left")


def test_a_home_that_has_it_back_claims_it() -> None:
    """Nothing is true while both have it."""
    door = Door(stores.in_memory())
    home, other = Reporter("kvm1", 1), Reporter("kvm2", 2)
    door.take(home.registration(), other.registration(), home.inventory(SERVER, running=[SERVER]))
    door.handler.handle(home.order(SERVER))
    door.take(home.measured(SERVER, 1, NOW), other.inventory(SERVER, running=()))
    door.take(home.inventory())
    door.take(home.inventory(SERVER, running=[SERVER]))
    door.take(other.measured(SERVER, 1, NOW))

    assert (door.verdict(SERVER).is_valid, door.verdict(SERVER).reasons) == ("unknown", ("claimed-twice",))
