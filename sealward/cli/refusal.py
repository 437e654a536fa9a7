"""The error that ends a sub-command with one line on stderr and the status 2."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Refusal(Exception):
    """The sub-command cannot be carried out; the message says what to do next."""


@contextlib.contextmanager
def refusing(*kinds: type[Exception]) -> Iterator[None]:
    """Raise Refusal in the place of errors of those classes; an error without a message has its docstring."""
    try:
        yield
    except kinds as refused:
        raise Refusal(str(refused) or " ".join((refused.__doc__ or "").split())) from refused
