"""A foreign speaker for the lab: a real BIRD, told to peer with every node."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lab.place import Place
from lab.service import Service
from lab.spec import DEFAULT_AS, Interface, NodeSpec, PeerSpec

CONFIG, CONTROL = "/run/bird.conf", "/run/bird.ctl"
_FAMILIES = {4: "ipv4", 6: "ipv6"}


def configuration(peer: PeerSpec, nodes: Iterable[NodeSpec]) -> str:
    """Return the bird.conf of a speaker that learns everything and announces its own networks."""
    versions = sorted({address.version for address in peer.addresses})
    router_id = next((str(a.ip) for a in peer.addresses if a.version == 4), "203.0.113.1")
    parts = [f"router id {router_id};\nlog stderr all;\nprotocol device {{ }}\n"]
    for version in versions:
        family = _FAMILIES[version]
        parts.append(
            f"protocol kernel kernel{version} {{ {family} {{ import none; export where source = RTS_BGP; }}; }}\n"
        )
        routes = "".join(f" route {network} blackhole;" for network in peer.networks if network.version == version)
        parts.append(f"protocol static own{version} {{ {family};{routes} }}\n")
    for node in nodes:
        parts += [_session(peer, node, ours, theirs) for ours, theirs in _pairs(peer, node)]
    return "".join(parts)


def _pairs(peer: PeerSpec, node: NodeSpec) -> list[tuple[Interface, Interface]]:
    return [(ours, theirs) for ours in peer.addresses for theirs in node.addresses if ours.version == theirs.version]


def _session(peer: PeerSpec, node: NodeSpec, ours: Interface, theirs: Interface) -> str:
    """Return one session. BIRD waits for the node to call: a Calico node dials every peer it is told of."""
    name = re.sub("[^a-z0-9]", "_", f"{node.name}_v{ours.version}")
    direct = "" if theirs.ip in ours.network or peer.as_number == DEFAULT_AS else " multihop;"
    return (
        f"protocol bgp {name} {{ local {ours.ip} as {peer.as_number}; neighbor {theirs.ip} as {DEFAULT_AS};"
        f"{direct} passive on; graceful restart on; {_FAMILIES[ours.version]} {{ import all; next hop self;"
        " export where source = RTS_STATIC; }; }\n"
    )


def service(place: Place, peer: PeerSpec, nodes: Iterable[NodeSpec]) -> Service:
    """Write the speaker's configuration and return the program that runs it."""
    place.path(CONFIG).write_text(configuration(peer, nodes))
    return Service(place, "bird", ("bird", "-f", "-c", CONFIG, "-s", CONTROL), {})


async def established(place: Place) -> int:
    """Return how many sessions BIRD says are up; none while it does not answer."""
    status, printed, _ = await place.run("birdc", "-r", "-s", CONTROL, "show", "protocols")
    return 0 if status else sum(established_line(line) for line in printed.decode(errors="replace").splitlines())


def established_line(line: str) -> bool:
    """True for a line of `show protocols` that is about a BGP session which is up."""
    fields = line.split()
    return len(fields) > 5 and fields[1] == "BGP" and fields[-1] == "Established"
