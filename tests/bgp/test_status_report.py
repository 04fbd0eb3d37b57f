"""One session as status shows it."""

from __future__ import annotations

from bgp.events import PeerConnected, PeerDown, PeerOpen, PeerUp
from bgp.rib_in import RibIn
from bgp.speaker import Attributes, HeldBackSession, LocalNode, Neighbour
from bgp.status_report import STEP_SECONDS, held_back_row, session_row, session_rows, steady_epoch
from net.prefix import Prefix, pack

PEER = "192.0.2.2"
DIALS = Neighbour(PEER, "192.0.2.1", 64512, 64512)
WAITS = Neighbour("192.0.2.3", "192.0.2.1", 64512, 64512, passive=True)


def rib_in() -> RibIn:
    made = RibIn()
    made.configure([DIALS, WAITS], LocalNode(64512, pack("192.0.2.1")), 0)
    return made


def info(rib: RibIn, address: str = PEER) -> str:
    return str(session_row(rib.peers[address], {}, 0)["info"])


def test_a_session_goes_through_the_states_of_rfc_4271() -> None:
    rib = rib_in()
    assert (info(rib), info(rib, "192.0.2.3")) == ("Active", "Passive")
    rib.fold(PeerConnected(PEER), 1)
    assert info(rib) == "OpenSent"
    rib.fold(PeerUp(PEER), 2)
    assert info(rib) == "Established"
    rib.fold(PeerDown(PEER, "notification received (6,2)"), 3)
    assert info(rib) == "Active: administrative shutdown (NOTIFICATION 6/2 received)"


def test_a_likely_reason_is_told_beside_the_last_error_of_a_session_that_is_down() -> None:
    rib, why = rib_in(), "a peer signs with another password"
    assert session_row(rib.peers[PEER], {}, 0, why)["info"] == f"Active: {why}"
    rib.fold(PeerUp(PEER), 1)
    assert session_row(rib.peers[PEER], {}, 0, why)["info"] == "Established"
    rib.fold(PeerDown(PEER, "notification received (6,2)"), 2)
    told = "Active: administrative shutdown (NOTIFICATION 6/2 received)"
    assert session_row(rib.peers[PEER], {}, 0, why)["info"] == f"{told}; {why}"


def test_only_routes_of_the_families_both_ends_speak_count_as_announced() -> None:
    rib = rib_in()
    announced = {Prefix.parse(text): Attributes(pack("192.0.2.1")) for text in ("10.65.1.0/26", "fd00::/122")}
    assert session_row(rib.peers[PEER], announced, 0)["announced"] == 0
    rib.fold(PeerOpen(PEER, pack(PEER), 64512, 90, ("ipv4",)), 1)
    rib.fold(PeerUp(PEER), 1)
    assert session_row(rib.peers[PEER], announced, 0)["announced"] == 1


def test_a_session_that_is_held_back_has_the_shape_of_the_others_and_its_reason() -> None:
    row = held_back_row(HeldBackSession(PEER, 65001, "global", "BGP filters are not implemented"), 7)
    assert row.keys() == session_row(rib_in().peers[PEER], {}, 0).keys()
    assert (row["state"], row["info"]) == ("held back", "BGP filters are not implemented")


def test_a_session_that_exabgp_is_yet_to_end_is_one_row_that_says_so() -> None:
    rib, held_back = rib_in(), (HeldBackSession(PEER, 64512, "mesh", "there is no Secret"),)
    rib.fold(PeerUp(PEER), 1)

    def rows() -> list[tuple[str, str, float]]:
        made = session_rows(
            rib.peers,
            held_back,
            changing={},
            sent_to=lambda address: {},
            likely_reason=lambda peer: "",
            held_back_since=5,
            epoch=100,
        )
        return [(row["state"], row["info"], row["since"]) for row in made if row["address"] == PEER]

    assert rows() == [("up", "Established; it is about to be held back: there is no Secret", 101)]
    rib.configure([WAITS], LocalNode(64512, pack("192.0.2.1")), 6)
    assert rows() == [("held back", "there is no Secret", 105)]


def test_a_wall_clock_that_was_set_moves_the_epoch_and_the_moment_between_two_clocks_does_not() -> None:
    known = 1_796_031_805.0
    assert steady_epoch(known, known + 0.02) == steady_epoch(known, known - 0.02) == known
    assert steady_epoch(known, known + STEP_SECONDS) == known + STEP_SECONDS
    assert steady_epoch(known, known - 3600) == known - 3600
