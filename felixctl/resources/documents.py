"""YAML and JSON of resources: text to documents, documents to text.

YAML is read by the rules of its version 1.2: there `65000:10` is text, a community; by version 1.1, PyYAML's, it is the
number 3900010. Times stay text. What is printed is quoted so that readers of either version read the same.

Pure: text in, values out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from felixctl.resources.yaml_nodes import DEEPEST, RESOLVERS, nodes
from felixctl.resources.yaml_values import decimal, integer, value_of
from net.printable import is_safe, json_escaped, yaml_escaped

Body = dict[str, Any]


class Document(NamedTuple):
    """One resource as written, and its place: `pools.yaml, line 12`."""

    place: str
    body: Body


class Reading(NamedTuple):
    """What a text holds: its resources, and a sentence with its place for each thing in it that is none."""

    documents: list[Document]
    mistakes: list[str]


class MalformedDocumentError(Exception):
    """The text is not one value in YAML or JSON; the message names the place."""


def read(text: str, name: str) -> Reading:
    """Return the resources in `text`; several documents, kinds …List and bare sequences are flattened.

    `name` is what messages call the text, such as its file. What is JSON is read as JSON, all else as YAML. A document
    that cannot be read does not hide those after it.
    """
    return reading_of(found_in(text, name))


def found_in(text: str, name: str) -> Iterator[Document | str]:
    """Yield one after the other what `read` returns in one piece: resources and mistakes."""
    for found in _values(text):
        if isinstance(found, _Mistake):
            yield f"read {name}{found.place}: {found.why}"
        else:
            yield from _resources(found.value, f"{name}, line {found.line}")


def reading_of(found: Iterable[Document | str]) -> Reading:
    """Return the resources, and the mistakes, among what is found in a text."""
    documents: list[Document] = []
    mistakes: list[str] = []
    for one in found:
        if isinstance(one, Document):
            documents.append(one)
        else:
            mistakes.append(one)
    return Reading(documents, mistakes)


def yaml_value(text: str) -> Any:
    """Return the single value in a YAML or JSON text. Raises MalformedDocumentError."""
    found = list(_values(text))
    for one in found:
        if isinstance(one, _Mistake):
            raise MalformedDocumentError(f"read it{one.place}: {one.why}")
    values = [one.value for one in found if isinstance(one, _Value)]
    if len(values) != 1:
        raise MalformedDocumentError(f"it holds {len(values)} documents")
    return values[0]


class _Value(NamedTuple):
    value: Any
    line: int
    """Where it begins; the first line is 1."""


class _Mistake(NamedTuple):
    place: str
    why: str


def _values(text: str) -> Iterator[_Value | _Mistake]:
    """Yield each document's value, and why one has none."""
    for before, lines in _pieces(text):
        found = _json_values(lines, before)
        yield from _yaml_values("".join(lines), before) if found is None else found


