"""Why a server could not be measured: what turns a verdict unknown."""

from __future__ import annotations

from sealward.error import SealwardError


class NotMeasured(SealwardError):
    """The server could not be measured; `code` is the reason that its verdict gets."""

    code = "not-measured"


class MeasuringFailed(NotMeasured):
    """The agent met something in the server that it is not made for; its log says what."""

    code = "measuring-failed"
