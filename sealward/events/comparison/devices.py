"""Devices of a node that a domain is given: each must be the device that was signed, also at another path.

A path or an address says where a device is, not which device it is: the node gives `/dev/sdb` to another
volume as soon as the first volume is detached. So `Measurement.named` has the identities of these devices, by
`device/KIND/NAME`, for example `device/disk/vdb` or `device/hostdev/1`. The identity does not depend on the
node (a WWN, the ids of a PCI device), and counts after a move, too. `device/KIND/NAME:here` has the facts
that count only while the server stays on the node where it was signed (the revision of a PCI device, the
serial number of a USB device).

A device without a signed identity is not compared: neither agents nor kernels of before told all identities.
A device whose signed identity cannot be read any more makes the verdict unknown (`LOST`), unless something
else makes it false.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealward.events.comparison.measurement import CONFIG, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealward.events.comparison.measurement import Measurement

DEVICE: Final = "device"
"""The section of a finding about the identity of a device."""
PREFIX: Final = "device/"
"""Begins the names of devices in `Measurement.named`."""
HERE: Final = ":here"
"""Ends the names of facts that count only on the node where the server was signed."""
UNIDENTIFIED: Final = "unidentified"
"""The identity of a device that is there and has nothing that tells it from others of its kind."""
ABSENT: Final = "absent"
"""The identity of a device that is not there, and that the domain may start without."""
LOST: Final = "device-not-identified"
"""Why a verdict is unknown: the identity of a device was signed, and cannot be read now."""
MOST: Final = 100
"""The largest number of findings about devices."""


def exchanged(reference: Measurement, found: Measurement, *, is_at_home: bool) -> tuple[str, ...]:
    """Return the names of the devices that are other devices than those that were signed."""
    signed, now = reference.named or {}, found.named or {}
    return tuple(
        name
        for name in _signed(reference, is_at_home=is_at_home)
        if name in now and now[name] not in (signed[name], ABSENT)
    )


def lost(reference: Measurement, found: Measurement, *, is_at_home: bool) -> tuple[str, ...]:
    """Return the names of the devices whose identity was signed and could not be read now."""
    now = found.named or {}
    return tuple(name for name in _signed(reference, is_at_home=is_at_home) if name not in now)


def device_findings(reference: Measurement, found: Measurement, *, is_at_home: bool) -> tuple[Finding, ...]:
    """Return a finding for each device that is another device (`exchanged`), at most MOST."""
    signed, now = reference.named or {}, found.named or {}
    return tuple(
        Finding(DEVICE, f"/{name}", signed[name], now[name], CONFIG).printable()
        for name in exchanged(reference, found, is_at_home=is_at_home)[:MOST]
    )


def _signed(reference: Measurement, *, is_at_home: bool) -> Iterator[str]:
    """Yield the names of the devices that have a signed identity, in order."""
    for name, identity in sorted((reference.named or {}).items()):
        is_identity = name.startswith(PREFIX) and identity not in (UNIDENTIFIED, ABSENT)
        if is_identity and (is_at_home or not name.endswith(HERE)):
            yield name
