"""A message of the bus as text for people: indented JSON in which signed payloads are decoded."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Final

DEEPEST: Final = 8
"""Payloads inside of payloads that are decoded, at most: a measurement is two deep, in a bundle three."""


def readable(body: bytes) -> str:
    """Return a message as indented JSON; a message that is no JSON as it is, with escapes for other bytes."""
    try:
        return json.dumps(_decoded(json.loads(body), DEEPEST), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body.decode(errors="backslashreplace")


def _decoded(found: object, depth: int) -> object:
    """Return a JSON value; the payload of each DSSE envelope in it is decoded if it is JSON."""
    if isinstance(found, list):
        return [_decoded(one, depth) for one in found]
    if not isinstance(found, dict):
        return found
    read = {name: _decoded(one, depth) for name, one in found.items()}
    if depth and isinstance(found.get("payload"), str) and "signatures" in found:
        read["payload"] = _payload(found["payload"], depth - 1)
    return read


def _payload(text: str, depth: int) -> object:
    try:
        return _decoded(json.loads(base64.b64decode(text, altchars=b"-_", validate=False)), depth)
    except (binascii.Error, ValueError, RecursionError):
        return text
