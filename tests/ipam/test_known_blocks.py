from __future__ import annotations

from datastore.fields import network
from ipam import block as blocks
from ipam.block import new_block
from ipam.known_blocks import KnownBlocks
from ipam.reserved import Reserved

BLOCK = new_block(network("10.65.1.0/30"), "n1", 10**18)


def test_a_block_has_room_for_its_own_host_and_is_unknown_when_forgotten() -> None:
    known = KnownBlocks()
    known.put(BLOCK, 7)
    assert known.free(BLOCK.network, "n1", Reserved()) == 4
    assert known.free(BLOCK.network, "n2", Reserved()) == 0
    assert (known.seen_ns(BLOCK.network, "n1"), known.seen_ns(BLOCK.network, "n2")) == (7, 0)
    assert known.pop(BLOCK.network) is BLOCK
    assert known.free(BLOCK.network, "n1", Reserved()) is None


def test_a_full_block_that_cools_down_may_have_room_again() -> None:
    known = KnownBlocks()
    full, ordinals = blocks.assign(BLOCK, 4, "a", {})
    known.put(full, 1)
    assert known.free(BLOCK.network, "n1", Reserved()) == 0
    known.put(blocks.release(full, ordinals[:1], 10**18, cooldown_seconds=30), 2)
    assert known.free(BLOCK.network, "n1", Reserved()) is None


def test_what_is_held_for_a_handle_is_found_in_all_blocks_and_no_more_when_it_is_released() -> None:
    known = KnownBlocks()
    other = new_block(network("10.65.2.0/30"), "n1", 10**18)
    one, ordinals = blocks.assign(BLOCK, 2, "a", {})
    for block in (one, blocks.assign(other, 1, "a", {})[0]):
        known.put(block, 1)
    assert sorted(map(str, known.held("a"))) == ["10.65.1.0", "10.65.1.1", "10.65.2.0"]
    assert known.held("b") == {}
    known.put(blocks.release(one, ordinals), 2)
    assert {str(cidr) for cidr in known.held("a").values()} == {"10.65.2.0/30"}
