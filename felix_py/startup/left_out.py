"""Which modules of others the agent's process does without: they cost time at each start, and memory for good.

To be used before they are imported; it imports nothing of weight itself.
"""

from __future__ import annotations

import importlib
import os
import sys
import typing
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType
from typing import Any

METADATA = "importlib.metadata"
TLS = ("ssl",)
HASHES = ("_md5", "_sha1", "_sha3", "_blake2", *(("_sha256", "_sha512") if sys.version_info < (3, 12) else ("_sha2",)))
"""Python's own."""


@contextmanager
def without(modules: Iterable[str]) -> Iterator[None]:
    """Have what is imported meanwhile find none of these modules, as where Python was built without them."""
    absent = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def annotations_compiled_once() -> Iterator[None]:
    """Have typing compile each text of an annotation once, while classes are made of them.

    Of 1,600 fields of named tuples, typed dictionaries and models in what the agent imports nearly all say one of a few
    things, such as `str`. Compiling them all took a twentieth of the time of all imports.
    """
    vars(typing)["compile"] = lru_cache(maxsize=None)(compile)  # what a module has is used before what is built in
    try:
        yield
    finally:
        del vars(typing)["compile"]


def openssls_hashes() -> tuple[str, ...]:
    """Return the module that brings OpenSSL along for hashes; none where Python was built without its own."""
    try:
        for name in HASHES:
            importlib.import_module(name)
    except ImportError:
        return ()
    return ("_hashlib",)


def leave_out_plugins() -> None:
    """Have pydantic look for no plugins: it would read what is installed of every distribution.

    What it imports for that, which brings the parser of e-mail along, is loaded when anybody uses it.
    """
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    if METADATA not in sys.modules:
        sys.modules[METADATA] = importlib.metadata = _MetadataWhenUsed(METADATA)


class _MetadataWhenUsed(ModuleType):
    """Stands in for importlib.metadata until anything of it is used."""

    def entry_points(self, **wanted: Any) -> Any:
        """Import this, and nothing is loaded yet."""
        return self._loaded().entry_points(**wanted)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import machinery asks
            raise AttributeError(name)
        return getattr(self._loaded(), name)

    def _loaded(self) -> ModuleType:
        if sys.modules.get(METADATA) is self:
            del sys.modules[METADATA]
        return importlib.import_module(METADATA)
