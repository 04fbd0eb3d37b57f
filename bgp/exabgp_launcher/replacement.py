"""One replacement in ExaBGP, as a value that is checked against the release before anything is changed."""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType, MethodType, ModuleType
from typing import Any, NamedTuple, TypeAlias

VARARGS, VARKEYWORDS = 4, 8  # flags of code objects, as in Python's module inspect


class ReplacedFunction(NamedTuple):
    """A function of a class or a module, the parameters that it has as released, and what takes its place."""

    owner: type | ModuleType
    name: str
    parameters: tuple[str, ...]
    replacement: Callable[..., Any]

    def mismatch(self) -> str | None:
        """Return why this release is not the one that the replacement is written for; None: nothing speaks against."""
        found = parameters(getattr(self.owner, self.name))
        if found == self.parameters:
            return None
        return f"patch ExaBGP's {self.owner.__name__}.{self.name}: it takes {found}, not {self.parameters}"


class ReplacedValue(NamedTuple):
    """A module that a module of ExaBGP uses, or a constant of a class, as released, and what takes its place."""

    owner: type | ModuleType
    name: str
    released: object
    replacement: object

    def mismatch(self) -> str | None:
        """Return why this release is not the one that the replacement is written for; None: nothing speaks against."""
        found = getattr(self.owner, self.name, None)
        if found == self.released:
            return None
        return f"patch ExaBGP's {self.owner.__name__}.{self.name}: it is {found}, not {self.released}"


def parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of what a function takes, those of a method without what it is bound to.

    As inspect.signature has them for what ExaBGP consists of; with all that it imports that takes 1 MB.
    """
    if isinstance(function, MethodType):
        return parameters(function.__func__)[1:]
    code: CodeType = function.__code__
    count = code.co_argcount + code.co_kwonlyargcount
    extra = bool(code.co_flags & VARARGS) + bool(code.co_flags & VARKEYWORDS)
    return code.co_varnames[: count + extra]


Replacement: TypeAlias = ReplacedFunction | ReplacedValue
