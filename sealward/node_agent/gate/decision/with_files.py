"""Measures a server that is to start together with its files, as far as the files can be read in time.

This module is separate from `decision` because of its imports: a server that was signed without files starts
without them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sealward.node_agent.files import offline
from sealward.node_agent.files.content.remembered import Remembered
from sealward.node_agent.gate.stamps import Stamps
from sealward.node_agent.measuring.measure import measure

if TYPE_CHECKING:
    from lxml import etree

    from sealward.node_agent.measuring.measure import Measured

FILES_TIME: Final = 0.5
"""Seconds after which the gate begins to read no further file."""


def measured(folder: str, domain: etree._Element, hypervisor: str) -> tuple[Measured, Stamps]:
    """Return a measurement of a parsed domain with its files, and the stamps of the files that were read.

    `folder` holds the node's ledger. Files that cannot be read in FILES_TIME are listed as unread. Raises
    DomainXmlRefused.
    """
    stamps = Stamps()
    until = time.monotonic() + FILES_TIME
    files = offline.files(Remembered(f"{folder}/files.sqlite"), until, noted=stamps.note)
    return measure(domain, None, hypervisor, files), stamps
