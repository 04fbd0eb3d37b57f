"""A line of each kind between agent and sidecar, and between sidecar and ExaBGP, as this tree writes it.

`python -m tests.bgp.protocol_samples` records them for the versions that bgp/protocol_version.py and the launcher's
name. What was recorded is not written over: a line that has changed is another version.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from bgp import protocol
from bgp.decision import DecisionStep
from bgp.exabgp_commands import announce, ask_for_routes, end_of_rib, withdraw
from bgp.exabgp_config import environment, listening, render
from bgp.exabgp_launcher.handing_on import PlainUpdates, hand_on_plain
from bgp.exabgp_launcher.protocol_version import VERSION as OF_LAUNCHER
from bgp.exabgp_launcher.replacements import VERSION as EXABGP
from bgp.exabgp_supervisor import launcher
from bgp.import_policy import RejectReason
from bgp.path_report import PathReport
from bgp.protocol_version import VERSION
from bgp.rib_in import PeerSession
from bgp.sidecar import Sidecar
from bgp.speaker import (
    AsPathSegment,
    Attributes,
    HeldBackSession,
    LearnedPath,
    LocalNode,
    Neighbour,
    Speaker,
    UnknownAttribute,
)
from bgp.status_report import held_back_row, session_row
from net.prefix import Prefix, pack
from tests.bgp.fake_exabgp import Clock, FakeExaBGP
from tests.bgp.raw_peer import UPDATE, message

FOLDER = Path(__file__).parents[1] / "fixtures" / "protocol"
PREFIX, OWN, PEER = Prefix.parse("10.65.1.0/26"), pack("192.0.2.1"), pack("192.0.2.2")
ATTRIBUTES = Attributes(
    PEER,
    local_preference=200,
    origin="egp",
    as_path=(AsPathSegment("sequence", (64512,)), AsPathSegment("set", (64513, 64514))),
    med=7,
    communities=((64512, 1),),
    large_communities=((64512, 1, 2),),
    extended_communities=(3,),
    originator_id=PEER,
    cluster_list=(OWN,),
    atomic_aggregate=True,
    aggregator="64512:192.0.2.2",
    unknown=(UnknownAttribute(99, 0xC0, b"\1"),),
)
"""All of them: what is as usual is left out of a line."""

NEIGHBOUR = Neighbour("192.0.2.2", "192.0.2.1", 64512, 64512, password="s3cret", ttl_hops=2)
HELD_BACK = HeldBackSession("192.0.2.3", 64512, "global", "its password is not known")
LOCAL = LocalNode(
    64512,
    OWN,
    own_addresses=frozenset({OWN}),
    own_blocks=(PREFIX,),
    pools=(PREFIX,),
    hosts=frozenset({PEER}),
    connected=(PREFIX,),
    owners=((PREFIX, (PEER,)),),
    nodes=frozenset({PEER}),
    services=(PREFIX,),
)
SPEAKER = Speaker("n1", OWN, ("192.0.2.1",), 179, (NEIGHBOUR,), LOCAL, (HELD_BACK,))


def messages() -> Sequence[protocol.SidecarMessage]:
    """Return one of each kind, with a value in each of its fields."""
    refused = (PathReport("192.0.2.2", 1, False, False, ATTRIBUTES, rejected=reason) for reason in RejectReason)
    lost = (PathReport("192.0.2.2", 1, True, True, ATTRIBUTES, lost_at=step) for step in DecisionStep)
    report = Sidecar(FakeExaBGP(), clock=Clock(), wall_clock=Clock()).report()
    session = PeerSession(NEIGHBOUR, configured_at=0.0, since=0.0)
    rows = [session_row(session, {}, 0.0), held_back_row(HELD_BACK, 0.0)]
    return (
        protocol.Hello("agent", 1),
        protocol.Hello("observer"),
        protocol.Hello("sidecar"),
        protocol.Hello("leave"),
        protocol.Configure(SPEAKER),
        protocol.Announce({PREFIX: ATTRIBUTES}),
        protocol.Withdraw((PREFIX,)),
        protocol.Complete(),
        protocol.Learned({PREFIX: (LearnedPath(PEER, "192.0.2.2"),)}),
        protocol.Withdrawn((PREFIX,)),
        protocol.ReplayEnd(True),
        protocol.Converged(),
        protocol.Problem("listen on 192.0.2.1"),
        protocol.GetStatus(),
        protocol.StatusReply({**report, "peers": rows}),
        protocol.Paths(PREFIX),
        protocol.PathsReply(PREFIX, (*refused, *lost)),
    )


def lines() -> str:
    return b"".join(map(protocol.encode, messages())).decode()


def exabgp_lines() -> str:
    """Return what passes between the sidecar and ExaBGP, of each kind: as it is started, told, and as it answers.

    ExaBGP's own lines are those of its release, which is named.
    """
    mapped = replace(NEIGHBOUR, address="fd09::2", local_address="fd09::1", families=("ipv6",), restart_time=0)
    speaker = replace(SPEAKER, neighbours=(NEIGHBOUR, mapped))
    settings = environment(user="felix", envfile=Path("/run/empty.env"))
    update = PlainUpdates(message(UPDATE, b"\0\1") + message(UPDATE, b"\0\2"), ("ipv4", "ipv6"))
    return "\n".join(
        (
            f"ExaBGP {EXABGP}",
            *launcher("exabgp.conf", "--validate", "--compare", "--commands", "5", "--events", "6")[3:],
            *(f"{name}={value}" for name, value in (settings | listening(speaker)).items()),
            render(speaker),
            *announce({PREFIX: ATTRIBUTES}, to=[NEIGHBOUR.address]),
            *withdraw({PREFIX: ATTRIBUTES}),
            *end_of_rib({NEIGHBOUR.address: ("ipv4", "ipv6")}),
            *ask_for_routes(NEIGHBOUR.address, ("ipv4",)),
            hand_on_plain(lambda *_: "{}")(None, {"peer-address": NEIGHBOUR.address}, "receive", update),
            "",
        )
    )


def recorded(between: str, version: int) -> Path:
    """between: `agent` or `exabgp`, with which the sidecar speaks it."""
    return FOLDER / f"{between}-{version}.txt"


def main() -> int:
    for path, text, where in (
        (recorded("agent", VERSION), lines(), "bgp/protocol_version.py"),
        (recorded("exabgp", OF_LAUNCHER), exabgp_lines(), "bgp/exabgp_launcher/protocol_version.py"),
    ):
        if path.exists() and path.read_text() != text:
            print(f"{path}: recorded otherwise for this version: raise VERSION in {where}", file=sys.stderr)
            return 1
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
