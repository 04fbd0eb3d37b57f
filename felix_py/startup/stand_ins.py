"""What takes the place of modules that others import and the agent's process does not use.

To be used before they are imported; it imports nothing of weight itself.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bgp.exabgp_launcher.left_out import Unused, leave_out_pythons_datetime
from bgp.left_out import OF_MSGSPEC, ModuleWhenUsed

JSON_SCHEMA = "pydantic.json_schema"
CORE_SCHEMA = "pydantic_core.core_schema"

FLAGS_OF_CODE = {
    1 << bit: name
    for bit, name in enumerate(
        (
            *("OPTIMIZED", "NEWLOCALS", "VARARGS", "VARKEYWORDS", "NESTED"),
            *("GENERATOR", "NOFREE", "COROUTINE", "ITERABLE_COROUTINE", "ASYNC_GENERATOR"),
        )
    )
}
"""As dis has them: inspect makes constants of them."""


def leave_out() -> None:
    """Have what is imported from now on find stand-ins; what has been imported by now stays as it is."""
    leave_out_pythons_datetime()
    for stand_in in (
        *map(Unused, OF_MSGSPEC),
        ModuleWhenUsed("ast", NodeVisitor=Visitor),  # inspect's and pydantic's, to read source code
        ModuleWhenUsed("asyncio.sslproto"),
        ModuleWhenUsed("tokenize"),  # linecache's, to show lines of source code
        ModuleWhenUsed("dis", COMPILER_FLAG_NAMES=FLAGS_OF_CODE),  # inspect's
        ModuleWhenUsed("locale"),  # subprocess's, for text
        ModuleWhenUsed("platform", system=lambda: os.uname().sysname),  # uuid asks
    ):
        sys.modules.setdefault(stand_in.__name__, stand_in)


@contextmanager
def small_pydantic() -> Iterator[None]:
    """Have pydantic, if it is imported meanwhile, do without what no model of ours uses.

    That are time zones, which bring what Python was built with along, fractions, and JSON schemas of models. Whoever
    imports one of these modules later gets it. The forms that pydantic's own schemas have are for type checkers alone:
    a class of typing for each takes 0.7 MB.
    """
    schemas = Unused(JSON_SCHEMA)
    vars(schemas)["WithJsonSchema"] = Ignored
    stand_ins = {each.__name__: each for each in (schemas, Unused("zoneinfo"), Unused("fractions"))}
    absent = [name for name in stand_ins if name not in sys.modules]
    sys.modules.update((name, stand_ins[name]) for name in absent)
    try:
        if CORE_SCHEMA not in sys.modules:
            with _plain_forms():
                importlib.import_module(CORE_SCHEMA)
        yield
    finally:
        for name in absent:
            if sys.modules.get(name) is stand_ins[name]:
                del sys.modules[name]


class Ignored:
    """What is said of a field, and nobody asks about it."""

    def __init__(self, *said: object, **more: object) -> None:
        pass


class Form(dict[str, Any]):
    """A dictionary, as an instance of typing.TypedDict is one; nothing is known of its fields."""

    def __new__(cls, *values: Any, **named: Any) -> Any:
        return dict(*values, **named)

    def __init_subclass__(cls, *, total: bool = True) -> None:
        pass


@contextmanager
def _plain_forms() -> Iterator[None]:
    """Have whoever imports TypedDict meanwhile make plain classes with it."""
    modules = [importlib.import_module(name) for name in ("typing", "typing_extensions")]
    real = [module.TypedDict for module in modules]
    for module in modules:
        vars(module)["TypedDict"] = Form
    try:
        yield
    finally:
        for module, typed in zip(modules, real, strict=True):
            vars(module)["TypedDict"] = typed


class Visitor:
    """Does as ast.NodeVisitor, which has been loaded where there is a tree to visit."""

    def visit(self, node: Any) -> Any:
        return importlib.import_module("ast").NodeVisitor.visit(self, node)

    def generic_visit(self, node: Any) -> Any:
        return importlib.import_module("ast").NodeVisitor.generic_visit(self, node)
