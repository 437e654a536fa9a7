"""The number of a node's envelope: it orders what the control plane hears from the node."""

from __future__ import annotations

from typing import NamedTuple


class Turn(NamedTuple):
    """The number of an envelope among all envelopes that one key has signed.

    `boot` counts the starts of the node's agent, `seq` counts the envelopes since that start. Both begin at
    1. Of two envelopes of a key, the later envelope has the greater turn.
    """

    boot: int
    seq: int
