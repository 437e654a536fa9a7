"""Why a server could not be measured: what turns a verdict unknown."""

from __future__ import annotations


class NotMeasured(Exception):
    """The server could not be measured; `code` is the reason that its verdict gets."""

    code = "not-measured"
