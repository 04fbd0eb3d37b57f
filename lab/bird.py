"""BIRD as a foreign speaker of the lab: learns everything, puts it in its kernel, and announces networks of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable

from datastore.defaults import DEFAULT_AS_NUMBER
from lab.node_namespace import NodeNamespace
from lab.service import Service
from lab.spec import LabNodeSpec, PeerSpec, SpeakerSession
from net.family import family_of_version

PACKAGE, PROGRAMS = "bird2", ("/usr/sbin/bird",)
CONFIG, CONTROL = "/run/bird.conf", "/run/bird.ctl"


def configuration(peer: PeerSpec, nodes: Iterable[LabNodeSpec]) -> str:
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


def _session(peer: PeerSpec, session: SpeakerSession) -> str:
    """Return one session. BIRD waits for the node to connect: a Calico node dials every peer configured for it."""
    ours, theirs = session.ours, session.theirs
    name = re.sub("[^a-z0-9]", "_", f"{session.node}_v{ours.version}")
    multihop = " multihop;" if session.multihop else ""
    return (
        f"protocol bgp {name} {{ local {ours.ip} as {peer.as_number}; neighbor {theirs.ip} as {DEFAULT_AS_NUMBER};"
        f"{multihop} passive on; graceful restart on; {family_of_version(ours.version)} {{ import all; next hop self;"
        " export where source = RTS_STATIC; }; }\n"
    )


def services(namespace: NodeNamespace, peer: PeerSpec, nodes: Iterable[LabNodeSpec]) -> tuple[Service, ...]:
    """Write its configuration and return the program that runs it."""
    namespace.path(CONFIG).write_text(configuration(peer, nodes))
    return (Service(namespace, "bird", ("bird", "-f", "-c", CONFIG, "-s", CONTROL), {}),)


async def established(namespace: NodeNamespace) -> int:
    """Return how many sessions it reports as up; none while it does not answer."""
    status, printed, _ = await namespace.run("birdc", "-r", "-s", CONTROL, "show", "protocols")
    return 0 if status else sum(established_line(line) for line in printed.decode(errors="replace").splitlines())


def established_line(line: str) -> bool:
    """True for a line of `show protocols` that is about a BGP session which is up."""
    fields = line.split()
    return len(fields) > 5 and fields[1] == "BGP" and fields[-1] == "Established"
