"""The formats by the names that the command line and the settings of webhooks give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealward.formats import cadf, cef, ocsf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealward.formats.notice import Notice

CLOUDEVENTS: Final = "cloudevents"
FORMATS: Final[Mapping[str, Callable[[Notice], str]]] = {
    CLOUDEVENTS: lambda notice: notice.cloudevent,
    "ocsf": ocsf.render,
    "cef": cef.render,
    "cadf": cadf.render,
}
"""Each format is one line of text for each event, without its end."""
