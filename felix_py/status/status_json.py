"""Frozen values to JSON and back, by the types of their fields.

Pure. It takes text, numbers, `None`, tuples, mappings, prefixes (as text), enumerations and Structs of these.
Reading ignores unknown keys, and gives a missing one its default: agent and reader may be of different versions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cache
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin

from msgspec import Struct
from msgspec.structs import fields

from net.prefix import Prefix

T = TypeVar("T")
_Reader = Callable[[Any], Any]


def to_json(value: Any) -> Any:
    """Return a value as `json.dumps` takes it."""
    match value:
        case Prefix():
            return str(value)
        case tuple():
            return [to_json(item) for item in value]
        case Mapping():
            return {str(key): to_json(item) for key, item in value.items()}
        case str() | int() | float() | None:
            return value
    names: tuple[str, ...] = value.__struct_fields__  # quicker than structs.fields, which counts in a large table
    return {name: to_json(getattr(value, name)) for name in names}


def from_json(form: Callable[..., T], record: object) -> T:
    """Return the value of this class that `to_json` made the record of.

    Raises ValueError: the record is no such value; the message names the class and field.
    """
    value: T = _reader(form)(record)
    return value


@cache
def _reader(form: Any) -> _Reader:
    """Return the function that reads values of one type. Made once a type: pages may hold 100,000 routes."""
    origin, arguments = get_origin(form), get_args(form)
    if origin is tuple:
        return _tuple_reader(_reader(arguments[0]))
    if origin is Mapping:
        return _mapping_reader(_reader(arguments[0]), _reader(arguments[1]))
    if NoneType in arguments:
        (inner,) = (one for one in arguments if one is not NoneType)
        return _optional_reader(_reader(inner))
    if form is Prefix:
        return lambda record: Prefix.parse(_checked(record, str))
    if issubclass(form, Struct):
        return _struct_reader(form)
    if issubclass(form, StrEnum):
        return lambda record: form(record)
    if form is float:
        return lambda record: float(_checked(record, int | float))
    return lambda record: _checked(record, form)


def _checked(record: Any, form: Any) -> Any:
    if not isinstance(record, form) or (isinstance(record, bool) and form is not bool):
        raise ValueError(f"{record!r} is not of type {getattr(form, '__name__', form)}")
    return record


def _tuple_reader(item: _Reader) -> _Reader:
    return lambda record: tuple([item(one) for one in _checked(record, list)])


def _mapping_reader(key: _Reader, value: _Reader) -> _Reader:
    return lambda record: {key(name): value(one) for name, one in _checked(record, dict).items()}


def _optional_reader(inner: _Reader) -> _Reader:
    return lambda record: None if record is None else inner(record)


def _struct_reader(form: type[Struct]) -> _Reader:
    readers = [(field.name, _reader(field.type), field.required) for field in fields(form)]

    def read(record: Any) -> Any:
        found = {}
        for name, reader, required in readers:
            if name in _checked(record, dict):
                try:
                    found[name] = reader(record[name])
                except ValueError as error:
                    raise ValueError(f"{form.__name__}.{name}: {error}") from None
            elif required:
                raise ValueError(f"{form.__name__}: {name} is missing")
        return form(**found)

    return read
