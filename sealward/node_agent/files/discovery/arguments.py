"""Files in arguments of QEMU (`<qemu:commandline>`) that QEMU reads before or while the guest boots.

The text of the arguments is signed as it stands. This module is about the content of the files that they
name. These files count in the section `files`, so the set of options below cannot change within a profile.
Images (`-drive`, `-blockdev`) and all other files in arguments are companions (`options`). QEMU looks up a
name without a leading slash in folders of its own.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WHOLE: Final = frozenset(("kernel", "initrd", "dtb", "bios", "option-rom", "readconfig"))
"""Options whose whole argument is a path."""
NAMED: Final = {
    "fw_cfg": ("file",),
    "smbios": ("file",),
    "acpitable": ("file", "data"),
    "option-rom": ("romfile",),
    "device": ("file", "romfile", "kernel", "initrd"),
}
"""Options that have paths among their settings, and the names of those settings."""
_ON: Final = frozenset(("on", "yes", "true", "y"))


def read_by_qemu(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the absolute paths of the files, in the order of the arguments."""
    for option, argument in pairwise(arguments):
        if not option.startswith("-"):
            continue
        name = option.lstrip("-")
        for value in _values(name, argument):
            paths = value.split(":") if name == "acpitable" else [value]
            yield from (path for path in paths if path.startswith("/"))


def _values(name: str, argument: str) -> Iterator[str]:
    if name in WHOLE:
        yield argument
    found = settings(argument)
    if name == "drive" and found.get("if") == "pflash" and _is_read_only(found):
        yield found.get("file", "")
    for key in NAMED.get(name, ()):
        yield found.get(key, "")


def _is_read_only(found: dict[str, str]) -> bool:
    return is_on(found.get("readonly")) or is_on(found.get("read-only"))


def is_on(value: object) -> bool:
    """Return whether a setting is switched on."""
    return value is True or (isinstance(value, str) and value in _ON)


def settings(argument: str) -> dict[str, str]:
    """Return the settings of an argument, `key=value,key=value` or JSON; a comma in a value is doubled."""
    if argument.startswith("{"):
        try:
            found = json.loads(argument)
        except (ValueError, RecursionError):
            return {}
        return {key: value for key, value in found.items() if isinstance(value, str)}
    parts = argument.replace(",,", "\0").split(",")
    pairs = (part.replace("\0", ",").partition("=") for part in parts)
    return {key: value for key, _, value in pairs}
