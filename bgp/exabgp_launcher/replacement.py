"""One replacement in ExaBGP, as a value that is checked against the release before anything is changed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias


class ReplacedFunction(NamedTuple):
    """A function of a class or a module, the parameters that it has as released, and what takes its place."""

    owner: type | ModuleType
    name: str
    parameters: tuple[str, ...]
    replacement: Callable[..., Any]

    def mismatch(self) -> str | None:
        """Return why this release is not the one that the replacement is written for; None: nothing speaks against."""
        found = tuple(inspect.signature(getattr(self.owner, self.name)).parameters)
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


Replacement: TypeAlias = ReplacedFunction | ReplacedValue
