"""What the sidecar's process does without: modules of Python and of msgspec that others import and it does not use.

To be called before they are imported; it imports nothing of weight itself.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

from bgp.exabgp_launcher.left_out import Unused, leave_out_pythons_datetime, module

ABSENT = ("ssl", "typing_extensions")
"""The sidecar speaks no TLS, and OpenSSL takes 1.5 MB. msgspec takes from typing what it does not find here."""

OF_MSGSPEC = tuple(f"msgspec.{name}" for name in ("_json_schema", "inspect", "toml", "yaml"))

COROUTINE = 128  # a flag of code objects, as in Python's module inspect


def leave_out() -> None:
    """Have what is imported from now on find stand-ins; what has been imported by now stays as it is."""
    leave_out_pythons_datetime()
    stand_ins = [
        *(Unused(name) for name in (*OF_MSGSPEC, "asyncio.sslproto", "decimal")),
        module("uuid", UUID=type("UUID", (), {}), SafeUUID=SimpleNamespace(unknown=None)),  # msgspec's, as is decimal
        ModuleWhenUsed("inspect", iscoroutinefunction=is_coroutine_function),  # asyncio asks, of a signal's handler
        ModuleWhenUsed("locale"),  # subprocess's, for text
        *map(ModuleWhenUsed, ("textwrap", "tokenize")),  # traceback's, to show lines of source code
        ModuleWhenUsed("urllib.parse", quote_from_bytes=None),  # pathlib's, for addresses of files
    ]
    for stand_in in stand_ins:
        sys.modules.setdefault(stand_in.__name__, stand_in)
    for name in ABSENT:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


class ModuleWhenUsed(ModuleType):
    """Stands in for a module until anything of it is used.

    content: what those use that only import it: what serves them, or None: the module's own function, loaded by a call.
    """

    def __init__(self, name: str, **content: Any) -> None:
        super().__init__(name)
        self.__dict__.update((each, serves or self._later(each)) for each, serves in content.items())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import machinery asks
            raise AttributeError(name)
        return getattr(self._loaded(), name)

    def _later(self, name: str) -> Callable[..., Any]:
        return lambda *values, **named: getattr(self._loaded(), name)(*values, **named)

    def _loaded(self) -> ModuleType:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return importlib.import_module(self.__name__)


def is_coroutine_function(it: object) -> bool:
    """Do as inspect.iscoroutinefunction; with all that it imports that takes 1 MB."""
    function = it.__func__ if isinstance(it, MethodType) else it
    if isinstance(function, FunctionType):
        return bool(function.__code__.co_flags & COROUTINE)
    found: bool = importlib.import_module("inspect").iscoroutinefunction(it)
    return found
