"""JSON and plain values become typed values here, and only here.

msgspec 0.22 builds its description of a type when the type is first used. A second thread can find the
description half built; then the process ends with SIGSEGV. This has ended an API whose first two requests
came at once (`tests/events/test_typed.py`). Therefore all decoders are made under the same lock, and no other
module makes decoders.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

import msgspec
from msgspec.json import Decoder

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Decoder", "convert", "decode", "decoder"]

Typed = TypeVar("Typed")

_ONE_AT_A_TIME: Final = threading.Lock()


@overload
def decoder(kind: type[Typed]) -> Decoder[Typed]: ...
@overload
def decoder(kind: object) -> Decoder[Any]: ...
def decoder(kind: object) -> Decoder[Any]:
    """Return the decoder that reads JSON as values of the type; each type has one decoder in a process."""
    return _decoder(kind)


@overload
def decode(text: bytes | str | msgspec.Raw, kind: type[Typed]) -> Typed: ...
@overload
def decode(text: bytes | str | msgspec.Raw, kind: object) -> Any: ...  # noqa: ANN401 - unions and aliases have no type[]
def decode(text: bytes | str | msgspec.Raw, kind: object) -> Any:
    """Return the value that JSON holds. Raises msgspec.MsgspecError, UnicodeError and RecursionError."""
    return _decoder(kind).decode(text)


@overload
def convert(value: object, kind: type[Typed]) -> Typed: ...
@overload
def convert(value: object, kind: object) -> Any: ...  # noqa: ANN401 - as above
def convert(value: object, kind: object) -> Any:
    """Return plain values (dicts, lists, strings) as a value of the type. Raises msgspec.ValidationError."""
    _decoder(kind)
    return msgspec.convert(value, type=kind)


@functools.cache
def _decoder(kind: Hashable) -> Decoder[Any]:
    with _ONE_AT_A_TIME:
        return Decoder(kind)
