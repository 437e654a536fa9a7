"""A socket at which `sealward sample` has servers of the sample fleet changed and restored.

The sample fleet lives in the memory of the process that watches it, so no other process can reach it.
"""

from __future__ import annotations

import logging
import os
import socketserver
import threading
from typing import TYPE_CHECKING, Final

import libvirt

from sealward.characters import escaped

if TYPE_CHECKING:
    from pathlib import Path

    from sealward.node_agent.hypervisor.fleet import SampleFleet

log = logging.getLogger(__name__)

NAME: Final = "sample.sock"
MOST: Final = 200
"""The longest request, in bytes."""
PATIENCE: Final = 5.0
"""Seconds that a client may take for its request."""
DISKS: Final = {"change": ("disk", "other-disk"), "restore": ("other-disk", "disk")}
"""By request: the name of the server's first disk before and after."""


class SampleSocket:
    """Listens at `sample.sock` in a folder, for the folder's owner alone."""

    def __init__(self, folder: Path, fleet: SampleFleet) -> None:
        self._path = folder / NAME
        self._path.unlink(missing_ok=True)
        self._server = _Server(str(self._path), _Request)
        self._server.fleet = fleet
        self._thread = threading.Thread(target=self._server.serve_forever, name="sample", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and remove the socket."""
        self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)


class _Server(socketserver.UnixStreamServer):
    fleet: SampleFleet

    def server_bind(self) -> None:
        before = os.umask(0o177)
        try:
            super().server_bind()
        finally:
            os.umask(before)


class _Request(socketserver.StreamRequestHandler):
    """A line with `change` or `restore` and a server id; the answer is `ok` or `no`, and a text."""

    timeout = PATIENCE
    server: _Server

    def handle(self) -> None:
        asked = self.rfile.readline(MOST).decode(errors="replace").split()
        try:
            self.wfile.write(f"ok {_carry_out(self.server.fleet, asked)}\n".encode())
        except (ValueError, libvirt.libvirtError) as refused:
            self.wfile.write(f"no {escaped(str(refused))}\n".encode())


def _carry_out(fleet: SampleFleet, asked: list[str]) -> str:
    """Change or restore a server; return what was done. Raises ValueError, libvirtError."""
    if not asked or asked[0] not in DISKS:
        raise ValueError("ask for change or restore")
    server_id = asked[1] if len(asked) > 1 else fleet.server_ids()[0]
    before, after = (f"/{server_id}/{disk}'" for disk in DISKS[asked[0]])
    if before not in fleet.xml(server_id):
        raise ValueError(f"the disk of server {server_id} is /{server_id}/{DISKS[asked[0]][1]} already")
    fleet.replace(server_id, before, after)
    log.info("sealward sample %s: the disk of server %s is %s now", asked[0], server_id, after.strip("'"))
    return f"the disk of server {server_id} is …{after.strip(chr(39))} now"
