"""The last turn of each node that was received. A message whose turn is not later is a repetition."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sealward.protocol.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sealward.control.database import ControlDatabase


class LastTurns:
    """The last turn that was received under each key, by keyid.

    A turn belongs to the key and not to the hostname, so the turns of a new key begin anew: a thief of the
    old key cannot have used up the turns of the new key. A row stays when its node is removed, because the
    node may be let in again under the same key.
    """

    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    def of(self, keyids: Collection[str]) -> dict[str, Turn]:
        """Return the last turn of each of the keys that has a turn. Raises StoreUnavailable."""
        if not keyids:
            return {}
        rows, _ = self._database.run("turns", (json.dumps(sorted(keyids)),))
        return {keyid: Turn(boot, seq) for keyid, boot, seq in rows}

    def keep(self, turns: Mapping[str, Turn]) -> None:
        """Keep the turns that are later than the kept turn of their key. Raises StoreUnavailable."""
        if turns:
            self._database.run("keep-turns", (json.dumps(dict(sorted(turns.items()))),))
