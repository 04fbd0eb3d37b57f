"""Where the value that follows a name begins and ends: in YAML, JSON, shells, headers, routers' configurations, logs.

Pure. No character is looked at more often than a fixed number of times, however the text is made: what is repeated is
possessive or comes last, and a search that fails has passed over what no later one begins in. (Groups are not repeated
possessively: Python 3.11.2 then takes in what the last, failed turn had read.)
"""

from __future__ import annotations

import re

from msgspec import Struct

from felixctl.node.secret_names import refers

LEFT_OUT = "<left out>"
Span = tuple[int, int]

QUOTE = r"(?:\\*+[\"'`]|\\*+u002[27]|%2[27]|&quot;|&#3[49];)"
"""How a quote is written, escaped any number of times too."""
LONGEST_SHELL_TEXT = 8192
_ASSIGN = re.compile(
    rf"{QUOTE}?[ \t]*+\]?[ \t]*+(?::=|=>|->|==?|:|%3[ADad]|>(?!>)|\|(?=[ \t]\S))(?:[ \t]|%20)*", re.IGNORECASE
)
_LINES = re.compile(rf"{QUOTE}[ \t]*+\r?\n\s*+:\s*+")
"""Between a name and its value in JSON whose colon is on a line of its own."""
_VALUE_BELOW = re.compile(rf"\s*+(?={QUOTE}|[\[{{])")
_CALL = re.compile(rf"[ \t]*+\([ \t]*+(?:[\w.]++,[ \t]*+(?={QUOTE}))?")
"""Between a function and the text that it is called with: setPassword(user, "x")."""
_NEXT_TEXT = re.compile(rf"[ \t]*+,[ \t]*+(?={QUOTE})")
_ONLY_WORD = re.compile(r"[^\s()]++(?=[ \t]*+\))")
_WHOSE = re.compile(
    r"[ \t]++(?:for|of)(?:[ \t]++[^\s:]++){1,4}(?::[^\s:]++)*[ \t]*+:[ \t]++(?=\S)"
    r"|[ \t]++\([^()\n]{1,80}+\)[ \t]*+:[ \t]++(?=\S)"
)
"""Between a question for a password and the answer: Password for user x: y."""
_LAST_WORD = re.compile(r"\S++(?=[ \t]*+(?:\n|\Z))")
_SPACE = re.compile(rf"{QUOTE}?(?:[ \t]|%20)+")
_LIST = re.compile(rf"{QUOTE}?[ \t]*+(?:,\s*+(?={QUOTE})|\n[ \t]*+-[ \t]++)")
"""Between an option and its value where arguments are a list."""
_ENTRY = re.compile(rf"{QUOTE}?[ \t]*+,?\s*+{QUOTE}?value{QUOTE}?[ \t]*+[:=][ \t]*+", re.IGNORECASE)
"""Between a name and its value where both are entries: name: X, value: x."""
_COMPLEX_KEY = re.compile(rf"{QUOTE}?[ \t]*+\n[ \t]*+:[ \t]++")
_ELEMENT = re.compile(r"[^<>\n]*+>")
"""The rest of an element's tag in XML."""
_TAGS = re.compile(r"(?:[!&][\w!./:-]*+[ \t]++)*")
_NOTHING = re.compile(r"(?:[|>][-+0-9]*+)?[ \t]*+(?:#[^\n]*+)?\r?(?=\n|\Z)")
"""The rest of a line whose value is in the lines below it."""
_NOTHING_INSIDE = re.compile(r"(?:[|>][-+0-9]*+)?[ \t]*+\\+n")
_OPENING = re.compile(QUOTE, re.IGNORECASE)
_HARMLESS = re.compile(
    rf"{QUOTE}?{LEFT_OUT}"
    rf"|(?:null|~|true|false|yes|no|none|nil|on|off|enabled|disabled|\(hidden\)|{QUOTE}{{2}}(?![\"'])|\[\]|\{{\}})"
    r"(?=[\s,;)\]}&\\\"']|\Z)",
    re.IGNORECASE,
)
_BARE = re.compile(
    r"(?:[^\s,;&)\]}\"'`\\<|]++|\\++(?![\"'`])"
    r"|(?:\\*+[\"'`]|[)\]}]|<(?!/))(?=[\w$+/=.!@#%^*~-])"
    r"|[,;&|](?=[\w$+/=.!@#%^*~-])(?![\w.-]++[ \t]*+[:=]))*"
)
"""Until what ends a word, unless the word plainly goes on behind it and no other name begins."""
_TO_LINE_END = re.compile(r"(?:[^\n\\]++|\\(?:\r?\n|[^\n]|\Z))*")
_TO_STRING_END = re.compile(r"(?:[^\n\\\"]++|\\++(?![n\"\\]))*")
_REST_OF_STRING = re.compile(r"(?:[^\n\\\"]++|\\++[^\"\\\n])*")
_BRACKETS = re.compile(r"(?<!\\)\\*+[\"']|[{}\[\]\n]")
_FIRST_KEY = re.compile(rf"[{{\[\s-]*+{QUOTE}?(?P<key>[\w.-]++){QUOTE}?[ \t]*+:")
_LINE = re.compile(r"(?P<indent>[ \t]*+)(?P<content>[^\n]*+)\n?")
_HOW = re.compile(
    r"(?:(?:\d{1,3}+|encrypted|clear|plain(?:text)?|hashed|ascii-text|hexadecimal|local|remote|md5|sha\d*+|hmac[\w-]*+"
    r"|basic|bearer|is|was)[ \t]++(?=\S))*"
)
"""Words between a password's name and the password."""
_PROSE = frozenset(
    """
    a an the this that than then so is are was were be been being not no of in for from to it its which whose with
    without by on at as or and but if when while until because since after before between per via does did do has have
    had must may can cannot could should will would found given set unset used read written changed wrong bad empty ok
    failed error expired invalid missing required mismatch rotated refresh refreshed request requests review file files
    path left out kept removed hidden redacted value values name names type there only also again too yet still never
    change changes rotation always nothing anything something any all each every both authentication auth source sources
    support supported optional default deprecated
    store key keys token tokens secret secrets password passwords manager
    """.split()  # noqa: SIM905 - as text they take few lines
)
"""Words that follow the name in a sentence."""


