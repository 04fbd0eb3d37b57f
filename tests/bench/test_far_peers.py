"""What the far peers announce."""

from __future__ import annotations

from bench.far_peers import announcements

HEAD, LENGTHS, ATTRIBUTES = 19, 4, 4 + 3 + 7 + 7 + 7


def networks(updates: list[bytes]) -> list[bytes]:
    """Return the networks in UPDATEs, of 5 bytes each."""
    behind = [update[HEAD + LENGTHS + ATTRIBUTES :] for update in updates]
    return [part[start : start + 5] for part in behind for start in range(0, len(part), 5)]


def test_no_update_is_longer_than_bgp_allows_and_each_says_its_length() -> None:
    updates = list(announcements(3, "198.18.1.4", 10_000, single=False))
    assert max(map(len, updates)) <= 4096
    assert all(int.from_bytes(update[16:18]) == len(update) for update in updates)


def test_no_two_speakers_announce_the_same_network() -> None:
    found = [
        network
        for number in range(10)
        for network in networks(list(announcements(number, "198.18.1.1", 1000, single=False)))
    ]
    assert len(set(found)) == len(found) == 10_000
    assert {network[:2] for network in found} == {b"\x1a\x0a"}  # a /26 in 10.0.0.0/8


def test_single_updates_have_one_network_each_and_no_attributes_in_common() -> None:
    updates = list(announcements(0, "198.18.1.1", 100, single=True))
    assert len(updates) == len({update[HEAD + LENGTHS : HEAD + LENGTHS + ATTRIBUTES] for update in updates}) == 100
    assert len(networks(updates)) == 100
