"""Times on the command line: a time, or how long ago."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime, timedelta
from typing import Final

AGO: Final = re.compile(r"([0-9]{1,6})([mhdw])")
UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
FORMS: Final = "a time, as 2026-01-02T03:04:05Z or 2026-01-02 (UTC), or how long ago, as 90m, 24h, 7d or 2w"


def moment(text: str, now: datetime | None = None) -> str:
    """Return a time as the API takes it. Raises ArgumentTypeError."""
    ago = AGO.fullmatch(text)
    try:
        if ago:
            length = timedelta(**{UNITS[ago[2]]: int(ago[1])})
            return ((now or datetime.now(UTC)) - length).isoformat()
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as refused:
        raise argparse.ArgumentTypeError(f"{text!r} is not {FORMS}") from refused
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()
