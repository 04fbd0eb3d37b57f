"""Text from elsewhere, made safe to be printed: no character of it commands a terminal, hides or reorders others.

Pure, and of the standard library only.
"""

from __future__ import annotations

import re
from functools import cache

_UNSAFE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, but tab and newline
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff"
    "\ud800-\udfff"  # halves of a surrogate pair, which no encoding has
)


def escaped(text: str) -> str:
    """Return a text that commands nothing: ESC becomes `\\x1b`. Its newlines and tabs stay."""
    return text if is_plain(text.replace("\n", "").replace("\t", "")) else _never().sub(_written, text)


def one_line(text: str) -> str:
    """Return a text as a part of one line: its newlines and tabs are escaped too."""
    return text if is_plain(text) else _not_in_a_line().sub(_written, text)


def is_plain(text: str) -> bool:
    """Whether a text is printable ASCII in one line, as nearly all are; that is seen at once."""
    return text.isascii() and text.isprintable()


def is_safe(text: str) -> bool:
    """Whether a text holds nothing that `escaped` escapes."""
    return _never().search(text) is None


def is_text(text: str) -> bool:
    """Whether a text is Unicode, without halves of characters or bytes that were none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def json_escaped(json: str) -> str:
    """Return JSON that means the same and commands nothing."""
    return _never().sub(_json_escape, json)


def yaml_escaped(yaml: str) -> str:
    """Return YAML that means the same and commands nothing. What it escapes must be in double quotes."""
    return _never().sub(_yaml_escape, yaml)


@cache
def _never() -> re.Pattern[str]:
    """Compiled for the first text that is not plain, which most short commands never meet."""
    return re.compile(f"[{_UNSAFE}]")


@cache
def _not_in_a_line() -> re.Pattern[str]:
    return re.compile(f"[{_UNSAFE}\t\n]")


def _written(found: re.Match[str]) -> str:
    return repr(found[0])[1:-1]


def _json_escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _yaml_escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
