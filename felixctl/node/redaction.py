"""Remove secrets from what leaves a node in an archive: records, logs, configurations, listings.

Pure, and linear in the length of a text. In doubt a value is removed.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from bisect import bisect
from collections.abc import Iterator
from typing import Any

from felixctl.node.secret_commands import commanded
from felixctl.node.secret_names import CANDIDATE, Hint, hint, refers
from felixctl.node.secret_values import (
    LEFT_OUT,
    QUOTE,
    Name,
    Span,
    answered,
    assigned,
    called_with,
    header,
    spaced,
    unnamed,
)

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_HEADERS = frozenset(("authorization", "proxy-authorization", "cookie", "set-cookie"))
_DATA = frozenset(("data", "stringData", "binaryData"))
_OF_SECRETS = re.compile(CANDIDATE.pattern + "|data", re.IGNORECASE)
_QUOTED = re.compile(QUOTE, re.IGNORECASE)
_NAME_CHARACTERS = re.compile(r"[\w./-]*+")
_ESCAPE_BEFORE = re.compile(r"\\(?:u00[0-9a-fA-F]{2}|[nrt])")
_FIRST = re.compile(rf"(?:[ \t]|[-?#] |export |declare -x |Environment=|set )*{QUOTE}?\Z")
_EMBEDDED = re.compile(r"\\n(?:[ \t]|- )*\Z")
_SECRET_KIND = re.compile(rf"kind{QUOTE}?[ \t]*+[:=][ \t]*+{QUOTE}?Secret(?:List)?\b")
_DOCUMENT = re.compile(r"^---", re.MULTILINE)
_PEM = re.compile(r"-----(?P<edge>BEGIN|END) (?P<what>[A-Z0-9 ]*+)-----")
_PEM_LINES = re.compile(
    r"(?:[ \t]*+(?:[A-Za-z0-9+/]++={0,2}+|[A-Z][\w-]++: [^\n]*+)?(?:[ \t\r]*+(?:\n|\\++n|\Z)|(?=[\"'])))*"
)
_PEM_LINE = re.compile(r"\s*+[A-Za-z0-9+/]{8,}+={0,2}+\s*+")
_RUN = re.compile(r"[^\s\"'<>`]*+")
_SHAPES = re.compile(
    r"(?<![\w-])eyJ[\w-]{5,}+\.[\w-]++\.[\w-]*+"  # a JSON web token
    r"|\$(?:[1-9]|2[aby]|y|apr1|argon2\w*+)\$[^\s\"',;$]{2,}+(?:\$[^\s\"',;]*+)?"  # a password's hash
    r"|(?<![\w-])(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|sk-|AKIA|ASIA|AIza|hvs\.|dckr_pat_|npm_)[\w-]{16,}+"
    r"|(?<![\w.-])[a-z0-9]{6}\.(?=[a-z]*+[0-9])[a-z0-9]{16}(?![\w.-])"  # kubeadm's
    r"|(?<!\S)(?:hmac|cbc|ctr|rfc\d++)\(\S*+[ \t]++0x[0-9a-fA-F]{16,}+"  # IPsec's
)
_VALUE_ENTRY = re.compile(rf"\bvalue{QUOTE}?[ \t]*+[:=][ \t]*+")
_THEN_NAME = re.compile(rf"[ \t]*+,?\s*+{QUOTE}?name{QUOTE}?[ \t]*+[:=][ \t]*+{QUOTE}?(?P<name>[\w./-]++)")
_LETTER = re.compile(r"(?<!\\)\\++u00(?P<code>4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9a]|3[0-9]|2d)", re.IGNORECASE)
"""A letter, digit, hyphen or underscore in JSON's other notation."""
_LOGIN = re.compile(
    rf"(?<![\w-])(?:-u|--user|--proxy-user)(?:{QUOTE}?(?:[ =]|, ?){QUOTE}?)(?P<login>[^\s:\"']++:[^\s\"']++)"
)
_BASIC = re.compile(
    rf"\b(?:basic|_?auth){QUOTE}?[ \t:=]{{1,8}}{QUOTE}?(?P<login>[\w+/-]{{6,}}+={{0,2}})", re.IGNORECASE
)


def record(value: Any, name: str = "") -> Any:
    """Return a record in which the values of names that sound like a secret are left out, at any depth.

    A reference to a secret (its object's name) stays: it is a mapping, and no secret itself.
    """
    match value:
        case dict():
            return {key: _entry(key, inner, value) for key, inner in value.items()}
        case list():
            return [_item(item, before, name) for before, item in zip((None, *value), value, strict=False)]
        case str():
            return LEFT_OUT if value and name and hint(name) else _document(value)
        case int() | float() if not isinstance(value, bool) and name and hint(name):
            return LEFT_OUT
        case _:
            return value


