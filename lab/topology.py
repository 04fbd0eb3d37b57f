"""The cables of a lab: a bridge per subnet, a port for each node and speaker, and the router that joins the subnets.

      n1 eth0 ─┐                      ┌─ eth0 n3
               ├─ bridge rack1 ─ router ─ bridge rack2
      n2 eth0 ─┘                      └─ eth0 n4

The bridges are in the lab's own network namespace, which has no address: nothing routes there.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Interface
from pathlib import Path

from pyroute2 import IPRoute

from lab.namespaces import network_of
from lab.node_namespace import ROUTER
from lab.spec import Interface, LabSpec, Subnet


def wire(spec: LabSpec, namespace_pids: dict[str, int]) -> None:
    """Make the bridges and connect every node, speaker and the router. namespace_pids: by name."""
    with IPRoute() as bridges:
        _up(bridges, "lo")
        for subnet in spec.subnets:
            bridges.link("add", ifname=_bridge(subnet), kind="bridge")
            _up(bridges, _bridge(subnet))
        for i, subnet in enumerate(spec.subnets):
            _plug(bridges, subnet, f"router.{i}", namespace_pids[ROUTER], f"eth{i}")
        for host in spec.hosts:
            _plug(bridges, spec.subnet(host.subnet), host.name, namespace_pids[host.name], "eth0")
    _configure_router(spec, namespace_pids[ROUTER])
    for host in spec.hosts:
        _configure(namespace_pids[host.name], host.addresses, spec.subnet(host.subnet).gateways)


def _bridge(subnet: Subnet) -> str:
    return f"br-{subnet.name}"


def _plug(bridges: IPRoute, subnet: Subnet, port: str, namespace_pid: int, device: str) -> None:
    """Connect `device` of a namespace to the subnet's bridge; the far end is created where it belongs."""
    with open(f"/proc/{namespace_pid}/ns/net") as there:
        bridges.link("add", ifname=port, kind="veth", peer={"ifname": device, "net_ns_fd": there.fileno()})
    index = bridges.link_lookup(ifname=port)[0]
    bridges.link("set", index=index, state="up", master=bridges.link_lookup(ifname=_bridge(subnet))[0])


def _configure_router(spec: LabSpec, namespace_pid: int) -> None:
    with network_of(namespace_pid), IPRoute() as router:
        _set("ipv4/ip_forward", "1")
        _set("ipv6/conf/all/forwarding", "1")
        _up(router, "lo")
        for i, subnet in enumerate(spec.subnets):
            _address(router, f"eth{i}", subnet.gateways)


def _configure(namespace_pid: int, addresses: Iterable[Interface], gateways: Iterable[Interface]) -> None:
    with network_of(namespace_pid), IPRoute() as node:
        _up(node, "lo")
        _address(node, "eth0", addresses)
        for gateway in gateways:
            node.route("add", dst="default", family=_family(gateway), gateway=str(gateway.ip))


def _address(namespace: IPRoute, device: str, addresses: Iterable[Interface]) -> None:
    # A new bridge has no second host with our address: no need to wait a second for that to show.
    _set(f"ipv6/conf/{device}/accept_dad", "0")
    _up(namespace, device)
    index = namespace.link_lookup(ifname=device)[0]
    for each in addresses:
        namespace.addr("add", index=index, address=str(each.ip), prefixlen=each.network.prefixlen)


def _family(interface: Interface) -> int:
    return 10 if isinstance(interface, IPv6Interface) else 2


def _up(namespace: IPRoute, device: str) -> None:
    namespace.link("set", index=namespace.link_lookup(ifname=device)[0], state="up")


def _set(name: str, value: str) -> None:
    """Write one sysctl of the network namespace this thread is in."""
    Path("/proc/sys/net", name).write_text(value)
