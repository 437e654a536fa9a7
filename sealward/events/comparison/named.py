"""What a domain names and its node keeps elsewhere: networks, network filters, storage pools and volumes.

While a server stays on the node where it was signed, each of them must be what it was then: a network that is
moved to another bridge, or a volume with other content, changes the server without changing its domain. After
a move they are not compared, for they are another node's. A name that is missing on either side is not
compared: the domain that names it, or does not, is measured itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealward.events.comparison.measurement import CONFIG, Finding

if TYPE_CHECKING:
    from sealward.events.comparison.measurement import Measurement

NAMED: Final = "named"
"""What stands in a finding in the place of a section."""
MOST: Final = 100
"""Findings about what is named, at most."""


def redefined(reference: Measurement, found: Measurement) -> tuple[str, ...]:
    """Return what is named on both sides and is not what it was when the server was signed."""
    signed, now = reference.named or {}, found.named or {}
    return tuple(sorted(name for name in signed.keys() & now.keys() if signed[name] != now[name]))


def named_findings(reference: Measurement, found: Measurement) -> tuple[Finding, ...]:
    """Return a finding for each of those."""
    signed, now = reference.named or {}, found.named or {}
    return tuple(
        Finding(NAMED, f"/{name}", signed[name], now[name], CONFIG).printable()
        for name in redefined(reference, found)[:MOST]
    )