def _pieces(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines of each document, cut at its `---`, and the number of lines before it.

    Wherever a line begins so, another document begins (YAML 1.2 §9.1.2); its directives stand before that line.
    """
    lines = _LINE.findall(text)
    begin, directives = 0, None
    for number, line in enumerate(lines):
        bare = line.lstrip(_BYTE_ORDER_MARK)
        if bare.startswith("%"):
            directives = number if directives is None else directives
        elif bare.startswith("---") and not bare[3:4].strip():
            cut = number if directives is None else directives
            if cut > begin:
                yield begin, lines[begin:cut]
            begin, directives = cut, None
        elif bare.strip() and not bare.startswith("#"):
            directives = None
    yield begin, lines[begin:]


_BYTE_ORDER_MARK = "\ufeff"
_LINE = re.compile(r"[^\r\n\x85\u2028\u2029]*(?:\r\n|[\r\n\x85\u2028\u2029]|\Z)")


def _json_values(lines: list[str], before: int) -> list[_Value] | None:
    """Return the values of one or more JSON texts in a row; None if this is not JSON, or not well-formed.

    Then the YAML reader looks at it, as YAML holds most of JSON, and knows the place of a mistake.
    """
    text = "".join(lines)
    line, at = before + 1, _MARKER.match(text).end()  # type: ignore[union-attr]
    found: list[_Value] = []
    while (begin := _JSON_SPACE.match(text, at).end()) < len(text):  # type: ignore[union-attr]
        if text[begin] not in "{[":
            return None
        line += text.count("\n", at, begin)
        try:
            value, at = _JSON.raw_decode(text, begin)
            _check(value, 0)
        except (ValueError, RecursionError):
            return None
        found.append(_Value(value, line))
        line += text.count("\n", begin, at)
    return found


_MARKER = re.compile(r"\ufeff*(?:---(?=\s|\Z))?")
_JSON_SPACE = re.compile(r"[ \t\r\n\ufeff]*")


def _mapping(pairs: list[tuple[str, Any]]) -> Body:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError("a key is given twice")
    return mapping


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number in JSON")


_JSON = json.JSONDecoder(object_pairs_hook=_mapping, parse_int=integer, parse_float=decimal, parse_constant=_no_number)


def _check(value: Any, depth: int) -> None:
    """Raise ValueError for what JSON can write and no resource can hold: half a character, endless nesting."""
    match value:
        case str():
            value.encode()
        case dict() | list() if depth == DEEPEST:
            raise ValueError(f"more than {DEEPEST} levels are nested")
        case dict():
            for key, inner in value.items():
                key.encode()
                _check(inner, depth + 1)
        case list():
            for inner in value:
                _check(inner, depth + 1)


def _yaml_values(text: str, before: int) -> Iterator[_Value | _Mistake]:
    found = nodes(text)
    while True:
        try:
            node = next(found)
        except StopIteration:
            return
        except yaml.YAMLError as error:
            yield _mistake(error, text, before)
            return
        try:
            yield _Value(value_of(node, len(text)), before + node.start_mark.line + 1)
        except yaml.YAMLError as error:
            yield _mistake(error, text, before)


def _mistake(error: yaml.YAMLError, text: str, before: int) -> _Mistake:
    match error:
        case yaml.MarkedYAMLError(problem_mark=yaml.Mark() as mark):
            place = f", line {before + mark.line + 1}, column {mark.column + 1}"
            begun = error.context_mark
            within = f" ({error.context} that begins in line {before + begun.line + 1})" if begun else ""
            return _Mistake(place, f"{error.problem}{_tab_before(mark, error)}{within}")
        case yaml.reader.ReaderError(position=int(position), character=int(character)):
            line = before + text.count("\n", 0, position) + 1
            return _Mistake(f", line {line}", f"the character U+{character:04X} is not allowed in YAML")
        case _:
            return _Mistake("", " ".join(str(error).split()))


def _tab_before(mark: yaml.Mark, error: yaml.MarkedYAMLError) -> str:
    """Return a hint where the reader stumbles in a line that is indented by a tab, be it behind a `-`."""
    read = mark.buffer or ""
    indentation = _INDENTATION.match(read, read.rfind("\n", 0, mark.pointer) + 1)
    if indentation and "\t" in indentation[0] and "tab" not in (error.problem or ""):
        return "; a tab stands in the line's indentation, where YAML takes spaces only"
    return ""


_INDENTATION = re.compile(r" *(?:[-?:]?[ \t]+)*")


def _resources(value: Any, place: str) -> Iterator[Document | str]:
    """Yield the resources in a document, and a sentence for each thing that is none."""
    match value:
        case None:
            return
        case {"kind": str(kind), **rest} if kind.endswith("List"):
            if unknown := ", ".join(sorted(map(str, rest.keys() - {"apiVersion", "metadata", "items"}))):
                yield f"read {place}: a {kind} has no field {unknown}"
            yield from _items(rest.get("items") or [], place)
        case list() as items:
            yield from _items(items, place)
        case dict():
            yield Document(place, value)
        case _:
            yield f"read {place}: found {value!r:.60} where a resource should be"


def _items(items: Any, place: str) -> Iterator[Document | str]:
    if not isinstance(items, list):
        yield f"read {place}: items is not a list"
        return
    for number, item in enumerate(items, 1):
        yield from _resources(item, f"{place}, item {number}")


class _Writer(yaml.SafeDumper):
    """Writes YAML as calicoctl does: keys sorted, lists not indented, no aliases, long lines left whole."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _written_text(writer: _Writer, text: str) -> yaml.Node:
    """Return text plain, or in double quotes where a reader would take it for another type or it needs escapes."""
    needs_quotes = not is_safe(text) or ("\n" not in text and _reads_as_another(text))
    style = '"' if needs_quotes else "|" if "\n" in text else None
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style)


def _reads_as_another(text: str) -> bool:
    """Whether plain text is another type in YAML 1.1 (`on`, `1:30`, a date) or in 1.2 (`0o17`)."""
    return any(_resolved(resolvers, text) for resolvers in (_Writer.yaml_implicit_resolvers, RESOLVERS))


_Resolvers = Mapping[Any, list[tuple[str, re.Pattern[str]]]]


def _resolved(resolvers: _Resolvers, text: str) -> bool:
    found = (*resolvers.get(text[:1], ()), *resolvers.get(None, ()))
    return any(pattern.match(text) for _, pattern in found)


_Writer.add_representer(str, _written_text)


def to_yaml(value: object) -> str:
    """Return `value` as calicoctl would print it with -o yaml."""
    return yaml_escaped(yaml.dump(value, Dumper=_Writer, allow_unicode=True, width=1_000_000, default_flow_style=False))


_RESOURCE_KEYS = ("kind", "apiVersion", "metadata", "items", "spec", "status")
_METADATA_KEYS = (
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "labels",
    "annotations",
)


def to_json(value: object) -> str:
    """Return `value` as indented JSON: kind and apiVersion first, as calicoctl prints them."""
    return json_escaped(json.dumps(_ordered(value), indent=2, ensure_ascii=False)) + "\n"


def _ordered(value: Any) -> Any:
    match value:
        case {"items": list() as items}:
            return _sorted_by({**value, "items": [_ordered(item) for item in items]}, _RESOURCE_KEYS)
        case {"kind": str(), "metadata": dict() as metadata}:
            return _sorted_by({**value, "metadata": _sorted_by(metadata, _METADATA_KEYS)}, _RESOURCE_KEYS)
        case list():
            return [_ordered(item) for item in value]
        case _:
            return value


def _sorted_by(mapping: Mapping[str, object], first: tuple[str, ...]) -> dict[str, object]:
    known = {key: mapping[key] for key in first if key in mapping}
    return known | {key: value for key, value in mapping.items() if key not in known}
