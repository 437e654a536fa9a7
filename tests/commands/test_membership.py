"""Who is a node, and by which key: an administrator's word alone changes that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from factories import NOON
from hypothesis import given
from hypothesis import strategies as st

from sealward.commands import membership, node_state
from sealward.commands import node as nodes
from sealward.commands.context import SYSTEM, RequestContext
from sealward.commands.errors import (
    HostnameTaken,
    NodeExists,
    NodeHasSigns,
    NodeWasRemoved,
    NotRegistered,
)
from sealward.commands.inventory import record_inventory
from sealward.commands.messages import (
    AdmitNode,
    LoseNode,
    RecordInventory,
    RefuseReport,
    RegisterNode,
    RemoveNode,
    ReplaceKey,
)
from sealward.events import node as facts
from sealward.events.base import Event
from sealward.events.signing import keys
from sealward.events.signing.keyid import keyid
from sealward.protocol import reports

KEYS = tuple(Ed25519PrivateKey.from_private_bytes(bytes([one]) * 32).public_key() for one in range(1, 5))
PEMS = tuple(keys.public_pem(key) for key in KEYS)
NODE = node_state.Node(1, "kvm1", PEMS[0])


def _replace(node: node_state.Node | None, pem: str) -> list[Event]:
    command = ReplaceKey(
        context=RequestContext(actor="user:admin", request_id="req-1"), hostname="kvm1", public_key=pem
    )
    return membership.replace_key(node, command, now=NOON)


def _register(node: node_state.Node, pem: str) -> list[Event]:
    command = RegisterNode(context=RequestContext(actor="node:kvm1"), hostname="kvm1", public_key=pem)
    return nodes.register_node(node, command, node_id=9, now=NOON)


def _after(node: node_state.Node, events: list[Event]) -> node_state.Node:
    for event in events:
        node = node_state.evolve(node, event) or node
    return node


def test_a_replaced_key_names_both() -> None:
    """The new key with its keyid, and the keyid of the one before: signatures of both are told apart."""
    (replaced,) = _replace(NODE, PEMS[1])

    assert isinstance(replaced, facts.NodeKeyReplaced)
    assert (replaced.node_id, replaced.hostname, replaced.public_key) == (1, "kvm1", PEMS[1])
    assert (replaced.keyid, replaced.replaced) == (keyid(KEYS[1]), keyid(KEYS[0]))
    assert (replaced.actor, replaced.request_id) == ("user:admin", "req-1")


def test_the_same_key_again_is_no_news() -> None:
    """However often it is named."""
    assert _replace(NODE, PEMS[0]) == []


def test_what_is_not_registered_has_no_key() -> None:
    """An unknown node is refused."""
    with pytest.raises(NotRegistered):
        _replace(None, PEMS[0])


def test_only_the_new_key_registers() -> None:
    """The one before is another's by then; all else of the node stays as it is."""
    node = _after(replace(NODE, active=True, lost=True), _replace(NODE, PEMS[1]))

    assert (node.node_id, node.active, node.lost) == (1, True, True)
    assert [type(one) for one in _register(node, PEMS[1])] == [facts.NodeReturned]
    with pytest.raises(HostnameTaken):
        _register(node, PEMS[0])


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(PEMS))))
def test_no_node_gives_itself_a_key(history: list[tuple[bool, str]]) -> None:
    """For every history of orders and registrations: the key is the one that was ordered last."""
    node, ordered = NODE, PEMS[0]
    for is_order, pem in history:
        if is_order:
            node, ordered = _after(node, _replace(node, pem)), pem
        elif pem == ordered:
            node = _after(node, _register(node, pem))
        else:
            with pytest.raises(HostnameTaken):
                _register(node, pem)

    assert node.public_key == ordered


def _admit(node: node_state.Node | None, pem: str = PEMS[1]) -> list[Event]:
    command = AdmitNode(context=RequestContext(actor="user:admin"), hostname="kvm1", public_key=pem)
    return membership.admit_node(node, command, node_id=2, now=NOON)


def _remove(node: node_state.Node | None, *signed: str) -> list[Event]:
    command = RemoveNode(
        context=RequestContext(actor="user:admin", task_id="t-1"), hostname="kvm1", signed=signed
    )
    return membership.remove_node(node, command, now=NOON)


def test_a_node_with_signs_stays() -> None:
    """What is signed must not be left without anybody who looks; the message names calls."""
    with pytest.raises(
        NodeHasSigns, match=r"server s-1 and 1 more\. DELETE /v1/sign/.*GET /v1/sign\?node_id=1 "
    ):
        _remove(NODE, "s-1", "s-2")


def test_a_removed_node_has_nothing_and_is_nobody() -> None:
    """No orders, no inventory, no key; what is refused in its name is recorded all the same."""
    node = _after(
        replace(NODE, instances=frozenset([("s-1", "one")]), running=frozenset(["s-1"])), _remove(NODE)
    )
    refuse = RefuseReport(context=SYSTEM, hostname="kvm1", reason="node.removed", server_id=None)
    command = RecordInventory(
        context=RequestContext(actor="node:kvm1"),
        hostname="kvm1",
        report=reports.Inventory(hostname="kvm1", instances=(), taken_at=NOON),
    )

    assert (node.removed, node.instances, node.running) == (True, frozenset(), frozenset())
    attempts: tuple[Callable[[], object], ...] = (
        lambda: _remove(node),
        lambda: _replace(node, PEMS[1]),
        lambda: record_inventory(node, command, now=NOON),
        lambda: nodes.lose_node(node, LoseNode(context=SYSTEM, hostname="kvm1"), now=NOON),
    )
    for refused in attempts:
        with pytest.raises(NotRegistered):
            refused()
    with pytest.raises(NodeWasRemoved):
        _register(node, PEMS[0])
    assert [type(one) for one in nodes.refuse_report(node, refuse, now=NOON)] == [facts.NodeReportRefused]


def test_an_administrator_lets_it_in_again_as_another() -> None:
    """A new id, and the key that was named; nothing of what it was before."""
    before = replace(NODE, active=True, swept_at=NOON)
    (admitted,) = _admit(_after(before, _remove(before)))

    assert isinstance(admitted, facts.NodeRegistered)
    assert node_state.evolve(before, admitted) == node_state.Node(2, "kvm1", PEMS[1])
    assert admitted.actor == "user:admin"


def test_a_node_can_be_let_in_before_it_registers() -> None:
    """Then no other key is believed, not even the first that comes."""
    node = _after(NODE, _admit(None))

    assert _register(node, PEMS[1]) == []
    with pytest.raises(HostnameTaken):
        _register(node, PEMS[0])


def test_who_is_in_is_not_let_in() -> None:
    """Its key would be replaced by the way."""
    with pytest.raises(NodeExists):
        _admit(NODE)
