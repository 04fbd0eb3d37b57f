"""What a list of all handles says of those that are to be released, and for how long."""

from __future__ import annotations

from ipam.names import handle_name
from ipam.unrecorded_handles import UnrecordedHandles


def test_a_handle_that_is_not_listed_has_no_record_for_whoever_asks_first() -> None:
    unrecorded = UnrecordedHandles()
    with unrecorded.among(["net.C1", "net.C2"]) as listed:
        assert not unrecorded.take("net.C1")
        listed({handle_name("net.C2")})
        assert [unrecorded.take(handle) for handle in ("net.C1", "net.C1", "net.C2", "net.other")] == [
            True,
            False,
            False,
            False,
        ]


def test_what_is_written_while_the_list_is_under_way_or_later_is_read() -> None:
    unrecorded = UnrecordedHandles()
    with unrecorded.among(["net.c1", "net.c2", "net.c3"]) as listed:
        unrecorded.writes("net.c1")
        listed(())
        unrecorded.writes("net.c2")
        assert [unrecorded.take(f"net.c{number}") for number in (1, 2, 3)] == [False, False, True]


def test_a_list_says_nothing_of_the_next_round() -> None:
    unrecorded = UnrecordedHandles()
    with unrecorded.among(["net.c1"]) as listed:
        listed(())
    assert not unrecorded.take("net.c1")
    with unrecorded.among(["net.c1"]):
        assert not unrecorded.take("net.c1")


def test_what_one_round_finds_stays_when_another_ends() -> None:
    unrecorded = UnrecordedHandles()
    with unrecorded.among(["net.c1", "net.c2"]) as listed:
        listed(())
        with unrecorded.among(["net.c2", "net.c3"]) as listed_later:
            listed_later({handle_name("net.c3")})
            assert [unrecorded.take(f"net.c{number}") for number in (2, 2, 3)] == [True, True, False]
        assert unrecorded.take("net.c1")
