"""Templates as kubectl takes them: `{.items[*].metadata.name}`, `{range .items[*]}{.spec.cidr}{"\\n"}{end}`.

Pure. The part of kubectl's JSONPath that is in daily use: fields, `\\.` within a name, indices, slices, `*`, several
names in brackets, `..name`, filters that compare with a value, range and end, quoted text. Anything else is
refused with its place. An absent field prints nothing, as with kubectl. The parts have RFC 9535's names.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from msgspec import Struct

from net.printable import json_escaped


class TemplateError(ValueError):
    """The text is no template; the message names the place and the reason."""


class Names(Struct, frozen=True):
    """The values under these names."""

    names: tuple[str, ...]


class Wildcard(Struct, frozen=True):
    """All items of a list, all values of a mapping."""


class Elements(Struct, frozen=True):
    """Elements of a list by their numbers, from the end if negative."""

    chosen: int | slice


class Descendants(Struct, frozen=True):
    """The values under a name, at any depth."""

    name: str


class Filter(Struct, frozen=True):
    """The items for which a query finds a value that compares so; without a comparison, any value."""

    path: Query
    compare: Callable[[Any, Any], bool] | None = None
    value: Any = None


Segment: TypeAlias = Names | Wildcard | Elements | Descendants | Filter
Query: TypeAlias = tuple[Segment, ...]


class Range(Struct, frozen=True):
    """Parts repeated for each value that a query finds."""

    path: Query
    parts: Parts


Parts: TypeAlias = tuple["str | Query | Range", ...]

_COMPARISONS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_NAME = r"(?:\\.|[^\\\s.\[\]{}()'\"*?@$=!<>,])+"
_QUOTED = r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\""
_STEPS = re.compile(
    rf"\.\.(?P<deep>{_NAME})"
    rf"|\.?(?P<every>\*)|\.?\[\*\](?P<every_item>)"
    rf"|\.(?P<field>{_NAME})"
    rf"|\.?\[(?P<index>-?\d+)\]"
    rf"|\.?\[(?P<slice>-?\d*:-?\d*(?::-?\d*)?)\]"
    rf"|\.?\[(?P<names>(?:{_QUOTED})(?:\s*,\s*(?:{_QUOTED}))*)\]"
    rf"|\.?\[\?\(\s*@(?P<where>(?:{_QUOTED}|[^)'\"])*)\)\]"
)
_CONDITION = re.compile(rf"(?P<path>.*?)\s*(?:(?P<sign>[=!<>]=|[<>])\s*(?P<value>{_QUOTED}|[^'\"\s]+))?\s*")
_BRACES = re.compile(rf"\{{((?:{_QUOTED}|[^}}'\"])*)\}}")
_END, _RANGE = re.compile(r"end"), re.compile(r"range\s+(.*)", re.DOTALL)


def printed(template: str, value: Any) -> str:
    """Return the template filled in from `value`; one without braces is a single query. Raises TemplateError."""
    parts = parse(template) if "{" in template else (path(template),)
    return "".join(_rendered(parts, value))


def parse(template: str) -> Parts:
    """Return the template's parts. Raises TemplateError."""
    open_ranges: list[tuple[Query, list[str | Query | Range]]] = [((), [])]
    rest = 0
    for found in _BRACES.finditer(template):
        parts = open_ranges[-1][1]
        parts += _plain(template[rest : found.start()], template)
        rest, inside = found.end(), found[1].strip()
        if _END.fullmatch(inside):
            if len(open_ranges) == 1:
                raise TemplateError(f"template {template!r}: an {{end}} has no {{range}}")
            over, repeated = open_ranges.pop()
            open_ranges[-1][1].append(Range(over, tuple(repeated)))
        elif begin := _RANGE.fullmatch(inside):
            open_ranges.append((path(begin[1]), []))
        else:
            parts.append(_unquoted(inside) if re.fullmatch(_QUOTED, inside) else path(inside))
    if len(open_ranges) > 1:
        raise TemplateError(f"template {template!r}: a {{range}} has no {{end}}")
    return (*open_ranges[0][1], *_plain(template[rest:], template))


