"""BIRD as a foreign speaker: its configuration, and what it prints, for the lab and for tests that run it themselves.

In the lab it learns everything, puts it in its kernel, and announces networks of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from datastore.defaults import DEFAULT_AS_NUMBER
from lab.node_namespace import NodeNamespace
from lab.service import Service
from lab.spec import LabNodeSpec, PeerSpec, SpeakerSession
from net.family import Family, family_of_version

PACKAGE, PROGRAMS = "bird2", ("/usr/sbin/bird",)
CONFIG, CONTROL = "/run/bird.conf", "/run/bird.ctl"


class BirdSession(NamedTuple):
    """One `protocol bgp`, which announces what is static. options, channel: statements, each with its semicolon."""

    name: str
    family: Family
    local: str
    local_as: int
    neighbour: str
    neighbour_as: int
    options: str = ""
    channel: str = ""


def render(
    router_id: str, networks: Mapping[Family, Iterable[str]], sessions: Iterable[BirdSession], *, kernel: bool
) -> str:
    """Return a bird.conf. networks: what is announced, per family in use. kernel: put what is learned there."""
    parts = [f"router id {router_id};\nlog stderr all;\nprotocol device {{ }}\n"]
    for family, announced in networks.items():
        if kernel:
            parts.append(f"protocol kernel {{ {family} {{ import none; export where source = RTS_BGP; }}; }}\n")
        routes = "".join(f" route {network} blackhole;" for network in announced)
        parts.append(f"protocol static {{ {family};{routes} }}\n")
    parts += [
        f"protocol bgp {protocol_name(each.name)} {{ debug {{ states, events }}; "
        f"local {each.local} as {each.local_as}; neighbor {each.neighbour} as {each.neighbour_as}; "
        f"{each.options} graceful restart on; "
        f"{each.family} {{ import all; next hop self; export where source = RTS_STATIC; {each.channel} }}; }}\n"
        for each in sessions
    ]
    return "".join(parts)


def protocol_name(text: str) -> str:
    """Return what BIRD takes as a symbol."""
    return "bgp_" + re.sub("[^a-z0-9]", "_", text)


def configuration(peer: PeerSpec, nodes: Iterable[LabNodeSpec]) -> str:
    """Return its bird.conf."""
    versions = sorted({address.version for address in peer.addresses})
    networks = {
        family_of_version(version): [str(network) for network in peer.networks if network.version == version]
        for version in versions
    }
    return render(str(peer.router_id), networks, (_session(peer, each) for each in peer.sessions(nodes)), kernel=True)


def _session(peer: PeerSpec, session: SpeakerSession) -> BirdSession:
    """Return one session. It is passive: a Calico node dials every peer that is configured."""
    ours, theirs = session.ours, session.theirs
    return BirdSession(
        f"{session.node}_v{ours.version}",
        family_of_version(ours.version),
        local=str(ours.ip),
        local_as=peer.as_number,
        neighbour=str(theirs.ip),
        neighbour_as=DEFAULT_AS_NUMBER,
        options=("multihop; " if session.multihop else "") + "passive on;",
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
