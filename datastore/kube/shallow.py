"""JSON whose nesting a decoder refuses, taken apart one level at a time without recursion.

Pure. The API server stores what is nested ten thousand deep; such an object must be named and left alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]', re.DOTALL)


def members(text: bytes) -> dict[str, bytes]:
    """Return the members of a JSON object, each value still as text."""
    found = {}
    for part in _parts(text):
        name, _, value = _split(part)
        if name:
            found[str(json.loads(name))] = value
    return found


def elements(text: bytes) -> list[bytes]:
    """Return the elements of a JSON array, each still as text."""
    return [part.strip() for part in _parts(text) if part.strip()]


def _parts(text: bytes) -> Iterator[bytes]:
    """Yield what stands between the commas of the outermost object or array."""
    depth, begin = 0, 0
    for token in _TOKEN.finditer(text):
        match token[0]:
            case b"{" | b"[":
                depth += 1
                if depth == 1:
                    begin = token.end()
            case b"}" | b"]":
                depth -= 1
                if depth == 0:
                    yield text[begin : token.start()]
                    return
            case b"," if depth == 1:
                yield text[begin : token.start()]
                begin = token.end()


def _split(part: bytes) -> tuple[bytes, bytes, bytes]:
    """Return a member's name, colon and value; all empty if it is none."""
    name = _TOKEN.search(part)
    if name is None or not name[0].startswith(b'"'):
        return b"", b"", b""
    before, colon, value = part[name.end() :].partition(b":")
    return (name[0], colon, value.strip()) if not before.strip() else (b"", b"", b"")
