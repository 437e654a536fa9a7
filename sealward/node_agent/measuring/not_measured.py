"""The reasons why a server could not be measured. Each makes the verdict of the server unknown."""

from __future__ import annotations

from sealward.error import SealwardError
from sealward.events.comparison.devices import LOST


class NotMeasured(SealwardError):
    """The server could not be measured. `code` is the reason of its verdict."""

    code = "not-measured"


class MeasuringFailed(NotMeasured):
    """The agent failed while it measured the server. The agent's log has the cause."""

    code = "measuring-failed"


class DeviceNotIdentified(NotMeasured):
    """The identity of a device that the server was signed with cannot be read."""

    code = LOST
