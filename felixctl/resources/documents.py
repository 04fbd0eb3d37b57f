"""YAML and JSON of resources: text to documents, documents to text.

YAML is read by the rules of its version 1.2: there `65000:10` is text, a community; by version 1.1, PyYAML's, it is the
number 3900010. Times stay text. What is printed is quoted so that readers of either version read the same.

Pure: text in, values out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

Body = dict[str, Any]


class Document(NamedTuple):
    """One resource as written, and its place: `pools.yaml, line 12`."""

    place: str
    body: Body


class MalformedDocumentError(Exception):
    """The text is not YAML, or something in it is no resource; the message names the place."""


class _Reader(yaml.SafeLoader):
    """Reads the core schema of YAML 1.2, without values that contain themselves."""

    def construct_document(self, node: yaml.Node) -> Any:
        """Return the document's value; one that contains itself through an anchor is an error."""
        self.deep_construct = True
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping; a repeated key is an error: one of the two values would be lost silently."""
        self.flatten_mapping(node)
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _rejected(f"key {key!r} is not text", key_node)
            if key in seen:
                raise _rejected(f"key {key!r} is given twice", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _rejected(why: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, why, node.start_mark)


_Resolvers = Mapping[Any, list[tuple[str, re.Pattern[str]]]]
_Reader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _Reader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), list(_first))
_CORE_SCHEMA: _Resolvers = _Reader.yaml_implicit_resolvers


def _integer(reader: _Reader, node: yaml.ScalarNode) -> int:
    text = reader.construct_scalar(node)
    return int(text, 8 if text.startswith("0o") else 16 if text.startswith("0x") else 10)


def _float(reader: _Reader, node: yaml.ScalarNode) -> float:
    return float(reader.construct_scalar(node))


_Reader.add_constructor("tag:yaml.org,2002:int", _integer)
_Reader.add_constructor("tag:yaml.org,2002:float", _float)


def read(text: str, name: str) -> list[Document]:
    """Return the resources in `text`; several documents, kinds …List and bare sequences are flattened.

    `name` is what messages call the text, such as its file. JSON is YAML, too.
    Raises MalformedDocumentError: not YAML, or something in it is not a resource.
    """
    return [document for value, line in _values(text, name) for document in _resources(value, f"{name}, line {line}")]


def yaml_value(text: str) -> Any:
    """Return the single value in a YAML or JSON text. Raises MalformedDocumentError."""
    values = [value for value, _ in _values(text, "it")]
    if len(values) != 1:
        raise MalformedDocumentError(f"it holds {len(values)} documents")
    return values[0]


def _values(text: str, name: str) -> list[tuple[Any, int]]:
    """Return each document's value, and the line at which it begins."""
    try:
        reader = _Reader(text)
        return [(reader.construct_document(node), node.start_mark.line + 1) for node in _nodes(reader)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise MalformedDocumentError(f"read {name}{place}: {error.problem or error.context}") from error
    except RecursionError:
        raise MalformedDocumentError(f"read {name}: it is nested too deeply") from None
    except yaml.YAMLError as error:  # a character that YAML does not allow has no mark
        raise MalformedDocumentError(f"read {name}: {' '.join(str(error).split())}") from error


def _nodes(reader: _Reader) -> Iterator[yaml.Node]:
    while reader.check_node():
        node = reader.get_node()
        if node is not None:
            yield node


def _resources(value: Any, place: str) -> Iterator[Document]:
    match value:
        case None:
            return
        case {"kind": str() as kind, "items": list() as items} if kind.endswith("List"):
            yield from _items(items, place)
        case list() as items:
            yield from _items(items, place)
        case dict():
            yield Document(place, value)
        case _:
            raise MalformedDocumentError(f"read {place}: found {value!r:.60} where a resource should be")


def _items(items: list[Any], place: str) -> Iterator[Document]:
    for number, item in enumerate(items, 1):
        yield from _resources(item, f"{place}, item {number}")


class _Writer(yaml.SafeDumper):
    """Writes YAML as calicoctl does: keys sorted, lists not indented, no aliases, long lines left whole."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _written_text(writer: _Writer, text: str) -> yaml.Node:
    """Return text plain, or in double quotes where a reader would take it for another type."""
    style = "|" if "\n" in text else '"' if _reads_as_another(text) else None
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style)


def _reads_as_another(text: str) -> bool:
    """Whether plain text is another type in YAML 1.1 (`on`, `1:30`, a date) or in 1.2 (`0o17`)."""
    return any(_resolved(resolvers, text) for resolvers in (_Writer.yaml_implicit_resolvers, _CORE_SCHEMA))


def _resolved(resolvers: _Resolvers, text: str) -> bool:
    found = (*resolvers.get(text[:1], ()), *resolvers.get(None, ()))
    return any(pattern.match(text) for _, pattern in found)


_Writer.add_representer(str, _written_text)


def to_yaml(value: object) -> str:
    """Return `value` as calicoctl would print it with -o yaml."""
    return yaml.dump(value, Dumper=_Writer, allow_unicode=True, width=1_000_000, default_flow_style=False)


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
    return json.dumps(_ordered(value), indent=2, ensure_ascii=False) + "\n"


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
