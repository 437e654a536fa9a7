"""The log of a process: a line for each message, for eyes or for programs, with the ids it is about."""

from __future__ import annotations

import contextlib
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TextIO

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_IDS: ContextVar[Mapping[str, str]] = ContextVar("sealward-ids", default=NOTHING)


@contextlib.contextmanager
def about(**ids: str | None) -> Iterator[None]:
    """Have every message inside say what it is about: `request_id`, `task_id`, `actor`."""
    before = _IDS.set(_with(ids))
    try:
        yield
    finally:
        _IDS.reset(before)


def begin(**ids: str | None) -> None:
    """Say what the messages of this thread are about from now on, and nothing else."""
    _IDS.set({name: value for name, value in ids.items() if value is not None})


def add(**ids: str | None) -> None:
    """Say more about it."""
    _IDS.set(_with(ids))


def _with(ids: Mapping[str, str | None]) -> Mapping[str, str]:
    return {**_IDS.get(), **{name: value for name, value in ids.items() if value is not None}}


class Ids(logging.Filter):
    """Gives every record the ids of its moment."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything through."""
        record.ids = _IDS.get()
        return True


class Console(logging.Formatter):
    """For eyes: time, level, where, what, and the ids behind it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line, ids behind."""
        known: Mapping[str, str] = getattr(record, "ids", {})
        ids = " ".join(f"{name}={value}" for name, value in known.items())
        return super().formatMessage(record) + (f" [{ids}]" if ids else "")


class Json(logging.Formatter):
    """For programs: a JSON object a line, with the ids and with what its caller named as `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "ids", {}),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


FORMS: Final[dict[str, type[logging.Formatter]]] = {"console": Console, "json": Json}


def set_up(form: str, level: str, stream: TextIO) -> None:
    """Send all messages of this process from that level on to a stream, in a form of FORMS."""
    handler = logging.StreamHandler(stream)
    handler.addFilter(Ids())
    handler.setFormatter(FORMS[form]())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("kombu").setLevel(logging.ERROR)  # it warns that memory:// has no host
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # the relay says what pika finds
    logging.getLogger("keystonemiddleware").setLevel(logging.ERROR)  # it logs the answer to every bad token
