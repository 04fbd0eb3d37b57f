"""JSON patches: RFC 6902's own examples, and what a person may get wrong."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from felixctl.errors import RejectedError
from felixctl.resources.patches import operated


@pytest.mark.parametrize(
    ("before", "operation", "after"),
    [
        ({"foo": "bar"}, {"op": "add", "path": "/baz", "value": "qux"}, {"baz": "qux", "foo": "bar"}),
        ({"foo": ["a", "b"]}, {"op": "add", "path": "/foo/1", "value": "q"}, {"foo": ["a", "q", "b"]}),
        ({"foo": ["a"]}, {"op": "add", "path": "/foo/-", "value": ["b"]}, {"foo": ["a", ["b"]]}),
        ({"baz": 1, "foo": 2}, {"op": "remove", "path": "/baz"}, {"foo": 2}),
        ({"foo": ["a", "b", "c"]}, {"op": "remove", "path": "/foo/1"}, {"foo": ["a", "c"]}),
        ({"baz": 1}, {"op": "replace", "path": "/baz", "value": 2}, {"baz": 2}),
        ({"foo": ["a", "b"]}, {"op": "replace", "path": "/foo/0", "value": "c"}, {"foo": ["c", "b"]}),
        ({"a": {"b": 1}, "c": {}}, {"op": "move", "from": "/a/b", "path": "/c/d"}, {"a": {}, "c": {"d": 1}}),
        ({"a": [1, 2, 3]}, {"op": "move", "from": "/a/0", "path": "/a/2"}, {"a": [2, 3, 1]}),
        ({"a": {"b": 1}}, {"op": "copy", "from": "/a", "path": "/c"}, {"a": {"b": 1}, "c": {"b": 1}}),
        ({"a/b": 1, "m~n": 2}, {"op": "test", "path": "/a~1b", "value": 1}, {"a/b": 1, "m~n": 2}),
        ({"m~n": 2}, {"op": "replace", "path": "/m~0n", "value": 3}, {"m~n": 3}),
        ({"a": [{"b": 1}]}, {"op": "add", "path": "/a/0/c", "value": 2}, {"a": [{"b": 1, "c": 2}]}),
    ],
)
def test_each_operation_follows_rfc_6902(before: Any, operation: Any, after: Any) -> None:
    kept = copy.deepcopy(before)
    assert operated(before, [operation]) == after
    assert before == kept, "nothing is changed in place"


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/nothing", "value": 1},
        {"op": "remove", "path": "/a/b/c"},
        {"op": "remove", "path": ""},
        {"op": "test", "path": "/a", "value": 1},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "/l/7", "value": 1},
        {"op": "add", "path": "/l/x", "value": 1},
        {"op": "remove", "path": "/l/-1"},
        {"op": "frob", "path": "/a"},
        {"op": "add", "path": "/b"},
        3,
    ],
)
def test_an_operation_that_does_not_apply_is_refused(operation: Any) -> None:
    with pytest.raises(RejectedError, match="patch, operation 1"):
        operated({"a": {"b": 1}, "l": [1]}, [operation])
