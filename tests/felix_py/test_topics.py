"""Topics: everything is all of them, and before the datastore is in sync none is acted on that came from it."""

from __future__ import annotations

from felix_py.topics import Topic


def test_everything_is_every_topic() -> None:
    for topic in Topic:
        assert topic in Topic.EVERYTHING


def test_nothing_of_the_datastore_is_acted_on_before_it_is_in_sync() -> None:
    assert Topic.BEFORE_SYNC == Topic.NEXT_HOPS | Topic.HELD | Topic.ROUTES
