"""Objects that a domain names and its node defines: networks, network filters, storage pools, volumes.

Of each object there is a digest of its definition. Of a network there is also its bridge or device, and of a
pool its folder or source, in words (`network-link/NAME`, `pool-place/NAME`), for findings that people read.

While a server stays on the node where it was signed, each named object must be as it was then: a network that
is moved to another bridge, or a volume with other content, changes the server without changing its domain.
After a move the objects are not compared, because the new node has its own. A name that is missing on either
side is not compared: the measurement of the domain itself shows that a name has appeared or gone.

Devices of the node stand among the named objects, too. They have rules of their own
(`events.comparison.devices`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealward.events.comparison.devices import PREFIX
from sealward.events.comparison.measurement import CONFIG, Finding

if TYPE_CHECKING:
    from sealward.events.comparison.measurement import Measurement

NAMED: Final = "named"
"""The section of a finding about a named object."""
MOST: Final = 100
"""The largest number of findings about named objects."""


def redefined(reference: Measurement, found: Measurement) -> tuple[str, ...]:
    """Return the names on both sides whose objects are not as they were when the server was signed."""
    signed, now = reference.named, found.named
    if not signed or not now or signed == now:
        return ()
    names = (name for name in signed.keys() & now.keys() if not name.startswith(PREFIX))
    return tuple(sorted(name for name in names if signed[name] != now[name]))


def named_findings(reference: Measurement, found: Measurement) -> tuple[Finding, ...]:
    """Return a finding for each named object that has changed (`redefined`), at most MOST."""
    signed, now = reference.named or {}, found.named or {}
    return tuple(
        Finding(NAMED, f"/{name}", signed[name], now[name], CONFIG).printable()
        for name in redefined(reference, found)[:MOST]
    )
