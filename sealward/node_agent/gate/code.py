"""What the hook runs: Python, Sealward's package and its libraries, and who can change them.

Python runs a compiled file that lies beside a source without looking at more of the source than its time and
size. So what is compared is both, and whatever else Python would take for a module of the package.
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
    """Return the folders in which the hook finds Sealward and what it needs."""
    found = (str(PACKAGE.parent), sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    return tuple(dict.fromkeys(found))


def folders() -> tuple[Path, ...]:
    """Return the folders that are worth a look at once: the client's, and of what it was compiled to."""
    return (CLIENT.parent, CLIENT.parent / "__pycache__")


def compiled() -> None:
    """Have all of the package compiled, for everybody to read: using it changes nothing then.

    Where the caller may not write, it stays as it is.
    """
    before = os.umask(0o022)
    try:
        compileall.compile_dir(PACKAGE, quiet=2)
    finally:
        os.umask(before)


def digest() -> str:
    """Return the digest of all that Python would run of the package. Raises OSError."""
    whole = hashlib.sha256()
    for path in sorted(_modules()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(PACKAGE)} {content}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


def unprotected(owners: Collection[int]) -> Path | None:
    """Return what others than these users can change of it, the first that is found. Raises OSError."""
    return next((one for one in _places() if not is_guarded(one.lstat(), owners)), None)


def _modules() -> Iterator[Path]:
    for folder, _, names in os.walk(PACKAGE):
        for name in names:
            if name.endswith(MODULES):
                yield Path(folder, name)


def _places() -> Iterator[Path]:
    """Yield all that decides what runs: each with the folders above it, and all of the package."""
    python = Path(sys.executable)
    settings = Path(sys.prefix, "pyvenv.cfg")
    above = {python, python.resolve(), Path(os.__file__), PACKAGE, *map(Path, libraries())}
    above |= {settings} if settings.exists() else set()
    yield from {one for place in above for one in (place, *place.parents)}
    for folder, folders_in_it, names in os.walk(PACKAGE):
        yield from (Path(folder, name) for name in (*folders_in_it, *names))
