"""The settings in the environment, and the data directory that they name."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from sealward.cli.refusal import Refusal, refusing
from sealward.settings import SettingRefused, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator


def settings() -> Settings:
    """Return the settings of the environment. Raises Refusal."""
    with refusing(SettingRefused):
        return Settings.from_env(os.environ)


def own_settings() -> Settings:
    """Return the settings, if the data directory is missing or belongs to root or to the caller.

    Another owner of the directory could make root write to files of root's. Raises Refusal.
    """
    from sealward.node_agent.gate.guarded import PathRefused, enter

    found = settings()
    if found.database_url is None and os.path.lexists(found.data_dir):
        with refusing(PathRefused, OSError):
            enter(found.data_dir).close()
    return found


def existing_settings() -> Settings:
    """Return the settings, if the data directory has a log already. Raises Refusal."""
    found = own_settings()
    if found.database_url is None and not (found.data_dir / "log.sqlite").exists():
        raise Refusal(f"{found.data_dir} has no log; SEALWARD_DATA_DIR names the data directory")
    return found


@contextlib.contextmanager
def alone(where: Settings) -> Iterator[None]:
    """Lock the data directory for this process. Raises Refusal when another process has locked it."""
    where.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (where.data_dir / "lock").open("w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            message = f"another sealward runs on {where.data_dir}; stop it or set SEALWARD_DATA_DIR"
            raise Refusal(message) from taken
        yield
