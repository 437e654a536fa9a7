"""The names of settings: a variable that looks like a setting and is none is refused.

A misspelt name would leave the default in force: without a database's URL, for instance, a command works on a
file of its own.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

from sealward.settings.declared import declared_by
from sealward.settings.kinds import SettingRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from _typeshed import DataclassInstance

CLIENTS: Final = ("SEALWARD_URL", "SEALWARD_TOKEN", "SEALWARD_TOKEN_FILE")
"""What `sealward subscribe` reads: a client has these beside the settings of a process."""
TOOLS: Final = (
    "SEALWARD_PASSWORDS",
    "SEALWARD_REWRITE_DOCS",
    "SEALWARD_SIMULATION_SEEDS",
    "SEALWARD_STORM_SEEDS",
)
"""What deploy/postgres/roles.sql and the tests of the repository read, beside SEALWARD_TEST_…."""
OF_OTHERS: Final = re.compile(
    r"SEALWARD_TEST_\w+|SEALWARD(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)"
)
"""The variables of tests, and those that Kubernetes sets in all containers for a service named sealward…:
https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables."""
ALIKE: Final = 0.85
"""How alike (0 to 1) a name without the prefix SEALWARD is to the setting that it is a misspelling of."""


def refuse_unknown(env: Mapping[str, str], *groups: type[DataclassInstance]) -> None:
    """Refuse variables that are no setting of these classes, and look like one. Raises SettingRefused."""
    known = frozenset(_known(groups))
    for name in sorted(env.keys() - known):
        refused = _refused(name, known)
        if refused is not None:
            raise SettingRefused(refused)


def _known(groups: Iterable[type[DataclassInstance]]) -> Iterable[str]:
    yield from CLIENTS
    yield from TOOLS
    for group in groups:
        for one in declared_by(group):
            yield one.name
            if one.secret:
                yield f"{one.name}_FILE"


def _refused(name: str, known: frozenset[str]) -> str | None:
    """Return why a variable is refused; None where it is not meant for Sealward."""
    written = re.sub(r"[^A-Z0-9]+", "_", name.upper())
    is_ours = written.startswith("SEALWARD") and written != "SEALWARD"
    if OF_OTHERS.fullmatch(name):
        return None
    base = written.removesuffix("_FILE")
    if is_ours and base != written and base in known:
        return f"{name}: no such setting; {base} is no secret, and is not read from a file"
    if is_ours:
        rest = written.removeprefix("SEALWARD").removeprefix("_")
        alike = [
            f"SEALWARD_{one}"
            for one in difflib.get_close_matches(rest, sorted(one.removeprefix("SEALWARD_") for one in known))
        ]
    else:
        alike = difflib.get_close_matches(written, sorted(known), 1, ALIKE)
    if alike:
        return f"{name}: no such setting; did you mean {' or '.join(alike)}?"
    return f"{name}: no such setting; `sealward settings` lists them" if is_ours else None
