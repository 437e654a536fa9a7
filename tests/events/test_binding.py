"""Which host-bound parts a server may have, and where names are compared: a sentence a rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sealward.events.comparison.binding import AS_SIGNED, Binding, is_violated, strays
from sealward.events.comparison.measurement import Measurement

SIGNED = Measurement(
    "libvirt-domain/3",
    {},
    {},
    "libvirt 9.0.0",
    {"config": "aa", "live": "bb"},
    named={"network/default": "n1"},
)
REDEFINED = replace(SIGNED, named={"network/default": "n2"})


@pytest.mark.parametrize(("config", "allowed"), [("aa", True), ("cc", False)])
def test_after_a_move_signed_parts_are_allowed_if_the_persistent_form_arrived_as_signed(
    config: str, *, allowed: bool
) -> None:
    """From that form alone a cold start makes the running form that was signed."""
    moved = Binding({"config": config, "live": "dd"}, has_moved=True)
    found = replace(SIGNED, host_bound={"config": config, "live": "bb"})

    assert (strays(SIGNED, moved, found) == ()) is allowed


def test_names_are_compared_at_home_alone() -> None:
    """A network of the same name is another network on another node."""
    moved = Binding({"config": "aa", "live": "bb"}, has_moved=True)

    assert is_violated(SIGNED, AS_SIGNED, REDEFINED)
    assert not is_violated(SIGNED, moved, REDEFINED)
    assert not is_violated(SIGNED, AS_SIGNED, SIGNED)
