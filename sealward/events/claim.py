"""Claims: another node says that it runs a signed server which the server's home has not let go.

The home of a server is the node that its sign is on. While a claim is open, nobody knows which of the two
nodes tells the truth, so the verdict is unknown. Rules, each with a test of its name in
tests/events/test_claim.py:

1. A claim turns a true into unknown ("claimed-twice"). It leaves a false and an unknown as they are.
2. While a claim is open, no verdict becomes true, neither by a measurement nor by a sweep.
3. While a claim is open, a verdict that is not false reads as unknown, "claimed-twice" first, with a finding
   that names the home as signed and the claiming node as found.
4. When the last claim ends, a verdict that only the claims made unknown stays unknown ("claim-settled") until
   the server is measured again.
5. Claims of several nodes are open beside each other, one for each node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sealward.events.comparison.measurement import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable


class Claim(msgspec.Struct, frozen=True):
    """The node `by` says that it runs a server which the node `home` has not let go; both are hostnames.

    `node_id` is the id of the claiming node. `denied` says whether the home has contradicted the claim.
    """

    node_id: int
    by: str
    home: str
    denied: bool = False

    @property
    def finding(self) -> Finding:
        """Return the claim as a finding of a verdict: the home was signed, the claiming node was found."""
        return Finding("node", "/node", self.home, self.by)


def opened(claims: Iterable[Claim], claim: Claim) -> tuple[Claim, ...]:
    """Return the open claims after a node has claimed the server, or its claim was denied (rule 5)."""
    others = [one for one in claims if one.node_id != claim.node_id]
    return tuple(sorted((*others, claim), key=lambda one: one.node_id))


def ended(claims: Iterable[Claim], node_id: int) -> tuple[Claim, ...]:
    """Return the open claims after the claim of a node has ended."""
    return tuple(one for one in claims if one.node_id != node_id)
