"""A private Keystone: its own virtual environment, SQLite in a folder, loopback.

`scripts/setup.sh dev` makes `.venv-keystone`; nothing of it is installed beside Sealward.
"""

from __future__ import annotations

import base64
import http
import os
import subprocess
import urllib.request
from pathlib import Path
from typing import Final

from stack.processes import NotStarted, end, free_port, start, wait_until

PYTHON: Final = Path(__file__).parent.parent / ".venv-keystone" / "bin" / "python"
REGION: Final = "RegionOne"
PASSWORD: Final = "password-of-a-private-keystone"  # noqa: S105 - made up
PATIENCE: Final = 120.0

CONFIGURATION: Final = """
[database]
connection = sqlite:///{folder}/keystone.db
[fernet_tokens]
key_repository = {folder}/fernet
[fernet_receipts]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credential
[identity]
password_hash_rounds = 4
"""
MANAGE: Final = """
import sys
from keystone.cmd.manage import main
sys.argv[0] = "keystone-manage"
sys.exit(main())
"""
SERVE: Final = """
import sys, waitress
host, port, sys.argv = sys.argv[1], int(sys.argv[2]), ["keystone"]  # it would read our words as its own
from keystone.wsgi.api import application
waitress.serve(application, host=host, port=port, threads=8)
"""


class Keystone:
    """A bootstrapped Keystone: user admin with the role admin in project admin and on the system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder / "log"
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._env = {"OS_KEYSTONE_CONFIG_FILES": str(folder / "keystone.conf"), "PYTHONWARNINGS": "ignore"}

    @property
    def url(self) -> str:
        """Return the URL of its API."""
        return f"http://127.0.0.1:{self._port}/v3"

    def start(self) -> None:
        """Start, and wait until it answers; the first time it makes its database."""
        if not PYTHON.exists():
            raise NotStarted("no Keystone here: scripts/setup.sh dev")
        if not (self.folder / "keystone.conf").exists():
            self._make()
        line = [str(PYTHON), "-c", SERVE, "127.0.0.1", str(self._port)]
        self._process = start(line, self._log, self._env)
        wait_until(self._answers, self._process, self._log, PATIENCE)

    def stop(self) -> None:
        """End it; it can be started again, with all it knew."""
        if self._process is not None:
            end(self._process)
            self._process = None

    def environment(self, user: str = "admin", password: str = PASSWORD, **scope: str) -> dict[str, str]:
        """Return the environment of OpenStack's clients; the default scope is the project admin."""
        named = scope or {"OS_PROJECT_NAME": "admin", "OS_PROJECT_DOMAIN_NAME": "Default"}
        return {
            "OS_AUTH_URL": self.url,
            "OS_USERNAME": user,
            "OS_PASSWORD": password,
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_IDENTITY_API_VERSION": "3",
            "OS_REGION_NAME": REGION,
        } | named

    def _make(self) -> None:
        for name in ("fernet", "credential"):
            keys = self.folder / name
            keys.mkdir(mode=0o700)
            for number in "01":
                (keys / number).write_bytes(base64.urlsafe_b64encode(os.urandom(32)))
        (self.folder / "keystone.conf").write_text(CONFIGURATION.format(folder=self.folder), encoding="utf-8")
        self._manage("db_sync")
        urls = [f"--bootstrap-{kind}-url={self.url}" for kind in ("public", "internal", "admin")]
        self._manage(
            "bootstrap", f"--bootstrap-password={PASSWORD}", f"--bootstrap-region-id={REGION}", *urls
        )

    def _manage(self, *words: str) -> None:
        with self._log.open("ab") as output:
            done = subprocess.run(
                [str(PYTHON), "-c", MANAGE, "--config-file", str(self.folder / "keystone.conf"), *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=PATIENCE,
                check=False,
                env=os.environ | self._env,
            )
        if done.returncode != 0:
            raise NotStarted(f"keystone-manage {words[0]} failed; {self._log} ends with:\n{self._tail()}")

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=PATIENCE) as answer:
                return bool(answer.status == http.HTTPStatus.OK)
        except OSError:
            return False
