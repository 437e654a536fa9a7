"""The types of all values from outside, and the check that a value is of its type.

A type is an annotation: `Hostname = Annotated[str, Text(...)]` (`named`, `rule`). `check` reads the
annotations of a dataclass or msgspec Struct once and compiles them (`checker`, `quick`). It is called for
input (reports, orders, bodies of HTTP requests) and again before an event is appended, so the log holds only
values that PostgreSQL, SQLite, AMQP, JSON, a CloudEvent and a line of a log can carry. Reading the log does
not check, so events of older versions stay readable.

msgspec ignores these rules. It enforces types and names of fields by itself, before `check`.
"""

from sealward.events.values.checker import check, checker, fields_of, is_structured, taken_apart
from sealward.events.values.named import (
    MOST_OF_HOSTNAME,
    RFC1123,
    Actor,
    Code,
    Count,
    Digest,
    FileFact,
    Generation,
    Hostname,
    Id,
    InstanceName,
    KeyId,
    Line,
    Nonce,
    OrNever,
    Path,
    Pem,
    PublicKey,
    Ranges,
    RequestId,
    Seconds,
    Sections,
    ServerId,
    Slot,
    TaskId,
    Word,
)
from sealward.events.values.quick import Check
from sealward.events.values.rule import (
    BIGGEST,
    EARLIEST,
    LATEST,
    NEVER,
    Entries,
    ReadLater,
    Real,
    Spans,
    Text,
    Time,
    Whole,
)
from sealward.events.values.unfit import Unfit

__all__ = [
    "BIGGEST",
    "EARLIEST",
    "LATEST",
    "MOST_OF_HOSTNAME",
    "NEVER",
    "RFC1123",
    "Actor",
    "Check",
    "Code",
    "Count",
    "Digest",
    "Entries",
    "FileFact",
    "Generation",
    "Hostname",
    "Id",
    "InstanceName",
    "KeyId",
    "Line",
    "Nonce",
    "OrNever",
    "Path",
    "Pem",
    "PublicKey",
    "Ranges",
    "ReadLater",
    "Real",
    "RequestId",
    "Seconds",
    "Sections",
    "ServerId",
    "Slot",
    "Spans",
    "TaskId",
    "Text",
    "Time",
    "Unfit",
    "Whole",
    "Word",
    "check",
    "checker",
    "fields_of",
    "is_structured",
    "taken_apart",
]
