"""The firmware files of a node: those accepted, those found, and the differences."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping  # noqa: TC003 - snapshots are read by the annotations
from dataclasses import dataclass, field
from itertools import islice

from sealward.events.comparison.measurement import Finding
from sealward.events.findings.coding import all_coded

MAX_FINDINGS = 200


@dataclass(frozen=True, slots=True)
class Firmware:
    """Files by path: the root of a plain file's content, or the kind of any other entry."""

    accepted: Mapping[str, str] = field(default_factory=dict)
    found: Mapping[str, str] = field(default_factory=dict)


def digest(files: Mapping[str, str]) -> str:
    """Return SHA-256 hex over files: canonical JSON."""
    text = json.dumps(dict(files), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def differences(firmware: Firmware) -> tuple[Finding, ...]:
    """Return a finding for each file that is not as accepted, by path; at most MAX_FINDINGS."""
    accepted, found = firmware.accepted, firmware.found
    paths = sorted(path for path in accepted.keys() | found.keys() if accepted.get(path) != found.get(path))
    return all_coded(
        Finding("firmware", path, accepted.get(path), found.get(path)) for path in islice(paths, MAX_FINDINGS)
    )
