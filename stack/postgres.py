"""A private PostgreSQL server: its own folder, a unix socket in it, no password; TCP for TLS alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stack.processes import NotStarted, as_user, end, free_port, give_to, start, wait_until

if TYPE_CHECKING:
    from stack.certificates import Certificates

USER: Final = "postgres"
ROLES: Final = Path(__file__).parent.parent / "deploy/postgres/roles.sql"
SEALWARD: Final = "sealward"
"""The database that it makes."""
SETTINGS: Final = {
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "200",
    "shared_buffers": "128MB",
}


def binaries() -> Path:
    """Return where Debian keeps the newest server's programs. Raises NotStarted."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda one: float(one.parts[4]))
    if not found:
        raise NotStarted("no PostgreSQL server here: apt-get install postgresql")
    return found[-1].parent


class Postgres:
    """A server in a folder whose path must be short (sun_path: 107 bytes)."""

    def __init__(self, folder: Path, certificates: Certificates | None = None) -> None:
        self.folder = give_to(USER, folder)
        self.database = USER
        """The database that `url()` means."""
        self._settings = dict(SETTINGS)
        if certificates is not None:
            self._settings |= self._tls(certificates)
        self._data = self.folder / "data"
        self._log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        if not self._data.exists():
            where = ["-D", str(self._data), "-U", USER]
            line = [str(binaries() / "initdb"), *where, "-A", "trust", "-N", "-E", "UTF8"]
            done = subprocess.run(
                as_user(USER, line), capture_output=True, timeout=120, check=False, cwd=self.folder
            )
            if done.returncode != 0:
                raise NotStarted(done.stderr.decode())

    @property
    def pid(self) -> int | None:
        """Return the id of the server's first process; None while it is stopped."""
        return None if self._process is None else self._process.pid

    def url(self, database: str | None = None, user: str = USER) -> str:
        """Return the URL of a database, for the server's administrator or another user."""
        return f"postgresql://{user}@/{database or self.database}?host={self.folder}"

    def tls_url(self, ca: Path) -> str:
        """Return the URL over TLS, where there are certificates, for whom trusts that authority alone."""
        port = self._settings["port"]
        return f"postgresql://{USER}@127.0.0.1:{port}/{USER}?sslmode=verify-full&sslrootcert={ca}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        line = [str(binaries() / "postgres"), "-D", str(self._data), "-k", str(self.folder), *options]
        self._process = start(as_user(USER, line), self._log)
        wait_until(self._answers, self._process, self._log, 60)

    def stop(self) -> None:
        """Stop; clients are cut off."""
        if self._process is not None:
            self._process.send_signal(2)  # SIGINT: fast shutdown; SIGTERM waits for the clients
            end(self._process)
            self._process = None

    def kill(self) -> None:
        """Pull the plug."""
        if self._process is not None:
            self._process.send_signal(3)  # SIGQUIT: no shutdown, recovery at the next start
            end(self._process)
            self._process = None

    def create(self, database: str) -> str:
        """Make an empty database and return its URL."""
        self._psql(f'CREATE DATABASE "{database}"')
        return self.url(database)

    def make_roles(self, passwords: Path) -> None:
        """Make Sealward's roles and database, once, as an administrator would. Raises NotStarted."""
        program = [str(binaries() / "psql"), "-q", "-v", "ON_ERROR_STOP=1"]
        words = [*program, "-d", self.url(USER), "-f", str(ROLES)]
        env = os.environ | {"SEALWARD_PASSWORDS": str(passwords)}
        done = subprocess.run(words, env=env, capture_output=True, timeout=60, check=False)
        if done.returncode != 0:
            raise NotStarted(done.stderr.decode())

    def drop(self, database: str) -> None:
        """Drop a database and end its connections."""
        self._psql(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def _tls(self, certificates: Certificates) -> dict[str, str]:
        """Return the settings of a server with TLS, which wants its files for itself."""
        own = {"ssl_cert_file": certificates.certificate, "ssl_key_file": certificates.key}
        for name, path in own.items():
            shutil.copyfile(path, self.folder / name)
            (self.folder / name).chmod(0o600)
            give_to(USER, self.folder / name)
        files = {name: str(self.folder / name) for name in own}
        return {"listen_addresses": "127.0.0.1", "port": str(free_port()), "ssl": "on"} | files

    def _psql(self, statement: str) -> None:
        line = [str(binaries() / "psql"), "-q", "-d", self.url(USER), "-c", statement]
        subprocess.run(line, capture_output=True, timeout=60, check=True)

    def _answers(self) -> bool:
        where = ["-h", str(self.folder), "-p", self._settings["port"]]
        line = [str(binaries() / "pg_isready"), "-q", *where]
        return subprocess.run(line, timeout=10, check=False).returncode == 0
