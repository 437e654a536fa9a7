"""Texts in findings that stand for something else than a value of the domain."""

from __future__ import annotations

from typing import Final

NOT_COMPARED: Final = "not compared: "
"""Begins the found value of a file that could not be read. The code of the reason follows."""
UNREADABLE: Final = "(unreadable evidence)"
"""Stands for evidence that is damaged, too large or of a profile that is not known."""
MASK: Final = "***"
"""Stands for a value that is hidden because its name is that of a secret."""
