"""Secrets that no name announces, but a command and its option: `sshpass -p x`, `snmp-server community x`.

Pure, and linear in the length of a text: from a command, a fixed number of words is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from felixctl.node.secret_values import QUOTE, Span, harmless, unnamed

_BREAK = rf"(?:{QUOTE}?(?:[ \t]++|,\s*+(?={QUOTE})|,[ \t]++(?=-|[^\s,\]]++[,\]])|\n[ \t]*+-[ \t]++))"
"""Between two words of a command: on a line, in a list of JSON, in one of YAML."""
_GAP = rf"{_BREAK}{QUOTE}?"
_WORD = r"[^\s|;&\"'`\\,]++"
_MYSQL = r"mysql(?:dump|admin|import|check|show|sh)?|mariadb(?:-\w++)?|mongo(?:sh|dump|restore|export|import)?"
_LOGIN = rf"(?:docker|podman|nerdctl|buildah|skopeo|oras|oc|az|registry){_GAP}login"
_OPTION = re.compile(
    r"(?<![\w.-])(?:"
    rf"sshpass(?:{_GAP}-P{_GAP}{_WORD}|{_GAP}-{_WORD}){{0,6}}?{_GAP}-p"
    rf"|(?:{_MYSQL}|{_LOGIN})(?:{_GAP}{_WORD}){{0,12}}?{_GAP}-p"
    rf"|redis-cli(?:{_GAP}{_WORD}){{0,12}}?{_GAP}-a"
    rf"|ipmitool(?:{_GAP}{_WORD}){{0,12}}?{_GAP}-P"
    rf"|ldap(?:search|modify|add|delete|passwd|whoami)(?:{_GAP}{_WORD}){{0,12}}?{_GAP}-w"
    rf"|snmp(?:walk|get|getnext|bulkwalk|bulkget|set|trap|table|status|df)(?:{_GAP}{_WORD}){{0,12}}?{_GAP}-[cAX]"
    rf")(?:=|{_BREAK})?(?=[^\s|;&,\]-])"
)
_COMMUNITY = re.compile(
    rf"(?<![\w-])(?:snmp[\w-]*+[ \t]++(?:v\d\w?[ \t]++)?community|r[ow]community6?)[ \t]++(?:\d[ \t]++)?"
    rf"(?!string\b|(?:\d++:)++\d++(?!\S))(?={QUOTE}|[^\s:=])"
    r"|(?<![\w-])community[ \t]++(?!(?:\d++:)++\d++[ \t])(?=[^\s:=]++[ \t]++(?:RO|RW|ro|rw)\b)"
    r"|(?<![\w-])snmp-server[ \t]++host[ \t]++\S++[ \t]++(?:(?:traps?|informs?)[ \t]++)?"
    r"(?:version[ \t]++(?:1|2c)[ \t]++)?(?!version\b)(?=\S)"
)
"""SNMP's passwords. Those of BGP are two or three numbers, and no secret."""


def commanded(text: str) -> Iterator[Span]:
    """Yield the values that a command's option or place says are secrets, in order for each sort of command."""
    for pattern in (_OPTION, _COMMUNITY):
        position = 0
        while found := pattern.search(text, position):
            span = unnamed(text, found.end())
            position = max(span[1], found.end())
            if span[0] < span[1] and not harmless(text, span[0]):
                yield span
