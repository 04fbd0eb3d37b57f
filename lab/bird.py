"""BIRD as a foreign speaker of the lab: learns everything, puts it in its kernel, and announces networks of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable

from datastore.defaults import DEFAULT_AS_NUMBER
from lab.node_namespace import Place
from lab.service import Service
from lab.spec import NodeSpec, PeerSpec, Session
from net.family import family_of_version

PACKAGE, PROGRAMS = "bird2", ("/usr/sbin/bird",)
CONFIG, CONTROL = "/run/bird.conf", "/run/bird.ctl"


def configuration(peer: PeerSpec, nodes: Iterable[NodeSpec]) -> str:
    """Return its bird.conf."""
    parts = [f"router id {peer.router_id};\nlog stderr all;\nprotocol device {{ }}\n"]
    for version in sorted({address.version for address in peer.addresses}):
        family = family_of_version(version)
        parts.append(
            f"protocol kernel kernel{version} {{ {family} {{ import none; export where source = RTS_BGP; }}; }}\n"
        )
        routes = "".join(f" route {network} blackhole;" for network in peer.networks if network.version == version)
        parts.append(f"protocol static own{version} {{ {family};{routes} }}\n")
    return "".join([*parts, *(_session(peer, session) for session in peer.sessions(nodes))])


def _session(peer: PeerSpec, session: Session) -> str:
    """Return one session. BIRD waits for the node to call: a Calico node dials every peer it is told of."""
    ours, theirs = session.ours, session.theirs
    name = re.sub("[^a-z0-9]", "_", f"{session.node}_v{ours.version}")
    multihop = " multihop;" if session.multihop else ""
    return (
        f"protocol bgp {name} {{ local {ours.ip} as {peer.as_number}; neighbor {theirs.ip} as {DEFAULT_AS_NUMBER};"
        f"{multihop} passive on; graceful restart on; {family_of_version(ours.version)} {{ import all; next hop self;"
        " export where source = RTS_STATIC; }; }\n"
    )


def services(place: Place, peer: PeerSpec, nodes: Iterable[NodeSpec]) -> tuple[Service, ...]:
    """Write its configuration and return the program that runs it."""
    place.path(CONFIG).write_text(configuration(peer, nodes))
    return (Service(place, "bird", ("bird", "-f", "-c", CONFIG, "-s", CONTROL), {}),)


async def established(place: Place) -> int:
    """Return how many sessions it says are up; none while it does not answer."""
    status, printed, _ = await place.run("birdc", "-r", "-s", CONTROL, "show", "protocols")
    return 0 if status else sum(established_line(line) for line in printed.decode(errors="replace").splitlines())


def established_line(line: str) -> bool:
    """True for a line of `show protocols` that is about a BGP session which is up."""
    fields = line.split()
    return len(fields) > 5 and fields[1] == "BGP" and fields[-1] == "Established"