def _plain(text: str, template: str) -> Iterable[str]:
    if "{" in text or "}" in text:
        raise TemplateError(f"template {template!r}: a brace is not closed, or was never opened")
    return (text,) if text else ()


def path(text: str) -> Query:
    """Return the segments of a query; `$`, `@` and the first dot may be missing. Raises TemplateError."""
    steps: list[Segment] = []
    written = text.strip().removeprefix("$").removeprefix("@")
    if re.match(_NAME, written):
        written = f".{written}"
    at = 0
    while at < len(written) and written != ".":
        found = _STEPS.match(written, at)
        if found is None:
            raise TemplateError(f"path {text!r}: {written[at:]!r} is not understood (see felixctl get --help)")
        steps.append(_step(found))
        at = found.end()
    return tuple(steps)


def _step(found: re.Match[str]) -> Segment:
    groups = found.groupdict()
    if groups["deep"]:
        return Descendants(_unescaped(groups["deep"]))
    if groups["field"]:
        return Names((_unescaped(groups["field"]),))
    if groups["names"]:
        return Names(tuple(map(_unquoted, re.findall(_QUOTED, groups["names"]))))
    if groups["index"]:
        return Elements(int(groups["index"]))
    if groups["slice"]:
        return Elements(slice(*(int(number) if number else None for number in groups["slice"].split(":"))))
    if groups["where"] is not None:
        return _where(groups["where"])
    return Wildcard()


def _where(text: str) -> Filter:
    condition = _CONDITION.fullmatch(text)
    if condition is None:
        raise TemplateError(f"filter {text!r}: it compares with more than one value, which is not understood")
    if condition["sign"] is None:
        return Filter(path(condition["path"]))
    return Filter(path(condition["path"]), _COMPARISONS[condition["sign"]], _literal(condition["value"]))


def _literal(text: str) -> Any:
    if re.fullmatch(_QUOTED, text):
        return _unquoted(text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise TemplateError(f'filter: {text!r} is no value; quote a text, as in "{text}"') from None


def _unescaped(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)


def _unquoted(text: str) -> str:
    """Return quoted text with its escapes read: `\\n` and `\\t` are what they are everywhere."""
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t", "r": "\r"}.get(found[1], found[1]), text[1:-1])


def _rendered(parts: Parts, value: Any) -> Iterator[str]:
    for part in parts:
        match part:
            case str():
                yield part
            case Range(over, repeated):
                for item in found(over, value):
                    yield from _rendered(repeated, item)
            case _:
                yield " ".join(map(text_of, found(part, value)))


def text_of(value: Any) -> str:
    """Return a value as a template prints it: text bare, structures as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json_escaped(json.dumps(value, separators=(",", ":"), ensure_ascii=False))


def found(steps: Query, value: Any) -> list[Any]:
    """Return the values that a query finds; none is no error."""
    values = [value]
    for step in steps:
        values = [reached for one in values for reached in _reached(step, one)]
    return values


def _reached(step: Segment, value: Any) -> Iterable[Any]:
    match step, value:
        case Names(names), dict():
            return [value[name] for name in names if name in value]
        case Wildcard(), _:
            return _inside(value)
        case Filter(), _:
            return [item for item in _inside(value) if _holds(step, item)]
        case Elements(slice() as chosen), list():
            return value[chosen]
        case Elements(int() as chosen), list():
            return value[chosen:][:1] if -len(value) <= chosen < len(value) else ()
        case Descendants(name), _:
            return list(_at_any_depth(name, value))
        case _:
            return ()


def _at_any_depth(name: str, value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from (value[name],) if name in value else ()
    for item in _inside(value):
        yield from _at_any_depth(name, item)


def _inside(value: Any) -> Sequence[Any]:
    match value:
        case dict():
            return list(value.values())
        case list():
            return value
        case _:
            return ()


def _holds(where: Filter, item: Any) -> bool:
    values = found(where.path, item)
    if where.compare is None:
        return bool(values)
    try:
        return any(where.compare(value, where.value) for value in values)
    except TypeError:  # a text and a number have no order
        return False
