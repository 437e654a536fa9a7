"""A file that keeps the position of the last event that was passed on, so that a restart leaves out none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.cli.refusal import Refusal

if TYPE_CHECKING:
    from pathlib import Path


class PositionFile:
    """The file. It is written by renaming, so that a crash leaves the old or the new position."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> int | None:
        """Return the position; None when the file is not there yet. Raises Refusal for any other content."""
        try:
            text = self._path.read_text().strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as why:
            raise Refusal(f"{self._path}: {why}") from why
        if not (text.isascii() and text.isdigit()):
            raise Refusal(f"{self._path} holds no position; remove it to begin at --from")
        return int(text)

    def write(self, position: int) -> None:
        """Keep a position. Raises Refusal when the file cannot be written."""
        draft = self._path.with_name(f".{self._path.name}.new")
        try:
            draft.write_text(f"{position}\n")
            draft.replace(self._path)
        except OSError as why:
            raise Refusal(f"{self._path}: {why.strerror}; position {position} is passed on already") from why