class Name(Struct, frozen=True):
    """A name in a text, with what its place says about its value."""

    start: int
    end: int
    line_indent: int
    first: bool
    """Whether it is the first on its line, so that its value may be the rest of it."""
    embedded: bool
    """Whether it is the first on a line of a document that is inside of a string."""


def assigned(text: str, name: Name) -> Span | None:
    """Return where the value is that a sign gives to a name; None: there is none, or it is harmless."""
    found = _ASSIGN.match(text, name.end) or _ENTRY.match(text, name.end) or _LINES.match(text, name.end)
    if found is None and text.startswith("-", name.start):
        found = _LIST.match(text, name.end)
    if found is None and text.startswith("<", name.start - 1):
        found = _ELEMENT.match(text, name.end)
    if found is None and text.startswith("? ", name.start - 2):
        found = _COMPLEX_KEY.match(text, name.end)
    if found is None:
        return None
    value = _value(text, name, found.end())
    in_a_table = found[0].strip() == "|"
    return None if value and in_a_table and _is_prose(text[value[0] : value[0] + 40].partition(" ")[0]) else value


def header(text: str, name: Name) -> Span | None:
    """Return where the value of an HTTP header is: to the end of its line, or of the string it is in."""
    found = _ASSIGN.match(text, name.end)
    if found is None or _HARMLESS.match(text, found.end()):
        return None
    start = found.end()
    if _OPENING.match(text, start) or _NOTHING.match(text, start) or text[start] in "{[":
        return _value(text, name, start)
    quote = text[name.start - 1 : name.start]
    end = re.compile(rf"[^\n{quote}]*+" if quote in ('"', "'", "`") else r"[^\n]*+")
    return _some(start, _passed(end, text, start))


def spaced(text: str, name: Name) -> Span | None:
    """Return where the value is that follows a name after a space, as routers' configurations and options have it."""
    found = _SPACE.match(text, name.end)
    if found is None or _ASSIGN.match(text, name.end) or text.startswith("<", name.start - 1):
        return None
    start = _passed(_HOW, text, found.end())
    if _HARMLESS.match(text, start) or text.startswith("(", start):
        return None
    if _OPENING.match(text, start):
        return _some(start, _quoted(text, start, name))
    end = _passed(_BARE, text, start)
    return None if _is_prose(text[start : min(end, start + 40)]) else _some(start, end)


def called_with(text: str, name: Name) -> Span | None:
    """Return where the texts are that a function is called with, or one word in brackets."""
    found = _CALL.match(text, name.end)
    if found is None or _HARMLESS.match(text, found.end()):
        return None
    start = found.end()
    if not _OPENING.match(text, start):
        word = _ONLY_WORD.match(text, start)
        return None if word is None or _is_prose(word[0]) else word.span()
    end, _ = _quote_end(text, start)
    while following := _NEXT_TEXT.match(text, end):
        end, _ = _quote_end(text, following.end())
    return start, end


def answered(text: str, name: Name) -> Span | None:
    """Return where the answer is to a question for a password: the rest of its line, or a last word that is no prose.

    Where the question does not begin the line, more words are rather the reason why something failed.
    """
    found = _WHOSE.match(text, name.end)
    if found is None or _HARMLESS.match(text, found.end()):
        return None
    if name.first:
        return _some(found.end(), _passed(_TO_LINE_END, text, found.end()))
    word = _LAST_WORD.match(text, found.end())
    return None if word is None or _is_prose(word[0]) else word.span()


def harmless(text: str, start: int) -> bool:
    """Whether what begins at `start` is no secret, whatever its name is: nothing, a boolean, what was left out."""
    return _HARMLESS.match(text, start) is not None


