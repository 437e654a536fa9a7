"""Files that settings name and a process reads: each is opened before the process starts anything."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from sealward.settings import kinds
from sealward.settings.declared import declared_of
from sealward.settings.kinds import SettingRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import DataclassInstance


def refuse_unreadable(group: DataclassInstance) -> None:
    """Open each file that a setting of the kind `kinds.file` names. Raises SettingRefused."""
    for name, path in _files(group):
        try:
            path.open("rb").close()
        except OSError as unreadable:
            raise SettingRefused(f"{name}: the file cannot be read: {unreadable.strerror}") from None


def _files(group: DataclassInstance) -> Iterator[tuple[str, Path]]:
    for field in dataclasses.fields(group):
        value, declared = getattr(group, field.name), declared_of(field)
        if declared is not None and declared.kind is kinds.file and isinstance(value, Path):
            yield declared.name, value
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from _files(value)
