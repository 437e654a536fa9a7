"""Measure what is to start with its files, as far as they can be read in time.

Apart from the decision, for most of a decision needs none of what this imports.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sealward.node_agent.files import offline
from sealward.node_agent.files.content.remembered import Remembered
from sealward.node_agent.gate.stamps import Stamps
from sealward.node_agent.measuring.measure import measure

if TYPE_CHECKING:
    from sealward.node_agent.measuring.measure import Measured

FILES_TIME: Final = 0.5
"""Seconds after which no further file is read."""


def measured(folder: str, xml: bytes, hypervisor: str) -> tuple[Measured, Stamps]:
    """Return a measurement with the files that can be read in time, others are unread; and their stamps.

    Raises DomainXmlRefused.
    """
    stamps = Stamps()
    until = time.monotonic() + FILES_TIME
    files = offline.files(Remembered(f"{folder}/files.sqlite"), until, noted=stamps.note)
    return measure(xml, None, hypervisor, files), stamps
