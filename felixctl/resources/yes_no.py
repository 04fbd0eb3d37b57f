"""`yes`, `no`, `on`, `off` without quotes: booleans where a field takes one, as Go and kubectl read them, else texts.

So, too, are numbers whose text is kept: a field that has a type takes the number alone.

Pure. By YAML 1.2 they are texts, and a label `no` or a zone `on` is meant so; only the field can tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from datastore.record import Record, Resource
from felixctl.resources.written_numbers import WrittenFloat, WrittenInt, plain

_YES = ("y", "Y", "yes", "Yes", "YES", "on", "On", "ON")
_NO = ("n", "N", "no", "No", "NO", "off", "Off", "OFF")
WORDS = frozenset((*_YES, *_NO))


class YesNo(str):
    """One of WORDS as it stood in a file without quotes."""

    __slots__ = ()


def settled(value: Any, annotation: Any) -> Any:
    """Return a value of a file with each of these words and numbers as the field, known by its type, takes it."""
    match value:
        case YesNo():
            return str(value) in _YES if bool in _leaves(annotation) else str(value)
        case WrittenInt() | WrittenFloat() if annotation is not None and _takes_numbers(annotation):
            return plain(value)
        case dict():
            fields = _fields(annotation)
            return {str(key): settled(inner, fields.get(key)) for key, inner in value.items()}
        case list():
            return [settled(inner, annotation) for inner in value]
        case _:
            return value


def _takes_numbers(annotation: Any) -> bool:
    """Whether a field is no text; that of a text is refused, and says what was written."""
    leaves = set(_leaves(annotation))
    return str not in leaves or not leaves.isdisjoint((int, float))


def _fields(annotation: Any) -> dict[str, Any]:
    """Return the types of a record's fields by their outside names; of what is no record, none."""
    for leaf in _leaves(annotation):
        if isinstance(leaf, type) and issubclass(leaf, Record):
            named = {field.alias or name: field.annotation for name, field in leaf.model_fields.items()}
            return named | ({"spec": leaf.SPEC} if issubclass(leaf, Resource) else {})
    return {}


def _leaves(annotation: Any) -> Iterator[Any]:
    """Yield the types in a type: `bool | None` has two, a tuple those of its items."""
    inner = get_args(annotation)
    if not inner:
        yield annotation
    for one in inner:
        yield from _leaves(one)
