"""A server leaves its home and libvirt there knows of no migration: what another node has said of it decides.

Nothing on the nodes tells where a cold migration goes to, so the sign follows; a liar that says that it has
the server gets the sign, also where the home has let go for a moment only. It gets nothing else by that.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta

import pytest
from amounts import examples
from door import NOW, SERVERS, Door
from hypothesis import given, settings
from hypothesis import strategies as st
from reporter import ORDERED, Reporter

from sealward.commands import messages as ask
from sealward.commands.context import RequestContext
from sealward.commands.errors import PlaceUnconfirmed
from sealward.events.is_valid import IsValid
from sealward.events.sign import SignMoved, SignSealed
from sealward.events.store import store as stores

SERVER = SERVERS[0]
SECOND = timedelta(seconds=1)
HELD = ("measurement-differs", "false-before-move")


class Fleet(Door):
    """A home with a signed server, and a liar that says all the time that it has it, switched off."""

    def __init__(self) -> None:
        super().__init__(stores.in_memory())
        self.home, self.liar = Reporter("kvm1", 1), Reporter("kvm2", 2)
        self.say(self.home.registration(), self.liar.registration(), self.has(self.home))
        self.handler.handle(self.home.order(SERVER))
        self.measure(self.home)
        self.say(self.liar.inventory(SERVER, running=()))

    def say(self, *bodies: bytes) -> None:
        """Have reports taken."""
        self.now += SECOND
        self.take(*bodies)

    def has(self, node: Reporter) -> bytes:
        """Return a node's inventory that says that it runs the server."""
        return node.inventory(SERVER, running=[SERVER])

    def measure(
        self, node: Reporter, disk: str = "disk", *, generation: int = 1, task_id: str | None = ORDERED
    ) -> None:
        """Have a node say what it measured just now."""
        self.now += SECOND
        self.take(node.measured(SERVER, 1, self.now, disk=disk, generation=generation, task_id=task_id))

    def let_go(self) -> None:
        """Have the home say that it no longer has the server."""
        self.say(self.home.inventory())

    def update(self, node_id: int | None = None) -> None:
        """Have an administrator sign anew."""
        command = ask.UpdateSign(
            context=RequestContext(actor="user:admin", task_id="t-2"), server_id=SERVER, node_id=node_id
        )
        self.handler.handle(command)

    def seals(self) -> int:
        """Return how often the server was sealed."""
        return sum(isinstance(one, SignSealed) for one in self.log())


@pytest.fixture
def fleet() -> Fleet:
    """Return the fleet; the server is true."""
    made = Fleet()
    assert (made.verdict(SERVER).is_valid, made.sign(SERVER).node_id) == (IsValid.TRUE, 1)
    return made


def test_the_sign_goes_to_the_one_node_that_has_said_that_it_has_the_server(fleet: Fleet) -> None:
    """Also where that node has said so all the time; it is an event, which names both nodes."""
    fleet.let_go()

    assert fleet.sign(SERVER).node_id == 2
    (moved,) = [one for one in fleet.log() if isinstance(one, SignMoved)]
    assert (moved.from_hostname, moved.hostname, moved.grounds) == ("kvm1", "kvm2", "left")


def test_a_home_that_has_it_back_claims_it(fleet: Fleet) -> None:
    """Nothing is true while both have it."""
    fleet.let_go()
    fleet.say(fleet.has(fleet.home))
    fleet.measure(fleet.liar)

    verdict = fleet.verdict(SERVER)
    assert (verdict.is_valid, verdict.reasons) == (IsValid.UNKNOWN, ("claimed-twice",))


def test_a_false_stays_false_whatever_the_new_node_measures(fleet: Fleet) -> None:
    """Measured, swept and validated on request; the findings are those of the home."""
    fleet.measure(fleet.home, "evil")
    findings = fleet.verdict(SERVER).findings
    fleet.let_go()
    fleet.measure(fleet.liar)
    fleet.say(fleet.liar.swept(fleet.now, "1"))
    fleet.handler.handle(
        ask.RequestValidation(context=RequestContext(actor="user:admin", task_id="t-9"), server_id=SERVER)
    )
    fleet.measure(fleet.liar, task_id="t-9")

    verdict = fleet.verdict(SERVER)
    assert (verdict.is_valid, verdict.reasons, verdict.findings) == (IsValid.FALSE, HELD, findings)


def test_a_false_stays_false_when_the_home_has_the_server_back(fleet: Fleet) -> None:
    """The liar gives the sign back, too: the home would have to be signed anew, by somebody who looks."""
    fleet.measure(fleet.home, "evil")
    fleet.let_go()
    fleet.measure(fleet.liar)
    fleet.say(fleet.has(fleet.home))
    fleet.measure(fleet.liar)
    fleet.say(fleet.liar.inventory(running=()))
    fleet.measure(fleet.home)

    assert fleet.sign(SERVER).node_id == 1
    assert fleet.verdict(SERVER).is_valid is IsValid.FALSE


