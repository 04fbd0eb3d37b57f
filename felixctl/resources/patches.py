"""Changes to a resource as it is shown: labels and JSON patches.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from felixctl.errors import RejectedError
from felixctl.resources.view import Json


def labelled(seen: Json, labels: Mapping[str, str | None], *, overwrite: bool) -> Json:
    """Return the view with labels set, or removed where the value is None.

    Raises RejectedError: a label has another value already and `overwrite` is not given.
    """
    old = seen["metadata"].get("labels") or {}
    taken = [key for key, value in labels.items() if value is not None and old.get(key, value) != value]
    if taken and not overwrite:
        name = f'{seen["kind"]} "{seen["metadata"]["name"]}"'
        raise RejectedError(f"label {name}: {k} is {old[k]!r} already; give --overwrite to change it" for k in taken)
    left = {key: value for key, value in {**old, **labels}.items() if value is not None}
    return {**seen, "metadata": {**seen["metadata"], "labels": left}}


def operated(seen: Any, operations: Sequence[Any]) -> Any:
    """Return the value after a JSON patch (RFC 6902). Raises RejectedError: an operation does not apply to it."""
    for number, operation in enumerate(operations, 1):
        try:
            seen = _operated(seen, operation)
        except (LookupError, TypeError, ValueError) as error:
            raise RejectedError([f"patch, operation {number} {operation!r:.100}: {_why(error)}"]) from None
    return seen


def _why(error: Exception) -> str:
    return f"there is nothing at {error.args[0]!r}" if isinstance(error, KeyError) else str(error)


def _operated(seen: Any, operation: Any) -> Any:
    match operation:
        case {"op": "add", "path": str(path), "value": value}:
            return _put(seen, _parts(path), value, insert=True)
        case {"op": "replace", "path": str(path), "value": value}:
            _at(seen, _parts(path))
            return _put(seen, _parts(path), value)
        case {"op": "remove", "path": str(path)}:
            return _without(seen, _parts(path))
        case {"op": "test", "path": str(path), "value": value}:
            if (is_value := _at(seen, _parts(path))) != value:
                raise ValueError(f"it is {is_value!r:.60} there")
            return seen
        case {"op": "move", "from": str(source), "path": str(path)}:
            value = _at(seen, _parts(source))
            return _put(_without(seen, _parts(source)), _parts(path), value, insert=True)
        case {"op": "copy", "from": str(source), "path": str(path)}:
            return _put(seen, _parts(path), _at(seen, _parts(source)), insert=True)
        case _:
            raise ValueError("it is none of add, remove, replace, move, copy and test with what they need")


def _parts(pointer: str) -> list[str]:
    """Return the names of a JSON pointer (RFC 6901)."""
    if pointer and not pointer.startswith("/"):
        raise ValueError(f"path {pointer!r} does not begin with /")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _at(value: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        value = value[_index(part)] if isinstance(value, list) else value[part]
    return value


def _index(part: str) -> int:
    if not part.isdecimal():
        raise ValueError(f"{part!r} is no place in a list")
    return int(part)


def _put(value: Any, parts: Sequence[str], new: Any, *, insert: bool = False) -> Any:
    """Return a copy with a value at a pointer; in a list it is inserted, or replaces the item that is there."""
    if not parts:
        return new
    first, *rest = parts
    if isinstance(value, list):
        if rest:
            return [
                *value[: _index(first)],
                _put(value[_index(first)], rest, new, insert=insert),
                *value[_index(first) + 1 :],
            ]
        place = len(value) if first == "-" else _index(first)
        if place > len(value):
            raise ValueError(f"{place} lies beyond the list's {len(value)} items")
        return [*value[:place], new, *value[place + (not insert) :]]
    return {**value, first: _put(value[first], rest, new, insert=insert) if rest else new}


def _without(value: Any, parts: Sequence[str]) -> Any:
    _at(value, parts)
    if not parts:
        raise ValueError("the whole can't be removed")
    *parents, last = parts
    if parents:
        return _put(value, parents[:1], _without(_at(value, parents[:1]), parts[1:]))
    if isinstance(value, list):
        return [item for number, item in enumerate(value) if number != _index(last)]
    return {key: item for key, item in value.items() if key != last}
