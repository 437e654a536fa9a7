"""The code that the hook runs (Python, Sealward's package, its libraries), and which users can change it.

Python runs a compiled file beside a source file if time and size of the source fit, without reading the
source. So the digest covers compiled files as well as sources, and every other file that Python would import
as a module.
"""

from __future__ import annotations

import compileall
import hashlib
import importlib.machinery
import os
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sealward
from sealward.node_agent.files.protected import is_guarded
from sealward.node_agent.gate import client

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

CLIENT: Final = Path(client.__file__).resolve()
PACKAGE: Final = Path(sealward.__path__[0]).resolve()
MODULES: Final = tuple(importlib.machinery.all_suffixes())


def libraries() -> tuple[str, ...]:
    """Return the folders in which the hook finds Sealward and its libraries."""
    found = (str(PACKAGE.parent), sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    return tuple(dict.fromkeys(found))


def folders() -> tuple[Path, ...]:
    """Return the folders to watch: the client's folder, and the folder with the client's compiled files."""
    return (CLIENT.parent, CLIENT.parent / "__pycache__")


def compiled() -> None:
    """Compile the whole package, readable for all users, so that running the hook changes no file later.

    Nothing changes in folders that the caller may not write to.
    """
    before = os.umask(0o022)
    try:
        compileall.compile_dir(PACKAGE, quiet=2)
    finally:
        os.umask(before)


def digest() -> str:
    """Return the digest of all files of the package that Python would run. Raises OSError."""
    whole = hashlib.sha256()
    for path in sorted(_modules()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(PACKAGE)} {content}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


def unprotected(owners: Collection[int]) -> Path | None:
    """Return the first path found that users other than `owners` can change; None for none.

    Raises OSError.
    """
    return next((one for one in _paths() if not is_guarded(one.lstat(), owners)), None)


def _modules() -> Iterator[Path]:
    for folder, _, names in os.walk(PACKAGE):
        for name in names:
            if name.endswith(MODULES):
                yield Path(folder, name)


def _paths() -> Iterator[Path]:
    """Yield all paths that decide which code runs: each with the folders above it, and all of the package."""
    python = Path(sys.executable)
    settings = Path(sys.prefix, "pyvenv.cfg")
    above = {python, python.resolve(), Path(os.__file__), PACKAGE, *map(Path, libraries())}
    above |= {settings} if settings.exists() else set()
    yield from {one for path in above for one in (path, *path.parents)}
    for folder, folders_in_it, names in os.walk(PACKAGE):
        yield from (Path(folder, name) for name in (*folders_in_it, *names))