@pytest.mark.parametrize("is_false", [True, False])
def test_a_forged_measurement_is_not_sealed_for_an_order_that_names_no_node(
    fleet: Fleet,
    is_false: bool,  # noqa: FBT001 - a parameter
) -> None:
    """The administrator is told where the sign is, and nothing is ordered."""
    if is_false:
        fleet.measure(fleet.home, "evil")
    fleet.let_go()
    with pytest.raises(PlaceUnconfirmed, match=r"on node 2 \(kvm2\)"):
        fleet.update()
    with pytest.raises(PlaceUnconfirmed, match=r"on node 2 \(kvm2\)"):
        fleet.update(1)
    fleet.measure(fleet.liar, "forged", generation=2, task_id="t-2")

    assert fleet.seals() == 1


def test_a_forged_measurement_is_not_sealed_for_an_order_of_before(fleet: Fleet) -> None:
    """It was meant for the node that the server was on; a new one that names the new node is sealed."""
    fleet.update()
    fleet.let_go()
    fleet.measure(fleet.liar, "forged", generation=2, task_id="t-2")
    before, verdict = fleet.seals(), fleet.verdict(SERVER)
    fleet.update(2)
    fleet.measure(fleet.liar, generation=3, task_id="t-2")

    assert (before, fleet.seals()) == (1, 2)
    assert (verdict.is_valid, verdict.reasons) == (IsValid.UNKNOWN, ("place-unconfirmed",))


def test_a_first_seal_is_not_the_liars() -> None:
    """The server was ordered to be signed at its home, and leaves before that has measured it."""
    door = Door(stores.in_memory())
    home, liar = Reporter("kvm1", 1), Reporter("kvm2", 2)
    door.take(home.registration(), liar.registration(), home.inventory(SERVER, running=[SERVER]))
    door.take(liar.inventory(SERVER, running=()))
    door.handler.handle(home.order(SERVER))
    door.take(home.inventory())
    door.take(liar.measured(SERVER, 1, NOW, disk="forged"))

    assert door.sign(SERVER).node_id == 2
    assert (door.sign(SERVER).sealed, door.verdict(SERVER).is_valid) == (0, IsValid.UNKNOWN)


STEPS: dict[str, Callable[[Fleet], object]] = {
    "the home lets go": Fleet.let_go,
    "the home has it": lambda fleet: fleet.say(fleet.has(fleet.home)),
    "the home migrates it": lambda fleet: fleet.say(
        fleet.home.inventory(SERVER, running=(), leaving=[SERVER])
    ),
    "the liar has it": lambda fleet: fleet.say(fleet.liar.inventory(SERVER, running=())),
    "the liar runs it": lambda fleet: fleet.say(fleet.has(fleet.liar)),
    "the liar lets go": lambda fleet: fleet.say(fleet.liar.inventory(running=())),
    "the liar asks": lambda fleet: fleet.say(fleet.liar.wanted(SERVER)),
    "it is equal at the liar": lambda fleet: fleet.measure(fleet.liar),
    "the liar forges": lambda fleet: fleet.measure(fleet.liar, "forged", generation=2, task_id="t-2"),
    "the liar vouches": lambda fleet: fleet.say(fleet.liar.swept(fleet.now, "1")),
    "the home measures": lambda fleet: fleet.measure(fleet.home, "evil"),
    "the home says that it leaves": lambda fleet: [
        fleet.take(fleet.home.leaving(one, fleet.now)) for one in fleet.inquiries("kvm1")
    ],
    "the liar says that it leaves": lambda fleet: [
        fleet.take(fleet.liar.leaving(one, fleet.now)) for one in fleet.inquiries("kvm2")
    ],
}


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=12))
def test_no_history_turns_a_false_into_a_true_or_seals(steps: list[str]) -> None:
    """For all reports of both nodes: only an administrator ends a false that the home has found."""
    fleet = Fleet()
    fleet.measure(fleet.home, "evil")
    for step in steps:
        STEPS[step](fleet)
        assert fleet.verdict(SERVER).is_valid is IsValid.FALSE
    assert fleet.seals() == 1


@pytest.mark.parametrize("order", list(itertools.permutations(("claim", "forge", "vouch", "let go"))))
def test_no_order_of_words_is_sealed_at_an_order_of_before(fleet: Fleet, order: tuple[str, ...]) -> None:
    """An order to sign anew is open, and the home lets the server go for a moment."""
    fleet.update()
    steps = {
        "claim": lambda: fleet.say(fleet.has(fleet.liar)),
        "forge": lambda: fleet.measure(fleet.liar, "forged", generation=2, task_id="t-2"),
        "vouch": lambda: fleet.say(fleet.liar.swept(fleet.now, "1")),
        "let go": fleet.let_go,
    }
    for one in (*order, "forge"):
        steps[one]()

    assert fleet.seals() == 1
