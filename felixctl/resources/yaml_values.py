"""YAML nodes to values of JSON's types.

Tags other than those of JSON's types are refused: a reader that passes over them reads something else than was written.
Merge keys (`<<`) are taken as YAML 1.1's type repository has them: a mapping's own keys win, then the first merged.

Pure: nodes in, values out.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml
from yaml.constructor import ConstructorError

from felixctl.resources.written_numbers import fractional, whole
from felixctl.resources.yaml_nodes import DEEPEST, SCHEMA, TAG
from felixctl.resources.yes_no import WORDS, YesNo

MOST_ALIASED = 1_000_000
"""How many characters and values the aliases of a document may stand for in all."""

_LEAST, _MOST = -(1 << 63), (1 << 64) - 1
_LONGEST_INTEGER = 100  # characters, leading zeros included


class _Made(NamedTuple):
    value: Any
    size: int
    """Characters and values, each alias counted as what it stands for."""
    depth: int


def integer(text: str) -> int:
    """Return a whole number of 64 bits. Raises ValueError: it is none, or has more."""
    base = 8 if text.startswith("0o") else 16 if text.startswith("0x") else 10
    if len(text) > _LONGEST_INTEGER or not _LEAST <= (number := int(text, base)) <= _MOST:
        raise ValueError(f"the number {text[:20]}… has more than 64 bits")
    return whole(number, text)


def decimal(text: str) -> float:
    """Return a number with a fraction or an exponent. Raises ValueError: it is none, or too large."""
    if not math.isfinite(number := float(text)):
        raise ValueError(f"the number {text[:20]} is too large")
    return fractional(number, text)


def unicode_text(text: str) -> str:
    """Return the text with the halves of surrogate pairs joined. Raises ValueError: one half is alone."""
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise ValueError("half of a surrogate pair stands alone, which is no character") from None
    return text


def value_of(root: yaml.Node, longest: int) -> Any:
    """Return the value of a document. `longest` is its length as text.

    Raises ConstructorError: a key is given twice, an alias contains itself, aliases stand for too much, a tag is not
    known, a text is not what its tag says.
    """
    return _Values(2 * longest + MOST_ALIASED).made(root).value


class _Values:
    """The values of one document. A node is made once, and shared wherever an alias repeats it."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._made: dict[yaml.Node, _Made | None] = {}

    def made(self, node: yaml.Node) -> _Made:
        if node in self._made:
            known = self._made[node]
            if known is None:
                raise rejected("it contains itself through an alias", node)
            return known
        self._made[node] = None
        made = self._new(node)
        if made.size > self._largest:
            raise rejected(f"its aliases stand for more than {MOST_ALIASED} characters", node)
        if made.depth > DEEPEST:
            raise rejected(f"more than {DEEPEST} levels are nested through aliases", node)
        self._made[node] = made
        return made

    def _new(self, node: yaml.Node) -> _Made:
        match node:
            case yaml.MappingNode(tag="tag:yaml.org,2002:map"):
                return self._mapping(node)
            case yaml.SequenceNode(tag="tag:yaml.org,2002:seq"):
                items = [self.made(item) for item in node.value]
                return _together([item.value for item in items], items)
            case yaml.ScalarNode():
                value = _scalar(node)
                return _Made(value, len(node.value) + 1, 0)
            case _:
                raise _unknown_tag(node)

    def _mapping(self, node: yaml.MappingNode) -> _Made:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        parts: list[_Made] = []
        for key_node, value_node in node.value:
            if key_node.tag == TAG + "merge":
                for source in map(self.made, _merged(value_node)):
                    parts.append(source._replace(depth=source.depth - 1))
                    for key in source.value.keys() - merged.keys():
                        merged[key] = source.value[key]
                continue
            key = self._key(key_node)
            if key in own:
                raise rejected(f"key {key!r} is given twice", key_node)
            parts += (self.made(key_node), self.made(value_node))
            own[key] = parts[-1].value
        return _together({key: value for key, value in merged.items() if key not in own} | own, parts)

    def _key(self, node: yaml.Node) -> str:
        """Return a key. One that reads as a number or a boolean is the text that it is written as, as in Go."""
        if not isinstance(node, yaml.ScalarNode):
            raise rejected("a list or a mapping stands where a key should be; put text with { or [ in quotes", node)
        key = self.made(node).value
        if isinstance(key, str):
            return str(key)
        if key is None or json.dumps(key) != node.value:
            raise rejected(f"key {node.value or 'null'} is not text: put it in quotes", node)
        return str(node.value)


def _together(value: Any, parts: list[_Made]) -> _Made:
    return _Made(value, 1 + sum(part.size for part in parts), 1 + max((part.depth for part in parts), default=0))


def _merged(node: yaml.Node) -> Iterator[yaml.Node]:
    """Yield the mappings that a merge key names."""
    for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
        if not isinstance(source, yaml.MappingNode):
            raise rejected("<< takes a mapping, or a list of mappings", source)
        yield source


def _scalar(node: yaml.ScalarNode) -> Any:
    kind = str(node.tag).removeprefix(TAG)
    text = node.value
    if kind in ("int", "float", "bool", "null") and not SCHEMA[kind].fullmatch(text):
        raise rejected(f'"{text[:40]}" is not what its tag !!{kind} says', node)
    try:
        match kind:
            case "str" if node.style is None and text in WORDS:
                return YesNo(text)
            case "str" | "merge" | "timestamp":
                return unicode_text(text)
            case "int":
                return integer(text)
            case "float":
                return decimal(text)
            case "bool":
                return text.lower() == "true"
            case "null":
                return None
            case "binary":
                return base64.b64decode("".join(text.split()), validate=True).decode()
    except UnicodeDecodeError:
        raise rejected("the bytes behind !!binary are no UTF-8 text", node) from None
    except binascii.Error as error:
        raise rejected(f"the text behind !!binary is not base64 ({error})", node) from None
    except ValueError as error:
        raise rejected(str(error), node) from None
    raise _unknown_tag(node)


def _unknown_tag(node: yaml.Node) -> ConstructorError:
    shown = str(node.tag).replace(TAG, "!!")[:60]
    return rejected(f"tag {shown} means nothing here: resources have JSON's types only; leave the tag out", node)


def rejected(why: str, node: yaml.Node) -> ConstructorError:
    """Return the error for a node that is YAML and no value."""
    return ConstructorError(None, None, why, node.start_mark)
