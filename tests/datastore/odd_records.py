"""Records as no program of ours or Calico's writes them: real ones with any value in any place."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from datastore.resources import KINDS
from tests.felixctl.golden import FIXTURES, records

PATHS = [
    path.relative_to(FIXTURES).as_posix()
    for path in sorted(FIXTURES.glob("**/*.yaml"))
    if "--- exit" not in path.read_text() and "pod-" not in path.name
]
REAL = [record for path in PATHS for record in records(path)]
"""Records that a real Calico wrote, of every kind that is among the fixtures."""

EMPTY = [
    {"apiVersion": kind.API_VERSION, "kind": name, "metadata": {"name": "odd", "namespace": "default"}, "spec": {}}
    for name, kind in sorted(KINDS.items())
]

TEXTS = st.sampled_from(
    [
        "", "n1", "10.65.0.0/16", "10.65.1.0/255.255.255.0", "192.0.2.9", "[fd00::9]:1179", "all()", "has(", "64512",
        "0", "9" * 400 + "h", "-1s", "Always", "\u0661", "true", "{", "null", "[" * 100_000, '{"a": [1]}',
    ]
)  # fmt: skip
VALUES = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers(-3, 1 << 64) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS.filter(lambda t: len(t) < 99), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def odd_records(draw: st.DrawFn) -> dict[str, Any]:
    """A record with one to three values, wherever they are, replaced, removed or put under another key."""
    record: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from([*REAL, *EMPTY]))))
    for _ in range(draw(st.integers(1, 3))):
        inside: Any = record
        while children := [one for one in _values(inside) if isinstance(one, dict | list) and one]:
            if draw(st.booleans()):
                break
            inside = draw(st.sampled_from(children))
        _change(draw, inside)
    return record


def _values(inside: Any) -> list[Any]:
    return list(inside.values()) if isinstance(inside, dict) else inside


def _change(draw: st.DrawFn, inside: Any) -> None:
    keys = sorted(inside) if isinstance(inside, dict) else range(len(inside))
    if not keys:
        return
    key = draw(st.sampled_from(keys))
    match draw(st.sampled_from(["replace", "remove", "move", "annotate"])):
        case "remove":
            del inside[key]
        case "move" if isinstance(inside, dict):
            inside[draw(st.sampled_from(["kind", "spec", "labels", "annotations", "odd"]))] = inside.pop(key)
        case "annotate" if isinstance(inside, dict):
            names = ["metadata", "labels", "annotations", "IPv4Address", "Interfaces", "ASNumber"]
            inside["annotations"] = {f"projectcalico.org/{draw(st.sampled_from(names))}": draw(TEXTS)}
        case _:
            inside[key] = draw(VALUES)


@st.composite
def odd_texts(draw: st.DrawFn) -> str:
    """The JSON of an odd record; a part of it may be cut out, doubled or put in elsewhere."""
    text = json.dumps(draw(odd_records()))
    for _ in range(draw(st.integers(0, 2))):
        begin, end = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        place = draw(st.integers(0, len(text)))
        kept = text[:begin] + text[end:] if draw(st.booleans()) else text
        text = kept[:place] + text[begin:end] + kept[place:]
    return text
