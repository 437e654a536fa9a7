"""Opens the databases of a control plane: PostgreSQL where the settings name a server, else SQLite files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealward.control.database import SqliteControl
from sealward.events.store import store as stores
from sealward.projections.store.database import Projections
from sealward.projections.store.sqlite import SqliteBackend

if TYPE_CHECKING:
    from pathlib import Path

    from sealward.control.database import ControlDatabase
    from sealward.events.store.store import EventStore
    from sealward.settings import Settings


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a control plane under its data directory."""

    data_dir: Path

    @property
    def log(self) -> Path:
        """Return the path of the event log, the only file that cannot be made again."""
        return self.data_dir / "log.sqlite"

    @property
    def rows(self) -> Path:
        """Return the path of the projections: they can be deleted, and are rebuilt from the log."""
        return self.data_dir / "rows.sqlite"

    @property
    def control(self) -> Path:
        """Return the path of the tokens, leases and other tables that are neither log nor projection."""
        return self.data_dir / "control.sqlite"

    @property
    def log_key(self) -> Path:
        """Return the path of the private key that signs the log's checkpoints."""
        return self.data_dir / "log.pem"

    @property
    def authority(self) -> Path:
        """Return the path of the authority's private key."""
        return self.data_dir / "authority.pem"


@dataclass(frozen=True, slots=True)
class Storage:
    """The event log, the projections and the control tables. On PostgreSQL the three are one database."""

    store: EventStore
    projections: Projections
    control: ControlDatabase

    def close(self) -> None:
        """Close the three."""
        self.projections.close()
        self.control.close()
        self.store.close()


def storage(settings: Settings) -> Storage:
    """Open the databases that the settings name. Raises NotMigrated, StoreUnavailable."""
    if settings.database_url is not None:
        return _postgres(settings.database_url)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = Files(settings.data_dir)
    return Storage(
        stores.sqlite(files.log), Projections(SqliteBackend(files.rows)), SqliteControl(files.control)
    )


def control(settings: Settings) -> ControlDatabase:
    """Open the control tables alone. Raises StoreUnavailable."""
    if settings.database_url is None:
        return SqliteControl(Files(settings.data_dir).control)
    from sealward.control.postgres import PostgresControl  # noqa: PLC0415 - SQLite needs no psycopg

    return PostgresControl(settings.database_url)


def _postgres(url: str) -> Storage:
    from sealward.control.postgres import PostgresControl  # noqa: PLC0415 - SQLite needs no psycopg
    from sealward.events.store.postgres import postgres  # noqa: PLC0415 - as above
    from sealward.projections.store.postgres import PostgresBackend  # noqa: PLC0415 - as above

    return Storage(postgres(url), Projections(PostgresBackend(url)), PostgresControl(url))
