"""What a message of a simulation says, for those who look at it."""

from __future__ import annotations

import msgspec
from simulation.host import KEYS

from sealward.commands import reports
from sealward.events import envelope as envelopes


def apart(body: bytes, *kinds: type[reports.Report]) -> list[bytes]:
    """Return what a node reported of those kinds, each as if it had been said by itself."""
    found = [one for one in said(body) if isinstance(one, kinds)]
    return [reports.seal(one, KEYS[int(one.hostname.removeprefix("kvm"))]) for one in found]


def said(body: bytes) -> list[reports.AnyReport]:
    """Return what a node reported, one by one."""
    parts = reports.unbundle(reports.parse(envelopes.parse(body)))
    return [one for one in parts if not isinstance(one, reports.NotTold)]


def named(body: bytes) -> str:
    """Return what a message is, for the trace."""
    fields = msgspec.json.decode(body)
    if fields.get("kind") == "desired":
        return f"desired as of {fields['position']}"
    if "sequence" in fields:
        return f"{fields['type']} {int(fields['sequence'])} {fields['data'].get('server_id', '')[:8]}"
    return " + ".join(
        f"{type(one).__name__} of {one.hostname} {getattr(one, 'server_id', '')[:8]}" for one in said(body)
    )
