"""How the memory of a server is backed: strict while it stays, and after a move except what nova rewrites."""

from __future__ import annotations

import pytest

from sealward.events.comparison.binding import AS_SIGNED, Binding, is_violated
from sealward.events.comparison.measurement import differing
from sealward.node_agent.measuring.measure import measure

DOMAIN = "<domain><name>a</name><memory>1024</memory>{}<devices>{}</devices></domain>"
BACKED = "<memoryBacking>{}</memoryBacking>"
REWRITTEN = {
    "source": "<source type='memfd'/>",
    "access": "<access mode='shared'/>",
    "allocation": "<allocation mode='immediate'/>",
    "discard": "<discard/>",
}
STRICT = {
    "hugepages": "<hugepages><page size='2048' unit='KiB'/></hugepages>",
    "pages of a cell": "<hugepages><page size='2048' unit='KiB' nodeset='0'/></hugepages>",
    "nosharepages": "<nosharepages/>",
    "locked": "<locked/>",
    "an element that nobody has heard of": "<newer how='so'/>",
    "an attribute that nobody has heard of": "<hugepages newer='so'/>",
}


def differs(signed: str, found: str, binding: Binding) -> bool:
    """Say whether a difference makes a server false."""
    before, now = (measure(one, None, "").measurement for one in (signed, found))
    return bool(differing(before, now)) or is_violated(before, binding, now)


@pytest.mark.parametrize("name", [*REWRITTEN, *STRICT])
def test_how_memory_is_backed_is_strict_while_a_server_stays(name: str) -> None:
    """Also where a part is taken away."""
    part = BACKED.format((REWRITTEN | STRICT)[name])
    with_it, without = DOMAIN.format(part, ""), DOMAIN.format("", "")

    assert differs(without, with_it, AS_SIGNED)
    assert differs(with_it, without, AS_SIGNED)


@pytest.mark.parametrize("name", STRICT)
def test_a_move_rewrites_nothing_of_it_but_what_nova_rewrites(name: str) -> None:
    """What else is changed on the way is false on the new node."""
    part = BACKED.format(STRICT[name])
    moved = Binding(is_open=True, has_moved=True)

    assert differs(DOMAIN.format("", ""), DOMAIN.format(part, ""), moved)
