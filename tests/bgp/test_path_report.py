"""Every path to a prefix, with what became of it."""

from __future__ import annotations

from msgspec.structs import replace

from bgp.decision import DecisionStep
from bgp.events import AnnouncedPath, PeerDown, PeerOpen, PeerUp, UpdateReceived
from bgp.import_policy import RejectReason
from bgp.path_report import PathReport, path_reports
from bgp.rib_in import RibIn
from bgp.speaker import Attributes, LocalNode, Neighbour
from net.prefix import Prefix, pack
from tests.bgp.attributes import RICH

OWN, A, B = "192.0.2.1", "192.0.2.2", "192.0.2.3"
BLOCK, OTHER = Prefix.parse("10.65.1.0/26"), Prefix.parse("10.65.2.0/26")


def announce(rib: RibIn, peer: str, *paths: AnnouncedPath) -> None:
    rib.fold(UpdateReceived(peer, announced=paths), 0)


def rib_in() -> RibIn:
    made = RibIn()
    made.configure([Neighbour(peer, OWN, 64512, 64512) for peer in (A, B)], LocalNode(64512, pack(OWN)), 0)
    return made


def test_paths_in_use_come_first_then_those_that_lost_then_the_rejected() -> None:
    rib = rib_in()
    good = Attributes(pack(A))
    announce(rib, A, AnnouncedPath(BLOCK, 1, replace(good, next_hop=b"")), AnnouncedPath(BLOCK, 2, good))
    announce(rib, B, AnnouncedPath(BLOCK, 0, replace(good, local_preference=1)), AnnouncedPath(OTHER, 0, good))
    assert [(report.peer, report.path_id, report.rejected, report.lost_at) for report in path_reports(rib, BLOCK)] == [
        (A, 2, None, None),
        (B, 0, None, DecisionStep.LOCAL_PREFERENCE),
        (A, 1, RejectReason.NO_NEXT_HOP, None),
    ]
    assert path_reports(rib, Prefix.parse("10.66.0.0/26")) == ()


def test_a_path_kept_over_a_restart_is_marked() -> None:
    rib = rib_in()
    rib.fold(PeerOpen(A, pack(A), 64512, 90, ("ipv4",)), 0)
    rib.fold(PeerUp(A), 0)
    announce(rib, A, AnnouncedPath(BLOCK, 0, Attributes(pack(A))))
    assert [report.stale for report in path_reports(rib, BLOCK)] == [False]
    rib.speaker_lost("killed", 1)
    assert [report.stale for report in path_reports(rib, BLOCK)] == [True]
    rib.fold(PeerDown(A, "closing connection"), 2)


def test_a_report_survives_its_json() -> None:
    plain = PathReport(A, 0, external=False, stale=False, attributes=RICH)
    for report in (
        plain,
        replace(plain, rejected=RejectReason.OWN_AS, stale=True),
        replace(plain, lost_at=DecisionStep.MED, external=True, path_id=7),
    ):
        assert PathReport.from_json(report.to_json()) == report
    assert plain.in_use
