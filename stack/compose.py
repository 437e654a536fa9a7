"""Sealward's own processes in compose.yaml: `make stack` starts these, and no other processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE: Final = Path(__file__).parent.parent / "compose.yaml"
SECRETS: Final = "/run/secrets/"
SERVERS: Final = ("postgres", "rabbitmq")


@dataclass(frozen=True, slots=True)
class Service:
    """A process, or several alike: the words of the sub-command and its environment, as in a container."""

    name: str
    words: tuple[str, ...]
    environment: Mapping[str, str]
    replicas: int
    once: bool

    @property
    def command(self) -> str:
        """Return the sub-command."""
        return self.words[0]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the replicas: api-1, api-2."""
        return tuple(f"{self.name}-{number}" for number in range(1, self.replicas + 1))


def services() -> dict[str, Service]:
    """Return Sealward's own services by name, those that run once first."""
    document: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    found = [_service(name, one) for name, one in document["services"].items() if name not in SERVERS]
    return {one.name: one for one in sorted(found, key=lambda one: not one.once)}


def _service(name: str, service: Mapping[str, Any]) -> Service:
    return Service(
        name,
        tuple(service["command"]),
        service.get("environment", {}),
        service.get("deploy", {}).get("replicas", 1),
        once=service["restart"] == "on-failure",
    )
