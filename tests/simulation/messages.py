"""What a message of a simulation says, for those who look at it."""

from __future__ import annotations

import msgspec

from sealward.commands import reports
from sealward.events import envelope as envelopes


def report(body: bytes) -> reports.AnyReport:
    """Return what a node reported."""
    return reports.parse(envelopes.parse(body))


def named(body: bytes) -> str:
    """Return what a message is, for the trace."""
    fields = msgspec.json.decode(body)
    if fields.get("kind") == "desired":
        return f"desired as of {fields['position']}"
    if "sequence" in fields:
        return f"{fields['type']} {int(fields['sequence'])} {fields['data'].get('server_id', '')[:8]}"
    known = report(body)
    return f"{type(known).__name__} of {known.hostname} {getattr(known, 'server_id', '')[:8]}"
