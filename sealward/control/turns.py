"""Which turn of each node was heard last: what is not newer counts no more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sealward.protocol.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sealward.control.database import ControlDatabase


class LastTurns:
    """The last turn heard under each key, by keyid.

    A turn belongs to the key and not to the hostname: under another key nothing was ever said, and whoever
    had a stolen key cannot have used up the turns of the key that replaced it. A row stays when its node is
    removed, for the node may be let in again under the same key.
    """

    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    def of(self, keyids: Collection[str]) -> dict[str, Turn]:
        """Return the last turns of those keys that were heard. Raises StoreUnavailable."""
        if not keyids:
            return {}
        rows, _ = self._database.run("turns", (json.dumps(sorted(keyids)),))
        return {keyid: Turn(boot, seq) for keyid, boot, seq in rows}

    def keep(self, turns: Mapping[str, Turn]) -> None:
        """Keep later turns; an earlier one changes nothing. Raises StoreUnavailable."""
        if turns:
            self._database.run("keep-turns", (json.dumps(dict(sorted(turns.items()))),))
