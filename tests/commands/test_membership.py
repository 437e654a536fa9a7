"""Which keys are believed to be a node's: an administrator's word alone changes that."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from factories import NOON
from hypothesis import given
from hypothesis import strategies as st

from sealward.commands import membership
from sealward.commands import node as nodes
from sealward.commands.errors import HostnameTaken, NotRegistered
from sealward.commands.messages import RegisterNode, ReplaceKey
from sealward.events import keys
from sealward.events import node as facts
from sealward.events.base import Event
from sealward.events.keyid import keyid

KEYS = tuple(Ed25519PrivateKey.from_private_bytes(bytes([one]) * 32).public_key() for one in range(1, 5))
PEMS = tuple(keys.public_pem(key) for key in KEYS)
NODE = nodes.Node(1, "kvm1", PEMS[0])


def _replace(node: nodes.Node | None, pem: str) -> list[Event]:
    command = ReplaceKey(actor="user:admin", request_id="req-1", hostname="kvm1", public_key=pem)
    return membership.replace_key(node, command, now=NOON)


def _register(node: nodes.Node, pem: str) -> list[Event]:
    command = RegisterNode(actor="node:kvm1", hostname="kvm1", public_key=pem)
    return nodes.register_node(node, command, node_id=9, now=NOON)


def _after(node: nodes.Node, events: list[Event]) -> nodes.Node:
    for event in events:
        node = nodes.evolve(node, event) or node
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
