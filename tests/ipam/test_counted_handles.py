from __future__ import annotations

from datastore.fields import network
from ipam.counted_handles import CountedHandles

BLOCK, OTHER = network("10.65.1.0/26"), network("10.65.1.64/26")


def test_what_is_counted_before_another_writes_the_block_is_doubted_until_it_is_trusted() -> None:
    counted = CountedHandles()
    with counted.ahead(BLOCK, "a", 1), counted.ahead(OTHER, "b", 1):
        counted.doubt(BLOCK)
        with counted.ahead(BLOCK, "later", 1):
            assert counted.doubted(BLOCK, ["a", "later"]) == {"a"}
        assert counted.doubted(OTHER, ["b"]) == set()
        counted.trust(BLOCK, "a")
        assert counted.doubted(BLOCK, ["a"]) == set()


def test_a_handle_counts_ahead_what_all_its_assignments_want() -> None:
    counted = CountedHandles()
    with counted.ahead(BLOCK, "a", 2):
        with counted.ahead(BLOCK, "a", 1):
            assert (counted.of(BLOCK, "a"), counted.of(OTHER, "a"), counted.of(BLOCK, "b")) == (3, 0, 0)
        assert counted.of(BLOCK, "a") == 2
    assert counted.of(BLOCK, "a") == 0


def test_nothing_is_kept_of_what_has_ended() -> None:
    counted = CountedHandles()
    for number in range(100):
        with counted.ahead(BLOCK, f"h{number}", 1):
            counted.doubt(BLOCK)
    assert vars(counted) == {"_counted": {}, "_doubted": {}}
