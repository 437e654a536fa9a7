"""Server-sent events, as the API sends its log (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import requests

from sealward.client.errors import StreamBroken

if TYPE_CHECKING:
    from collections.abc import Iterator


def events_of(answer: requests.Response) -> Iterator[dict[str, Any]]:
    """Yield the CloudEvents of a stream. Raises StreamBroken when the stream ends."""
    try:
        with answer:
            for line in answer.iter_lines(chunk_size=1):
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))
    except requests.RequestException as broken:
        raise StreamBroken(str(broken)) from broken
    raise StreamBroken("the server ended the stream")
