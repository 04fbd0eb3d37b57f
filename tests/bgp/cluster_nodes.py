"""Nodes as records, with an address of each family that is given."""

from __future__ import annotations

from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.node import Node

MESHLESS = BGPConfiguration.make("default", nodeToNodeMeshEnabled=False)


def node(name: str, ipv4: str = "", ipv6: str = "", labels: dict[str, str] | None = None, **data: str) -> Node:
    written = {"IPv4Address": f"{ipv4}/24" if ipv4 else "", "IPv6Address": f"{ipv6}/64" if ipv6 else "", **data}
    return Node.make(name, labels=labels).with_data(**written)


def nodes(*numbers: int) -> list[Node]:
    return [node(f"n{number}", f"10.0.0.{number}") for number in numbers]
