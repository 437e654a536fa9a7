"""The log of a process: a line for each message, for people or for programs, with the ids of its subject."""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TextIO

import msgspec

from sealward.absences import Absences
from sealward.characters import CONTROL

if TYPE_CHECKING:
    from collections.abc import Mapping

MARGIN: Final = "\n    | "
"""Begins each further line of a message, so that no message can imitate the first line of a message."""
OFTEN: Final = "sealward.access"
"""The logger of the access log: each request leaves a line."""
CONTROLS: Final = re.compile(f"[{CONTROL}]")
LATE: Final = 0.01
MOST: Final = 1_000
"""How many lines wait at most. Beyond that a thread that logs waits until the stream takes lines."""
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_IDS: ContextVar[Mapping[str, str]] = ContextVar("sealward-ids", default=NOTHING)


class about:  # noqa: N801 - it is used as a function; a generator would take three times as long
    """Add ids (`request_id`, `task_id`, `actor`) to every message that is logged inside the `with` block."""

    __slots__ = ("_before", "_ids")

    def __init__(self, **ids: str | None) -> None:
        self._ids = ids

    def __enter__(self) -> None:
        """Add the ids."""
        self._before = _IDS.set(_with(self._ids))

    def __exit__(self, *_: object) -> None:
        """Take the ids away again."""
        _IDS.reset(self._before)


def begin(**ids: str | None) -> None:
    """Replace the ids of this thread's messages from now on."""
    _IDS.set({name: value for name, value in ids.items() if value is not None})


def add(**ids: str | None) -> None:
    """Add to the ids of this thread's messages from now on."""
    _IDS.set(_with(ids))


def _with(ids: Mapping[str, str | None]) -> Mapping[str, str]:
    return {**_IDS.get(), **{name: value for name, value in ids.items() if value is not None}}


def shown(text: str) -> str:
    """Return a text in which each character that is not printable is written as an escape.

    Not printable are line ends, control characters, and characters that only change how other characters are
    shown (Unicode's categories Cc, Cf, Zl, Zp and so on: `str.isprintable` returns False).
    """
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


class Message:
    """A message with fields for programs. Its fields and its text are made only when it is written."""

    __slots__ = ()


class Ids(logging.Filter):
    """Gives every record the ids of its moment."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything through."""
        record.ids = _IDS.get()
        return True


class Console(logging.Formatter):
    """Lines for people: time, level, logger, message, and the ids at the end."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s")
        self._second, self._text = 0, ""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line with its ids at the end, and below it an exception as indented lines."""
        if record.exc_info or record.stack_info:
            return super().format(record).replace("\n", MARGIN)
        record.message, record.asctime = record.getMessage(), self.formatTime(record)
        return self.formatMessage(record)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - as below
        """Return the time; a second is made into text once."""
        second = int(record.created)
        if second != self._second:
            self._second, self._text = second, super().formatTime(record, datefmt or self.default_time_format)
        return f"{self._text},{int(record.msecs):03}"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line, ids behind."""
        known: Mapping[str, str] = getattr(record, "ids", {})
        ids = " ".join([f"{name}={value}" for name, value in known.items()])
        line = f"{record.asctime} {record.levelname} {record.name}: {record.message}"
        line = f"{line} [{ids}]" if ids else line
        return line if line.isprintable() else shown(line)

    def formatException(self, ei: Any) -> str:  # noqa: N802, ANN401 - logging's names
        """Return a traceback, in which an exception's text cannot imitate another line of the log."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(line if line.isprintable() else shown(line) for line in lines)


class Json(logging.Formatter):
    """Lines for programs: a JSON object a line, with the ids and the `fields` of a `Message`."""

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
        if isinstance(record.msg, Message):
            line |= msgspec.to_builtins(record.msg)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            text = msgspec.json.encode(line).decode()
        except (UnicodeError, OverflowError, TypeError):  # a lone surrogate, say: JSON has no such character
            text = msgspec.json.encode({name: shown(str(value)) for name, value in line.items()}).decode()
        return text if text.isprintable() else CONTROLS.sub(lambda one: f"\\u{ord(one.group()):04x}", text)


class Lines(logging.StreamHandler[TextIO]):
    """Writes messages to a stream: at once, but messages of the logger `OFTEN` within `LATE` seconds.

    Each request leaves a line, which should not make the request slower. A thread that formats and writes
    holds the handler's lock: other threads wait for it, and Python switches between the threads. So a thread
    of its own writes many of these lines together.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._waiting: deque[logging.LogRecord] = deque()
        self._some_wait, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._write_late, name="log", daemon=True)
        self._thread.start()

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a message after the messages that wait, or let the message wait with them."""
        if record.name != OFTEN or len(self._waiting) >= MOST:
            self.flush()
            return super().handle(record)
        kept = self.filter(record)
        if kept:
            self._waiting.append(record)
            if not self._some_wait.is_set():
                self._some_wait.set()
        return kept

    def flush(self) -> None:
        """Write the messages that wait."""
        self.acquire()
        try:
            lines = []
            while self._waiting:
                lines.append(self.format(self._waiting.popleft()) + self.terminator)
            if lines:
                self.stream.write("".join(lines))
            super().flush()
        finally:
            self.release()

    def close(self) -> None:
        """Write the messages that wait, and end the thread."""
        self._ended.set()
        self._some_wait.set()
        self._thread.join(LATE + 1)
        self.flush()
        super().close()

    def _write_late(self) -> None:
        while not self._ended.is_set():
            self._some_wait.wait()
            self._ended.wait(LATE)
            self._some_wait.clear()
            self.flush()


FORMS: Final[dict[str, type[logging.Formatter]]] = {"console": Console, "json": Json}


def set_up(form: str, level: str, stream: TextIO) -> None:
    """Send all messages of this process from that level on to a stream, in a form of FORMS."""
    handler = Lines(stream)
    handler.addFilter(Ids())
    handler.addFilter(Absences())
    handler.setFormatter(FORMS[form]())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # No form shows threads, processes and source lines, so logging does not look them up:
    # https://docs.python.org/3/howto/logging.html#optimization
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - as that page says
    logging.getLogger("kombu").setLevel(logging.ERROR)  # it warns that memory:// has no host
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # the relay logs pika's errors
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it warns of each request that waits
    logging.getLogger("keystonemiddleware").setLevel(logging.ERROR)  # it logs the answer to every bad token
