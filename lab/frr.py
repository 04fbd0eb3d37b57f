"""FRR as a foreign speaker of the lab: bgpd for the sessions, zebra to put what it learns in the kernel."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from datastore.defaults import DEFAULT_AS_NUMBER
from lab.node_namespace import NodeNamespace
from lab.service import Service
from lab.spec import LabNodeSpec, PeerSpec, SpeakerSession

PACKAGE, PROGRAMS = "frr", ("/usr/lib/frr/bgpd", "/usr/lib/frr/zebra")
FOLDER = "/run/frr"
CONFIG = f"{FOLDER}/bgpd.conf"


def configuration(peer: PeerSpec, nodes: Iterable[LabNodeSpec]) -> str:
    """Return its bgpd.conf."""
    sessions = list(peer.sessions(nodes))
    lines = [
        f"router bgp {peer.as_number}",
        f" bgp router-id {peer.router_id}",
        " bgp graceful-restart",
        " no bgp default ipv4-unicast",
        " no bgp ebgp-requires-policy",
        " no bgp network import-check",
        *(line for session in sessions for line in _neighbour(session)),
    ]
    for version in sorted({address.version for address in peer.addresses}):
        lines += [
            f" address-family ipv{version} unicast",
            *(f"  network {network}" for network in peer.networks if network.version == version),
            *(f"  neighbor {each.theirs.ip} activate" for each in sessions if each.theirs.version == version),
            " exit-address-family",
        ]
    return "\n".join(lines) + "\n"


def _neighbour(session: SpeakerSession) -> list[str]:
    """Return one session. FRR waits for the node to connect: a Calico node dials every peer configured for it."""
    theirs = session.theirs.ip
    return [
        f" neighbor {theirs} remote-as {DEFAULT_AS_NUMBER}",
        f" neighbor {theirs} update-source {session.ours.ip}",
        f" neighbor {theirs} passive",
        *([f" neighbor {theirs} ebgp-multihop"] if session.multihop else []),
    ]


def services(namespace: NodeNamespace, peer: PeerSpec, nodes: Iterable[LabNodeSpec]) -> tuple[Service, ...]:
    """Write its configuration and return the programs that run it."""
    _admit_root()
    namespace.path(FOLDER).mkdir(exist_ok=True)
    namespace.path(CONFIG).write_text(configuration(peer, nodes))
    zebra = ("/usr/lib/frr/zebra", "-f", "/dev/null", "-z", f"{FOLDER}/zserv.api", "-A", "127.0.0.1", *_at("zebra"))
    bgpd = ("/usr/lib/frr/bgpd", "-f", CONFIG, "-z", f"{FOLDER}/zserv.api", "-A", "127.0.0.1", *_at("bgpd"))
    return Service(namespace, "zebra", zebra, {}), Service(namespace, "frr", bgpd, {})


def _at(program: str) -> tuple[str, ...]:
    return ("-i", f"{FOLDER}/{program}.pid", "--vty_socket", FOLDER, "--log", "stdout")


def _admit_root() -> None:
    """Let FRR's user and groups be root, and PAM let vtysh in. The lab's /etc is its own, and root its only user."""
    passwd, group, pam = Path("/etc/passwd"), Path("/etc/group"), Path("/etc/pam.d/frr")
    passwd.write_text(re.sub(r"(?m)^frr:x:\d+:\d+:", "frr:x:0:0:", passwd.read_text()))
    group.write_text(re.sub(r"(?m)^(frr|frrvty):x:\d+:", r"\1:x:0:", group.read_text()))
    pam.parent.mkdir(exist_ok=True)
    pam.write_text("auth sufficient pam_permit.so\naccount sufficient pam_permit.so\n")


async def established(namespace: NodeNamespace) -> int:
    """Return how many sessions it reports as up; none while it does not answer."""
    asked = "show bgp summary json"
    status, printed, _ = await namespace.run("vtysh", "--vty_socket", FOLDER, "-d", "bgpd", "-c", asked)
    try:
        return 0 if status else established_in(json.loads(printed))
    except ValueError:
        return 0  # it has just started, and prints that instead


def established_in(summary: dict[str, Any]) -> int:
    """Count the sessions that are up in a `show bgp summary json`."""
    peers = (peer for family in summary.values() if isinstance(family, dict) for peer in family["peers"].values())
    return sum(peer["state"] == "Established" for peer in peers)
