"""The parts that all commands share: the client, and columns named as OpenStack's commands name them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cliff.columns import FormattableColumn
from osc_lib.command import command

from sealward.osc.plugin import API_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sealward.client import Client

    Record = dict[str, Any]


class Sealward(command.Command):
    """A command that calls the API."""

    @property
    def sealward(self) -> Client:
        """Return the client. The first use finds the endpoint."""
        client: Client = getattr(self.app.client_manager, API_NAME)
        return client


class Json(FormattableColumn[Any]):
    """A list or object: unchanged in formats for machines, JSON on a line in tables."""

    def human_readable(self) -> str:
        """Return the JSON on a line."""
        return json.dumps(self._value, ensure_ascii=False)


class Lines(FormattableColumn[Any]):
    """Texts: a list in formats for machines, a line for each text in tables."""

    def human_readable(self) -> str:
        """Return a line for each text."""
        return "\n".join(map(str, self._value))


def shown(record: Record) -> tuple[tuple[str, ...], tuple[object, ...]]:
    """Return the names and values of a record, in the form of cliff's `ShowOne`."""
    return tuple(record), tuple(_formattable(value) for value in record.values())


def listed(
    names: Sequence[str], records: Iterable[Record]
) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Return the titles and rows, in the form of cliff's `Lister`."""
    titles = tuple(name.replace("_", " ").title().replace("Id", "ID") for name in names)
    return titles, [tuple(_formattable(record[name]) for name in names) for record in records]


def _formattable(value: object) -> object:
    return Json(value) if isinstance(value, (dict, list)) else value
