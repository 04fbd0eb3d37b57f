"""Packets of the tunnel's protocol, from a node and from a stranger, in a real kernel.

node 192.0.2.1 ── far, which sends as 192.0.2.2, a node, and as 192.0.2.66
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from felix_py.packet_filter.nat_outgoing import NatOptions
from felix_py.packet_filter.node_table import TABLE, node_addresses, wanted_table
from felix_py.packet_filter.tunnel_guard import IPIP_PROTOCOL
from kernel.netns import inside
from kernel.nftables_writer import NftablesWriter
from net.prefix import Prefix
from tests.felix_py.fake_node import node
from tests.kernel.netns import Namespace, namespace

STRANGER, KNOWN, OWN = "192.0.2.66", "192.0.2.2", "192.0.2.1"


@pytest.fixture
def places() -> Iterator[tuple[Namespace, Namespace]]:
    with namespace("guard") as here, namespace("far") as far:
        here.ip(f"link add eth0 type veth peer name eth0 netns {far.name}")
        for place, addresses in ((here, [OWN]), (far, [KNOWN, STRANGER])):
            for address in addresses:
                place.ip(f"address add {address}/24 dev eth0")
            place.ip("link set eth0 up")
        yield here, far


def raw(place: Namespace, address: str) -> socket.socket:
    with inside(place.descriptor):
        made = socket.socket(socket.AF_INET, socket.SOCK_RAW, IPIP_PROTOCOL)
    made.bind((address, 0))
    made.settimeout(10)
    return made


def received(places: tuple[Namespace, Namespace]) -> list[str]:
    """Return as whom packets came in until one of the node's: the stranger's was sent before it."""
    here, far = places
    found: list[str] = []
    with raw(here, OWN) as listening:
        for address in (STRANGER, KNOWN):
            with raw(far, address) as sending:
                sending.sendto(b"inner", (OWN, 0))
        while not found or found[-1] != KNOWN:
            found.append(listening.recvfrom(2000)[1][0])
    return found


@pytest.mark.parametrize("guarded", [False, True])
def test_only_what_nodes_send_comes_in(places: tuple[Namespace, Namespace], guarded: bool) -> None:
    known = tuple(node_addresses([node(), node("n2", f"{KNOWN}/24")], []))
    with inside(places[0].descriptor):
        writer = NftablesWriter(TABLE)
    with closing(writer):
        writer.bring_in_line(wanted_table((), known, NatOptions(), ["tunl0"] if guarded else []))
    assert received(places) == ([KNOWN] if guarded else [STRANGER, KNOWN])


def test_hosts_that_are_named_beside_the_nodes_come_in_too(places: tuple[Namespace, Namespace]) -> None:
    known = tuple(node_addresses([node("n2", f"{KNOWN}/24")], [Prefix.parse("192.0.2.64/26")]))
    with inside(places[0].descriptor):
        writer = NftablesWriter(TABLE)
    with closing(writer):
        writer.bring_in_line(wanted_table((), known, NatOptions(), ["tunl0"]))
    assert received(places) == [STRANGER, KNOWN]
