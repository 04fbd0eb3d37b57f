"""Counts how many entries of a program's tables are looked at one by one, so that a test can say what a change costs.

Asking a table for one key costs nothing that grows, and is not counted. To walk over it, or to copy it, is.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, MutableSet, ValuesView
from functools import partial
from types import MethodType
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import force_setattr

from tests.layout.tree import PACKAGES

K = TypeVar("K")
V = TypeVar("V")


class Looks:
    """How many entries were looked at in each table since this was last taken. Tables are named as they are reached."""

    def __init__(self) -> None:
        self._at: dict[str, int] = {}

    def add(self, table: str, entries: int = 1) -> None:
        self._at[table] = self._at.get(table, 0) + entries

    def take(self) -> dict[str, int]:
        taken, self._at = self._at, {}
        return taken


class CountedDict(dict[K, V]):
    """A mapping that counts. It is told where to only after it is filled."""

    look: Callable[[int], None] = staticmethod(lambda entries: None)

    def __iter__(self) -> Iterator[K]:
        for key in super().__iter__():
            self.look(1)
            yield key

    def keys(self) -> KeysView[K]:  # type: ignore[override]
        return KeysView(self)

    def values(self) -> ValuesView[V]:  # type: ignore[override]
        return ValuesView(self)

    def items(self) -> ItemsView[K, V]:  # type: ignore[override]
        return ItemsView(self)

    def copy(self) -> dict[K, V]:
        return dict(self)


class CountedSet(MutableSet[K]):
    """A set that counts. It is none of Python's own, which would be copied past `__iter__` by `set(…)` and `|`."""

    look: Callable[[int], None] = staticmethod(lambda entries: None)

    def __init__(self, items: Iterable[K] = ()) -> None:
        self._items = set(items)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[K]:
        for item in self._items:
            self.look(1)
            yield item

    def add(self, value: K) -> None:
        self._items.add(value)

    def discard(self, value: K) -> None:
        self._items.discard(value)

    def update(self, *others: Iterable[K]) -> None:
        self._items.update(*others)

    def difference_update(self, *others: Iterable[K]) -> None:
        self._items.difference_update(*others)

    def __ior__(self, other: Any) -> CountedSet[K]:  # type: ignore[misc]
        if not isinstance(other, set | frozenset):
            self.look(len(self))  # of a mapping's keys: Python's own set would be copied
        self._items.update(other)
        return self

    def copy(self) -> set[K]:
        return set(self)

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> Any:
        """What comes of an operator is a set of Python's own."""
        return set(it)


class _Instruments:
    """Replaces the tables of objects by such that count, each once, wherever it is referred to."""

    def __init__(self, looks: Looks, least: int) -> None:
        self._looks, self._least = looks, least
        self._replaced: dict[int, tuple[object, object]] = {}  # by id; the original is kept, so that its id stays its
        self._seen: set[int] = set()

    def instrument(self, found: object, title: str) -> object:
        """Return what is to stand in the place of an object that was found there."""
        if id(found) in self._replaced:
            return self._replaced[id(found)][1]
        counted: Any = None
        if type(found) is dict and len(found) >= self._least:
            counted = CountedDict(found)
        elif type(found) is set and len(found) >= self._least:
            counted = CountedSet(found)
        if counted is not None:
            counted.look = partial(self._looks.add, title)
            self._replaced[id(found)] = found, counted
            return counted
        if type(found) is tuple:
            parts = tuple(self.instrument(one, f"{title}[{number}]") for number, one in enumerate(found))
            return parts if any(a is not b for a, b in zip(parts, found, strict=True)) else found
        self._into(found, title)
        return found

    def _into(self, found: object, title: str) -> None:
        if id(found) in self._seen:
            return
        self._seen.add(id(found))
        match found:
            case MethodType():
                self._into(found.__self__, type(found.__self__).__name__)
            case partial():
                for argument in (found.func, *found.args, *found.keywords.values()):
                    self._into(argument, title)
            case dict() | list() if len(found) < self._least:
                for at, one in [*(found.items() if isinstance(found, dict) else enumerate(found))]:
                    found[at] = self.instrument(one, f"{title}[…]")
            case _ if type(found).__module__.partition(".")[0] in PACKAGES:
                for name in _attributes(found):
                    before = getattr(found, name)
                    after = self.instrument(before, f"{type(found).__name__}.{name}")
                    if after is not before:
                        put: Callable[..., None] = force_setattr if isinstance(found, Struct) else object.__setattr__
                        put(found, name, after)


def _attributes(found: object) -> Iterable[str]:
    """Return the names of what an object has of its own; what begins with two underscores is pydantic's."""
    slots = [name for one in type(found).__mro__ for name in getattr(one, "__slots__", ())]
    names = (*getattr(found, "__dict__", {}), *slots)
    return [name for name in names if not name.startswith("__") and hasattr(found, name)]


def counted_tables(least: int, *roots: object) -> Looks:
    """Have every table with so many entries that can be reached from these objects counted from now on."""
    looks = Looks()
    instruments = _Instruments(looks, least)
    for root in roots:
        instruments.instrument(root, type(root).__name__)
    return looks