def _entry(key: str, inner: Any, around: dict[str, Any]) -> Any:
    if key == _LAST_APPLIED or (key in _DATA and around.get("kind") == "Secret"):
        return LEFT_OUT
    if key.endswith("KeyRef"):
        return inner if isinstance(inner, dict) else LEFT_OUT
    if inner and isinstance(inner, dict) and hint(key) and not any(map(refers, inner)):
        return LEFT_OUT
    if isinstance(inner, str) and _is_value(key, around):
        return LEFT_OUT
    return record(inner, key)


def _item(item: Any, before: Any, name: str) -> Any:
    """Return an item of a list; `before`, the item before it, may be an option."""
    option = isinstance(before, str) and before.startswith("-") and hint(before) is not None
    if isinstance(item, str) and option and not item.startswith("-"):
        return LEFT_OUT
    if item and isinstance(item, dict) and hint(name) and not any(map(refers, item)):
        return LEFT_OUT
    return record(item, name)


def _is_value(key: str, around: dict[str, Any]) -> bool:
    """Whether an entry is the value of what another one names, or a bare key that selects nothing."""
    if key == "value":
        return bool(hint(str(around.get("name", ""))))
    return key.rpartition("/")[2] == "key" and around.keys().isdisjoint(("operator", "name"))


def _document(written: str) -> str:
    """Return a text of a record, which may be a document of its own."""
    if written.lstrip().startswith(("{", "[")):
        try:
            return json.dumps(record(json.loads(written)), ensure_ascii=False)
        except (ValueError, RecursionError):
            return text(written)
    return text(written)


def text(written: str) -> str:
    """Return a log, a configuration or a listing with its secrets left out."""
    pieces: list[str] = []
    position = 0
    written = _LETTER.sub(lambda found: chr(int(found["code"], 16)), written)
    given = sorted(commanded(written))
    found = (*_keys(written), *_logins(written), *_shaped(written), *_named(written, given), *_named_behind(written))
    for start, end in sorted(span for span in (*given, *found) if span[0] < span[1]):
        if start >= position:
            pieces += (written[position:start], _mark(written, start))
        position = max(position, end)
    return "".join((*pieces, written[position:]))


def _mark(written: str, start: int) -> str:
    """Return what stands for a secret, in its quotes, so that JSON stays JSON."""
    quote = _QUOTED.match(written, start)
    return f"{quote[0]}{LEFT_OUT}{quote[0]}" if quote else LEFT_OUT


def _keys(written: str) -> Iterator[Span]:
    """Yield the bodies of private keys in PEM; of one that lost its first or last line, what looks like its lines."""
    markers = [found for found in _PEM.finditer(written) if "KEY" in found["what"] and "PUBLIC" not in found["what"]]
    opened = None
    for number, marker in enumerate(markers):
        if marker["edge"] == "END":
            start = opened.end() if opened else markers[number - 1].end() if number else 0
            yield (start if opened else _lines_before(written, start, marker.start())), marker.start()
            opened = None
        else:
            if opened:
                yield opened.end(), _end_of_lines(written, opened.end())
            opened = marker
    if opened:
        yield opened.end(), _end_of_lines(written, opened.end())


def _end_of_lines(written: str, start: int) -> int:
    found = _PEM_LINES.match(written, start)
    return start + len(found[0].rstrip()) if found else start


def _lines_before(written: str, start: int, end: int) -> int:
    """Return where the lines of a key begin that end at `end`, and none before `start`."""
    lines = written[start:end].split("\n")
    while lines and (not lines[-1].strip() or _PEM_LINE.fullmatch(lines[-1])):
        end -= len(lines.pop()) + 1
    return max(start, end + 1)


def _logins(written: str) -> Iterator[Span]:
    """Yield what stands for a user and a password: in URLs, data source names, options and headers."""
    for run in _RUN.finditer(written):
        word = run[0]
        start, end = word.find("://") + 3, word.rfind("@")
        if 3 <= start < end and ("/" not in word[start:end] or ":" in word[start:end]):
            yield run.start() + start, run.start() + end
        elif end > 0 and word.startswith(("@tcp(", "@unix("), end):
            yield run.start() + word.find("=") + 1, run.start() + end
    for found in (*_LOGIN.finditer(written), *_BASIC.finditer(written)):
        if ":" in found["login"] or _names_a_user(found["login"]):
            yield found.span("login")


def _names_a_user(encoded: str) -> bool:
    try:
        return b":" in base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False


def _shaped(written: str) -> Iterator[Span]:
    """Yield what is a secret by its shape, whatever it is called."""
    return (found.span() for found in _SHAPES.finditer(written))


