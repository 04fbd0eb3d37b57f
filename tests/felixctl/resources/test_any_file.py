"""Files as people and programs leave them: real ones, cut, joined, edited and written anew in other forms.

Whatever is in them, they are resources and plans, or sentences; and twice the text takes twice the work.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from datastore.kinds.pools import IPPool
from felixctl.errors import RejectedError
from felixctl.resources import plan, view
from felixctl.resources.documents import read, to_yaml
from felixctl.resources.files import text_of
from felixctl.resources.manifests import manifests_in
from felixctl.resources.plan import ClusterState
from tests.datastore.odd_records import REAL
from tests.felixctl.golden import FIXTURES

ROOT = Path(__file__).parents[3]
TEXTS = [
    path.read_text()
    for folder, ending in ((FIXTURES, "yaml"), (FIXTURES, "json"), (ROOT / "examples", "yaml"), (ROOT / "docs", "md"))
    for path in sorted(folder.glob(f"**/*.{ending}"))
]
"""Records and command output of a real Calico, CNI configurations, the lab's files, and pages with files in them."""

RESOURCES = [to_yaml(form(record)) for record in REAL for form in (dict, view.shown)]
"""Records of a real Calico one by one, as they are stored and as they are shown."""

SNIPPETS = [
    "\t", "\n", "\r\n", "---\n", "...\n", "\ufeff", "&a ", "*a", "<<: *a\n", "<<: ", "- ", "? ", ": ", "{", "}", "[",
    "]", "!!int ", "!!set ", "!x ", "'", '"', "|\n", ">-\n", "# ", "%YAML 1.2\n", "\\ud800", "\x00", "\x85", "1e999",
    "kind: List\nitems:\n", "kind: Profile\n", "namespace: web\n", "labels: {rack: 1}\n", "null", "~", "yes", "0o17",
    "9" * 5000,
]  # fmt: skip
LONGEST = 3000


def tabbed(text: str) -> str:
    """Indent by tabs, as some editors do."""
    lines = text.splitlines(keepends=True)
    return "".join("\t" * (len(line) - len(line.lstrip(" "))) + line.lstrip(" ") for line in lines)


def as_json(text: str, indent: int | str | None) -> str:
    """Return the JSON of what can be read of a text, one document after the other."""
    return "\n".join(json.dumps(document.body, indent=indent) for document in read(text, "f").documents)


FORMS: list[Callable[[str], str]] = [
    lambda text: text,
    lambda text: text.replace("\n", "\r\n"),
    tabbed,
    lambda text: text.replace(": ", ":\t"),
    lambda text: as_json(text, None),
    lambda text: as_json(text, "\t"),
    lambda text: "".join(f"  {line}" for line in text.splitlines(keepends=True)),
    lambda text: f"apiVersion: v1\nkind: List\nitems:\n- {text.replace(chr(10), chr(10) + '  ')}",
]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"]


@st.composite
def texts(draw: st.DrawFn) -> str:
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.integers(0, 3)):
            parts.append(draw(st.sampled_from(RESOURCES)))
        else:
            text = draw(st.sampled_from(TEXTS))
            begin = draw(st.integers(0, len(text)))
            parts.append(text[begin : begin + draw(st.integers(0, LONGEST))])
        parts.append(draw(st.sampled_from(["---\n", "---\n", "\n", ""])))
    joined = "".join(parts)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(joined)))
        joined = joined[:at] + draw(st.sampled_from(SNIPPETS)) + joined[at + draw(st.integers(0, 5)) :]
    return draw(st.sampled_from(FORMS))(joined)


POOL = IPPool.make("default-ipv4-ippool", cidr="10.65.0.0/16", blockSize=26)


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(texts(), st.sampled_from(ENCODINGS), st.booleans())
def test_any_file_is_a_plan_or_sentences(text: str, encoding: str, skip_unsupported: bool) -> None:
    data = text.encode(encoding, "replace")
    try:
        found = read(text_of(data), "f")
    except UnicodeDecodeError:
        return  # its sentence is tested beside the files
    contents = manifests_in(found.documents, skip_unsupported=skip_unsupported)
    existing: dict[Any, Any] = {one.key: POOL for one in contents.manifests if one.key.model is IPPool}
    state = ClusterState(existing, pools=[POOL])
    sentences = [*found.mistakes, *contents.skipped]
    try:
        steps = plan.decided(contents, state, plan.applied)
    except RejectedError as rejected:
        sentences += rejected.sentences
    else:
        plan.not_taken(contents.manifests, state, steps)
        assert all(step.resource.to_text() for step in steps)
    assert all(sentence.encode() for sentence in sentences)


def work(text: str) -> int:
    """Return how many functions are called to read a text."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        read(text, "f")
    finally:
        sys.setprofile(None)
    return calls


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=50)
@given(st.lists(st.sampled_from([*SNIPPETS, "a", "a: b\n", " ", "  - x\n", '{"a": 1}\n']), min_size=1, max_size=4))
@example(["[", "a: ", "\n---\n"])
@example(["a: b\n\t"])
@example(["- &a [*a, *a]\n"])
def test_twice_the_text_is_not_more_than_twice_the_work(parts: list[str]) -> None:
    part = "".join(parts)
    assert work(part * 64) <= 5 * work(part * 16) + 1000


@pytest.mark.parametrize("form", FORMS)
def test_what_calico_printed_is_read_in_every_form_that_is_right(form: Callable[[str], str]) -> None:
    text = (FIXTURES / "cli" / "get-bgppeer.yaml").read_text()
    found = read(form(text), "f")
    if form is tabbed:
        assert "tab" in found.mistakes[0]
    else:
        assert [one.body for one in found.documents] == [one.body for one in read(text, "f").documents]
