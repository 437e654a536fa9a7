"""Defers the import of a module until it is used, because a start waits for every module that is loaded."""

import sys
from types import ModuleType


class _Deferred(ModuleType):
    """Stands for a module. The first access to an attribute loads the module."""

    def __getattr__(self, name: str) -> object:
        """Load the module, take over its attributes, and return the attribute `name`."""
        del sys.modules[self.__name__]
        loaded = __import__(self.__name__)
        self.__dict__.update(loaded.__dict__)
        found: object = getattr(loaded, name)
        return found


def defer(name: str) -> None:
    """Have a module of the standard library loaded at its first use, unless it is loaded already."""
    if name not in sys.modules:
        sys.modules[name] = _Deferred(name)