def _is_prose(word: str) -> bool:
    return word.rstrip(".:!?").lower() in _PROSE


def unnamed(text: str, start: int) -> Span:
    """Return where the value is that begins at `start`, whatever its name is."""
    if _OPENING.match(text, start):
        return start, _quote_end(text, start)[0]
    return start, _passed(_BARE, text, start)


def _value(text: str, name: Name, start: int) -> Span | None:
    start = _passed(_TAGS, text, start)
    if _HARMLESS.match(text, start):
        return None
    if _NOTHING.match(text, start):
        return _below(text, name, start)
    if name.embedded and _NOTHING_INSIDE.match(text, start):
        return _some(start, _passed(_REST_OF_STRING, text, start))
    if text[start] in "{[":
        first = _FIRST_KEY.match(text, start)
        return None if first and refers(first["key"]) else _some(start, _bracketed(text, start, name))
    if _OPENING.match(text, start):
        return _some(start, _quoted(text, start, name))
    if name.first:
        return _some(start, _deeper(text, name, _passed(_TO_LINE_END, text, start)))
    return _some(start, _passed(_TO_STRING_END if name.embedded else _BARE, text, start))


def _some(start: int, end: int) -> Span | None:
    return (start, end) if end > start else None


def _passed(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return found.end() if found else start


def _below(text: str, name: Name, start: int) -> Span | None:
    """Return the lines below a name that are its value; nothing where they say where a secret is."""
    line_end = text.find("\n", start)
    if line_end < 0:
        return None
    first = _FIRST_KEY.match(text, line_end)
    end = _deeper(text, name, line_end, entries=True)
    if end == line_end and not first and text.startswith(("'", '"'), name.start - 1):
        value = _VALUE_BELOW.match(text, line_end)
        return _value(text, name, value.end()) if value else None  # JSON without indentation
    if end == line_end or (first and refers(first["key"])):
        return None
    begin = line_end + len(text[line_end:end]) - len(text[line_end:end].lstrip())
    return _some(begin, end)


def _deeper(text: str, name: Name, line_end: int, *, entries: bool = False) -> int:
    """Return the end of the last line below that belongs to a name's value, being indented more than the name.

    `entries`: so do those of a list at the name's own indentation, and a value behind a colon of its own.
    """
    end = position = line_end
    while position < len(text) and (line := _LINE.match(text, position + 1)):
        indent, content = len(line["indent"]), line["content"]
        belongs = indent > name.line_indent or (
            entries and indent == name.line_indent and content.startswith(("- ", ": "))
        )
        if content.strip() and not belongs:
            break
        if content.strip():
            end = line.end("content")
        position = line.end("content")
    return end


def _quoted(text: str, start: int, name: Name) -> int:
    """Return the end of a quoted value, with what is joined to it as shells and YAML do."""
    end, closed = _quote_end(text, start)
    if not closed:
        last = text.find(text[start], end, end + LONGEST_SHELL_TEXT) if name.first else -1
        return last + 1 if last >= 0 else _deeper(text, name, end)
    while text.startswith(("'", '"', "\\'"), end) and not text.startswith("\\", start):
        if text.startswith("\\", end):
            end += 2  # a shell's quote between two texts in quotes
            continue
        end, closed = _quote_end(text, end)
        if not closed:
            return end
    return _passed(_BARE, text, end) if text[end : end + 1].isalnum() else end


def _quote_end(text: str, start: int) -> tuple[int, bool]:
    """Return where a quoted text ends, behind its quote, and whether it does; else the end of its line.

    Within a text that was escaped n times, quotes of its own level have 2ⁿ-1 backslashes before them.
    """
    opening = _OPENING.match(text, start)
    assert opening is not None
    mark = opening[0].lstrip("\\")
    depth = len(opening[0]) - len(mark)
    pattern = re.compile(rf"(?<!\\)\\*+{re.escape(mark)}|\n", re.IGNORECASE)
    position = opening.end()
    while found := pattern.search(text, position):
        if found[0] == "\n":
            return found.start(), False
        if (len(found[0]) - len(mark)) % (2 * (depth + 1)) == depth:
            return found.end(), True
        position = found.end()
    return len(text), False


def _bracketed(text: str, start: int, name: Name) -> int:
    """Return the end of a list or mapping in brackets; of one that does not end, the last line indented more."""
    depth, position = 0, start
    while found := _BRACKETS.search(text, position):
        position = found.end()
        match text[position - 1]:
            case "{" | "[":
                depth += 1
            case "}" | "]":
                depth -= 1
                if not depth:
                    return position
            case "\n":
                line = _LINE.match(text, position)
                goes_on = not line or len(line["indent"]) > name.line_indent or not line["content"].strip()
                if line and not goes_on and not line["content"].startswith(("}", "]", '"', ":", ",")):
                    return found.start()
            case _ if text[found.start() - 1] in "{[:,=( \t\n":
                position, _ = _quote_end(text, found.start())
    return len(text)
