"""What stops a sub-command, said in one line on stderr."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Refusal(Exception):
    """The sub-command cannot do what it was asked; the message says what to do."""


@contextlib.contextmanager
def refusing(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of those kinds into a Refusal."""
    try:
        yield
    except kinds as refused:
        raise Refusal(str(refused)) from refused