def _named(written: str, given: list[Span]) -> Iterator[Span]:
    """Yield the values of names that sound like a secret; what is in `given` is one, and no name of the next word."""
    secrets = _documents_with_secrets(written)
    names = _OF_SECRETS if secrets else CANDIDATE
    position = line = 0
    while found := names.search(written, position):
        newline = written.rfind("\n", position, found.start())
        line = newline + 1 if newline >= 0 else line
        name = _name(written, max(position, line), found, line)
        position = name.end
        if span := _value(written, name, secrets, spaces=not _within(given, name.start)):
            yield span
            position = max(position, span[1])
            last = written.rfind("\n", *span)
            line = last + 1 if last >= 0 else line


def _named_behind(written: str) -> Iterator[Span]:
    """Yield values whose name follows: value: x, name: PASSWORD."""
    position = 0
    while found := _VALUE_ENTRY.search(written, position):
        span = unnamed(written, found.end())
        position = span[1]
        name = _THEN_NAME.match(written, position)
        if name and hint(name["name"]):
            yield span


def _name(written: str, earliest: int, found: re.Match[str], line: int) -> Name:
    """Return the whole name that a candidate is in. Both ends of it are looked for within what no earlier one used."""
    start = found.start()
    while start > earliest and (written[start - 1].isalnum() or written[start - 1] in "_./-"):
        start -= 1
    escape = _ESCAPE_BEFORE.match(written, start - 1) if start > earliest else None
    start = min(escape.end(), found.start()) if escape else start
    rest = _NAME_CHARACTERS.match(written, found.end())
    before = written[max(line, start - 100) : start]
    first = start - line <= 100 and _FIRST.fullmatch(before) is not None
    indent = len(before) - len(before.lstrip(" \t-?#")) if first else _indent(written, line)
    end = rest.end() if rest else found.end()
    return Name(start, end, indent, first, not first and _EMBEDDED.search(before) is not None)


def _indent(written: str, line: int) -> int:
    found = re.compile(r"[ \t]{0,200}").match(written, line)
    return len(found[0]) if found else 0


def _value(written: str, name: Name, secrets: list[Span], *, spaces: bool) -> Span | None:
    """Return where a name's value is. `spaces`: it may follow without a sign, as it may not a name that is a value."""
    called = written[name.start : name.end]
    if called.startswith(("/", "./", "../")) and written[name.end : name.end + 1] != "=":
        return None  # a file's path
    called = called.rpartition("/")[2]
    if called.upper() in ("PWD", "OLDPWD") and written.startswith("=/", name.end):
        return None
    if called.lower() in _HEADERS:
        return header(written, name)
    if called in _DATA:
        return assigned(written, name) if _within(secrets, name.start) else None
    if called == "key":
        two_words = hint(_with_the_word_before(written, name)) is Hint.PLAIN
        in_a_query = written[name.start - 1 : name.start] in ("?", "&")
        if two_words:
            return assigned(written, name) or (spaced(written, name) if spaces else None)
        return assigned(written, name) if in_a_query else None
    match hint(called):
        case Hint.PLAIN:
            return assigned(written, name) or (_spaced(written, name, called) if spaces else None)
        case Hint.ASSIGNED:
            return assigned(written, name)
    return None


def _with_the_word_before(written: str, name: Name) -> str:
    """Return `md5-key` for the key of `md5 key`."""
    before = written[max(0, name.start - 20) : name.start]
    words = before.split() if before.endswith(" ") and not before.endswith("  ") else []
    return f"{words[-1]}-key" if words and words[-1][-1].isalnum() else "key"


def _spaced(written: str, name: Name, called: str) -> Span | None:
    """Return what follows a name without a sign, but not where it names the kind: Secret "bgp" not found."""
    if called in ("Secret", "Secrets", "secrets"):
        return None
    question = re.search("passw|passphrase|passcode", called, re.IGNORECASE)
    return (answered(written, name) if question else None) or spaced(written, name) or called_with(written, name)


def _within(spans: list[Span], position: int) -> bool:
    number = bisect(spans, (position, len(spans) and spans[-1][1] + 1))
    return number > 0 and position < spans[number - 1][1]


def _documents_with_secrets(written: str) -> list[Span]:
    """Return the YAML documents that hold a Secret, and the lines of logs that do."""
    found: list[Span] = []
    borders: list[int] | None = None
    for kind in _SECRET_KIND.finditer(written):
        done = found[-1][1] if found else 0
        if kind.start() < done:
            continue
        line = max(written.rfind("\n", done, kind.start()) + 1, done)
        if kind.start() - line <= 100 and not written[line : kind.start()].strip(" \t-\"'"):
            borders = borders or [0, *(one.start() for one in _DOCUMENT.finditer(written)), len(written)]
            number = bisect(borders, kind.start())
            found.append((borders[number - 1], borders[min(number, len(borders) - 1)]))
        else:
            end = written.find("\n", kind.end())
            found.append((line, len(written) if end < 0 else end))
    return found
