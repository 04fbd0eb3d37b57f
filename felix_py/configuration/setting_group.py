"""Settings of one kind as a value: what was given, and the default of everything else.

Pure. What nobody gives is neither checked nor kept, which is nearly all: of sixty fields, a model of pydantic's cost
each start a tenth of all its imports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, Self


class TextRefused(ValueError):
    """The text of a variable is not allowed. The sentence says why, "" where the allowed values alone explain it."""

    def __init__(self, variable: str, reason: str) -> None:
        super().__init__(reason)
        self.variable = variable


class Setting:
    """A field that is read from a variable. allowed: its values, in the words of a refusal.

    parse: returns the value of a text. Raises ValueError, as `TextRefused`.
    """

    def __init__(self, variable: str, default: Any, allowed: str, parse: Callable[[str], Any]) -> None:
        self.variable, self.default, self.allowed, self.parse = variable, default, allowed, parse

    def __get__(self, group: Group | None, owner: type[Group]) -> Any:
        """Return the default: what was given to a group stands before this in it."""
        return self if group is None else self.default


class Group:
    """A frozen value. Its fields are what is annotated: settings, and other values with their defaults."""

    def __init__(self, **given: Any) -> None:
        """given: values by name of the field, not checked."""
        if unknown := given.keys() - set(self._names()):
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(unknown))}")
        vars(self).update(given)

    @classmethod
    def read(cls, written: Mapping[str, str], **given: Any) -> Self:
        """Return the group with the values of these texts, by their variables, and those given. Raises TextRefused."""
        for name, setting in cls.settings():
            if setting.variable in written:
                try:
                    given[name] = setting.parse(written[setting.variable])
                except ValueError as error:
                    raise TextRefused(setting.variable, str(error)) from None
        return cls(**given)

    @classmethod
    def settings(cls) -> Iterator[tuple[str, Setting]]:
        """Yield name and setting of each field that is read from a variable."""
        for name in cls._names():
            if isinstance(found := getattr(cls, name, None), Setting):
                yield name, found

    @classmethod
    def _names(cls) -> Iterator[str]:
        return iter({name: None for base in reversed(cls.__mro__) for name in vars(base).get("__annotations__", ())})

    def replace(self, **changes: Any) -> Self:
        """Return a copy to which these were given, too."""
        return type(self)(**{**vars(self), **changes})

    def gives(self, name: str) -> bool:
        """Whether this field was given, be it its default."""
        return name in vars(self)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self._names())

    __hash__ = None  # type: ignore[assignment]  # nobody keeps settings by their value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"
