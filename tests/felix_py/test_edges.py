"""The real things and their fakes have the verbs that the agent needs: the type checker compares them here."""

from __future__ import annotations

from bgp.client import SidecarClient
from felix_py.edges import Edges, Kernel, PacketTable, PeersClient, TunnelDevice
from felix_py.encap.tunnel_device import KernelTunnelDevice
from felix_py.packet_filter.kept_rules import KeptRules
from kernel.nftables_table import OwnTable
from kernel.rtnetlink import Rtnetlink
from tests.felix_py.fakes import FakeKernel, FakePacketTable, FakePeers, FakeStore, FakeTunnelDevice


def real(
    kernel: Rtnetlink, peers: SidecarClient, tunnel: KernelTunnelDevice, table: KeptRules[OwnTable]
) -> tuple[Kernel, PeersClient, TunnelDevice, PacketTable]:
    return kernel, peers, tunnel, table


async def test_fakes_stand_in_for_every_edge() -> None:
    edges = Edges(FakeStore(), FakeKernel(), FakePeers(), FakeTunnelDevice(), FakePacketTable())
    assert edges.peers.speaker is None
    assert edges.peers.announced == {}
    assert edges.tunnel.problem == ""
