"""GoBGP as a foreign speaker of the lab. What it learns is not put into its kernel."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from datastore.defaults import DEFAULT_AS_NUMBER
from lab.node_namespace import NodeNamespace
from lab.service import Service
from lab.spec import LabNodeSpec, PeerSpec, SpeakerSession

PACKAGE, PROGRAMS = "gobgpd", ("/usr/bin/gobgpd", "/usr/bin/gobgp")
CONFIG = "/run/gobgpd.toml"
_ESTABLISHED = 6  # gobgp.proto, PeerState.SessionState


def configuration(peer: PeerSpec, nodes: Iterable[LabNodeSpec]) -> str:
    """Return its gobgpd.toml."""
    listen = ", ".join(f'"{address.ip}"' for address in peer.addresses)
    head = f'[global.config]\nas = {peer.as_number}\nrouter-id = "{peer.router_id}"\nlocal-address-list = [{listen}]\n'
    return head + "".join(map(_neighbour, peer.sessions(nodes)))


def _neighbour(session: SpeakerSession) -> str:
    """Return one session. GoBGP waits for the node to connect: a Calico node dials every peer configured for it."""
    multihop = "[neighbors.ebgp-multihop.config]\nenabled = true\nmultihop-ttl = 255\n" if session.multihop else ""
    return f"""
[[neighbors]]
[neighbors.config]
neighbor-address = "{session.theirs.ip}"
peer-as = {DEFAULT_AS_NUMBER}
[neighbors.transport.config]
passive-mode = true
local-address = "{session.ours.ip}"
{multihop}[neighbors.graceful-restart.config]
enabled = true
restart-time = 120
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv{session.ours.version}-unicast"
[neighbors.afi-safis.mp-graceful-restart.config]
enabled = true
"""


def announcements(peer: PeerSpec) -> list[str]:
    """Return the commands that make it announce its networks: its configuration has no room for them."""
    hops = {address.version: address.ip for address in peer.addresses}
    return [
        f"gobgp global rib add -a ipv{network.version} {network} nexthop {hops[network.version]}"
        for network in peer.networks
        if network.version in hops
    ]


def services(namespace: NodeNamespace, peer: PeerSpec, nodes: Iterable[LabNodeSpec]) -> tuple[Service, ...]:
    """Write its configuration and return the program that runs it, which announces as soon as it answers."""
    namespace.path(CONFIG).write_text(configuration(peer, nodes))
    announce = " && ".join(["until gobgp global >/dev/null 2>&1; do sleep 0.2; done", *announcements(peer)])
    run = f"({announce}) & exec gobgpd --log-plain --pprof-disable --api-hosts 127.0.0.1:50051 -f {CONFIG}"
    return (Service(namespace, "gobgp", ("sh", "-c", run), {}),)


async def established(namespace: NodeNamespace) -> int:
    """Return how many sessions it reports as up; none while it does not answer."""
    status, printed, _ = await namespace.run("gobgp", "-j", "neighbor")
    return 0 if status else established_in(json.loads(printed))


def established_in(neighbours: list[dict[str, Any]]) -> int:
    """Count the sessions that are up in what `gobgp -j neighbor` prints."""
    return sum(each.get("state", {}).get("session_state") == _ESTABLISHED for each in neighbours)
