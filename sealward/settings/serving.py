"""Settings of the HTTP server: TLS, reverse proxies and limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sealward.settings import kinds
from sealward.settings.declared import setting
from sealward.settings.kinds import SettingRefused

if TYPE_CHECKING:
    from pathlib import Path

    from sealward.settings.kinds import Network


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a process that serves HTTP does at a time for one token, or for one client address."""

    connections: int = setting(
        "SEALWARD_LIMIT_CONNECTIONS", kinds.count, 128, "connections of one client address"
    )
    streams: int = setting(
        "SEALWARD_LIMIT_STREAMS",
        kinds.count,
        6,
        "streams of events that a token may have open; an address three times as many",
    )
    writes: int = setting(
        "SEALWARD_LIMIT_WRITES",
        kinds.count,
        16,
        "POSTs, PUTs and DELETEs of a token that may wait at a time; an address three times as many",
    )
    past: int = setting(
        "SEALWARD_LIMIT_PAST",
        kinds.count,
        2,
        "questions about the past (`at`) of a token at a time; an address three times as many",
    )
    refused: int = setting(
        "SEALWARD_LIMIT_REFUSED",
        kinds.count,
        30,
        "different wrong tokens that an address may send in a minute",
    )


@dataclass(frozen=True, slots=True)
class Serving:
    """How HTTP is served: with TLS or without, behind which proxies, and how much at a time."""

    certificate: Path | None = setting(
        "SEALWARD_TLS_CERTIFICATE",
        kinds.file,
        None,
        "the API's own certificate with its chain, PEM; see docs/operations.md#serve-https",
        shown="plain HTTP",
    )
    key: Path | None = setting("SEALWARD_TLS_KEY", kinds.file, None, "the key of that certificate, PEM")
    public_url: str | None = setting(
        "SEALWARD_PUBLIC_URL",
        kinds.url,
        None,
        "the beginning of the links in answers, as `https://sealward.example:9362`",
        shown="links are relative",
    )
    proxies: tuple[Network, ...] = setting(
        "SEALWARD_TRUSTED_PROXIES",
        kinds.networks,
        (),
        "addresses or networks of the reverse proxies whose word on the client's address counts",
    )
    proxy_header: str = setting(
        "SEALWARD_PROXY_HEADER",
        kinds.one_of("x-forwarded-for", "forwarded"),
        "x-forwarded-for",
        "the header in which these proxies name the client, or `forwarded`; the other header is never read",
    )
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Check that certificate and key are both set, or neither. Raises SettingRefused."""
        if (self.certificate is None) != (self.key is None):
            raise SettingRefused("SEALWARD_TLS_CERTIFICATE and SEALWARD_TLS_KEY: set both, or neither")
