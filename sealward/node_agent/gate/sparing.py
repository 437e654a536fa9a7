"""A module that others import and rarely use is loaded at its use: a start waits for all that is loaded."""

import sys
from types import ModuleType


class _Deferred(ModuleType):
    """Stands for a module until somebody asks for one of its names; then it has all of them."""

    def __getattr__(self, name: str) -> object:
        """Load the module, and return what it has under that name."""
        del sys.modules[self.__name__]
        loaded = __import__(self.__name__)
        self.__dict__.update(loaded.__dict__)
        found: object = getattr(loaded, name)
        return found


def defer(name: str) -> None:
    """Have a module of the standard library loaded at its first use, unless it is loaded already."""
    if name not in sys.modules:
        sys.modules[name] = _Deferred(name)
