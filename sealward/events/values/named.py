"""The named types of values. Each has the limits of the narrowest reader of its values."""

from __future__ import annotations

import typing
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from sealward.events.comparison.files import Listing
from sealward.events.comparison.measurement import Finding, Measurement
from sealward.events.policy import Policy, ServerPolicy
from sealward.events.values.rule import Real, Spans, Text, Time, Whole

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEX: Final = "[0-9a-f]"
_LABEL: Final = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"

Line = Annotated[str, Text(1024)]
"""Text for people: a name, a reason in words."""
ServerId = Annotated[
    str, Text(36, f"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}", "a UUID in lower case with hyphens")
]
RFC1123: Final = rf"{_LABEL}(?:\.{_LABEL})*"
"""https://www.rfc-editor.org/rfc/rfc1123#section-2.1: labels of letters, digits and hyphens."""
MOST_OF_HOSTNAME: Final = 238
"""A node's inbox, `sealward.reports.` and its hostname, has a name that AMQP carries: 255 bytes."""
Hostname = Annotated[str, Text(MOST_OF_HOSTNAME, RFC1123, "a hostname as RFC 1123 has it")]
InstanceName = Annotated[str, Text(255)]
"""libvirt names a file after each domain, so a name is not longer than a file's name may be."""
TaskId = Annotated[str, Text(155, "[!-.0-~]+", "visible ASCII without a slash")]
"""Celery's result table holds so many characters; AMQP's correlation id would hold 255 bytes."""
Actor = Annotated[str, Text(1100)]
"""`user:` and a name of Keystone's, which has 255 characters at most, or `node:` and a hostname."""
RequestId = Annotated[str, Text(255, "[!-~]+", "visible ASCII")]
Word = Annotated[str, Text(64, "[!-~]+", "visible ASCII")]
"""An id that a node makes, a section, a profile."""
Nonce = Annotated[str, Text(64, "[!-~]*", "visible ASCII")]
Code = Annotated[str, Text(64, "[a-z0-9][a-z0-9._:-]*", "a code: lower-case letters, digits, . _ : -")]
Digest = Annotated[str, Text(64, f"{_HEX}{{64}}", "SHA-256 in hexadecimal")]
Path = Annotated[str, Text(4096)]
"""Linux's PATH_MAX."""
FileFact = Annotated[str, Text(4200)]
"""The root of a file's content, or the kind of an entry that is no file; for a link also its target."""
PublicKey = Annotated[str, Text(4096, "[\r\n -~]+", "a key in PEM form")]
Pem = Annotated[
    str,
    Text(
        1024,
        r"-----BEGIN PUBLIC KEY-----\r?\n(?:[A-Za-z0-9+/=]{1,76}\r?\n){1,10}-----END PUBLIC KEY-----\s{0,2}",
        "exactly one public key in PEM form",
    ),
]
"""A key as a node or an administrator may send it. Events have the wider type `PublicKey`."""
Ranges = Annotated[
    str,
    Spans(64 * 1024, r"(?:[0-9]{1,18}(?:-[0-9]{1,18})?(?:,[0-9]{1,18}(?:-[0-9]{1,18})?)*)?", "ranges of ids"),
]
KeyId = Annotated[str, Text(255, "[!-~]*", "visible ASCII")]
"""A hint which key has signed. The hint itself is not authenticated."""
Id = Annotated[int, Whole()]
Generation = Annotated[int, Whole(0, 2**31 - 1)]
"""INTEGER in the rows."""
Count = Annotated[int, Whole(0, 2**53 - 1)]
"""The whole numbers that all readers of JSON represent exactly (RFC 8259, section 6)."""
Seconds = Annotated[float, Real(0.0, 366 * 86400.0)]
OrNever = Annotated[datetime, msgspec.Meta(tz=True), Time(or_never=True)]

Sections = dict[Word, Annotated[str, Text(128, "[!-~]*", "visible ASCII")]]
Slot = Annotated[str, Text(160, "[!-~]*", "visible ASCII")]
"""Where a file stands in a listing; empty for all files."""
BESIDE: Final[Mapping[type, Mapping[str, Any]]] = {
    Finding: {
        "section": Word,
        "xpath": Annotated[str, Text(8192)],
        "signed": FileFact | None,
        "found": FileFact | None,
        "form": Word,
        "code": Word | None,
    },
    Measurement: {
        "profile": Word,
        "sections": Sections,
        "live": Sections,
        "hypervisor": Annotated[str, Text(128)],
        "host_bound": Sections,
        "files": dict[typing.Literal["config", "live"], Listing],
    },
    Listing: {
        "read": dict[Slot, Annotated[str, Text(128, "[!-~]*", "visible ASCII")]],
        "unread": dict[Slot, Code],
    },
    Policy: {"grace": Seconds},
    ServerPolicy: {"grace": Seconds | None},
}
"""Rules of classes that the start gate loads: it has no time to load this module and msgspec as well."""
