"""YAML text to nodes: PyYAML's scanner and composer, with the rules that Go's readers and kubectl have.

Tabs separate, follow a value and stand before comments, as YAML 1.2 §6 allows; as indentation they are refused. Anchors
may be given again. Plain text in `{}` and `[]` may hold a question mark. What is nested too deeply is refused.

Pure: text in, nodes out.
"""

# mypy: allow-untyped-calls
# PyYAML's stubs leave most of its scanner untyped.

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.events import AliasEvent
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner, ScannerError
from yaml.tokens import ScalarToken, Token

DEEPEST = 100
"""How many mappings and lists may stand in each other; resources of Calico and Kubernetes need about 20."""

_BREAKS = "\r\n\x85\u2028\u2029"
_BLANKS = " \t"
_BYTE_ORDER_MARK = "\ufeff"
_BLOCK_HEADER = re.compile(r"([+-])?([1-9])?|([1-9])([+-])?")
_TOO_DEEP = f"more than {DEEPEST} levels are nested"

SCHEMA = {
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    "float": re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"),
    "null": re.compile(r"~|null|Null|NULL|"),
    "merge": re.compile(r"<<"),
}
"""What plain text is no string: the core schema of YAML 1.2 §10.3.2 without infinities, and the merge key."""

_FIRST = {"bool": "tTfF", "int": "-+0123456789", "float": "-+.0123456789", "null": "~nN", "merge": "<"}
TAG = "tag:yaml.org,2002:"


class _Tabs(Reader, Scanner):
    """Scans tabs where YAML allows them."""

    def scan_to_next_token(self) -> None:
        while True:
            if self.column == 0 and self.peek() == _BYTE_ORDER_MARK:
                self.forward()
            self._skip_blanks()
            if self.peek() == "#":
                while self.peek() not in f"\0{_BREAKS}":
                    self.forward()
            if not self.scan_line_break():
                return
            if not self.flow_level:
                self.allow_simple_key = True

    def _skip_blanks(self) -> None:
        """Go past spaces and tabs. In a block, behind a tab only one value may stand, and no mapping or list."""
        tab = self._past_blanks()
        if tab is None or self.flow_level or not self.allow_simple_key or self.peek() in f"\0#{_BREAKS}":
            return
        if not self.buffer[tab.pointer - tab.column : tab.pointer].strip(" "):
            raise ScannerError(None, None, "a tab indents this line, and YAML is indented by spaces only", tab)
        self.allow_simple_key = False

    def _past_blanks(self) -> Any:
        """Go past spaces and tabs; return the mark of the first tab, if there is one."""
        tab = None
        while self.peek() in _BLANKS:
            if tab is None and self.peek() == "\t":
                tab = self.get_mark()
            self.forward()
        return tab

    def fetch_flow_collection_start(self, token: type[Token]) -> None:
        """Refuse deep nesting here already: the scanner looks at all open brackets at each token."""
        if self.flow_level >= DEEPEST:
            raise ScannerError(None, None, _TOO_DEEP, self.get_mark())
        super().fetch_flow_collection_start(token)

    def scan_block_scalar_indicators(self, start_mark: Any) -> tuple[bool | None, int | None]:
        length = 0
        while self.peek(length) not in f"\0{_BLANKS}{_BREAKS}":
            length += 1
        found = _BLOCK_HEADER.fullmatch(self.prefix(length))
        if found is None:
            why = f"| or > is followed by {self.prefix(min(length, 20))}, and not by + or - or a digit"
            raise ScannerError(None, None, why, self.get_mark())
        self.forward(length)
        sign, digit = found[1] or found[4], found[2] or found[3]
        return (sign == "+" if sign else None), (int(digit) if digit else None)

    def scan_block_scalar_ignored_line(self, start_mark: Any) -> None:
        self._past_blanks()
        super().scan_block_scalar_ignored_line(start_mark)

    def scan_directive_ignored_line(self, start_mark: Any) -> None:
        self._past_blanks()
        super().scan_directive_ignored_line(start_mark)

    def scan_plain(self) -> ScalarToken:
        start = end = self.get_mark()
        indent = self.indent + 1
        chunks: list[str] = []
        between: list[str] = []
        while self.peek() != "#" and (length := self._plain_length()):
            self.allow_simple_key = False
            chunks += [*between, self.prefix(length)]
            self.forward(length)
            end = self.get_mark()
            between = self.scan_plain_spaces(indent, start)
            if not between or (not self.flow_level and self.column < indent):
                break
        return ScalarToken("".join(chunks), True, start, end)

    def _plain_length(self) -> int:
        """Return the number of characters before the next blank, line break or indicator that ends plain text."""
        length = 0
        ends = f"\0{_BLANKS}{_BREAKS}"
        while (found := self.peek(length)) not in ends:
            if found == ":" and self.peek(length + 1) in ends + (",[]{}" if self.flow_level else ""):
                break
            if self.flow_level and found in ",[]{}":
                break
            length += 1
        return length

    def scan_plain_spaces(self, indent: int, start_mark: Any) -> list[str]:
        """Return what blanks and line breaks within plain text stand for; nothing if the text ends here."""
        length = 0
        while self.peek(length) in _BLANKS:
            length += 1
        blanks = self.prefix(length)
        if self.peek(length) not in _BREAKS:
            if self.peek(length) in "#\0":
                return []  # a comment: its tabs are looked at with it
            self.forward(length)
            return [blanks] if blanks else []
        self.forward(length)
        line_break = self.scan_line_break()
        self.allow_simple_key = True
        breaks: list[str] = []
        while not self._at_marker():
            self._past_indentation(indent)
            if self.peek() not in _BREAKS:
                folded = [line_break] if line_break != "\n" else [] if breaks else [" "]
                return folded + breaks
            breaks.append(self.scan_line_break())
        return []

    def _past_indentation(self, indent: int) -> None:
        """Go past the spaces of a line, and past its tabs where these are no indentation."""
        while self.peek() == " ":
            self.forward()
        length = 0
        while self.peek(length) in _BLANKS:
            length += 1
        if self.flow_level or self.column >= indent or self.peek(length) in _BREAKS:
            self.forward(length)

    def _at_marker(self) -> bool:
        return self.prefix(3) in ("---", "...") and self.peek(3) in f"\0{_BLANKS}{_BREAKS}"


class _Nodes(_Tabs, Parser, Composer, BaseResolver):
    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()
        if not isinstance(event, AliasEvent):
            self.anchors.pop(event.anchor, None)
        if self._depth > DEEPEST:
            raise yaml.composer.ComposerError(None, None, _TOO_DEEP, event.start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


for _name, _pattern in SCHEMA.items():
    _Nodes.add_implicit_resolver(
        TAG + _name, re.compile(f"(?:{_pattern.pattern})$"), [*_FIRST[_name], *([""] if _name == "null" else [])]
    )
RESOLVERS: dict[str | None, list[tuple[str, re.Pattern[str]]]] = _Nodes.yaml_implicit_resolvers
"""The schema as PyYAML keeps it: by first character."""


def nodes(text: str) -> Iterator[yaml.Node]:
    """Yield the root of each document that holds anything.

    Raises YAMLError: the text is not YAML. Its mark names the place, except for a character that YAML does not allow.
    """
    reader = _Nodes(text)
    try:
        while reader.check_node():
            node = reader.get_node()
            if node is not None:
                yield node
    except (ValueError, OverflowError):  # "\UFFFFFFFF", %YAML 1.99…
        raise ScannerError(None, None, "an escape or a number is out of range", reader.get_mark()) from None
