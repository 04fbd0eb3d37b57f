"""The hosts that measurements need: a node, and beyond its eth0 a host that has the addresses of all its peers.

node 198.18.N.1/16  eth0 ───── eth0  198.18.1.1, 198.18.1.2, … one for each peer

Or a node alone, which has its address on its loopback device.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from ipaddress import ip_interface
from typing import IO, NamedTuple

from kernel.links import Devices
from kernel.netlink import KernelError
from kernel.netns import inside, new_network_namespace
from net.prefix import pack

LENGTH = 16
DIALLED_BY_NODE, DIALLED_BY_PEERS = "198.18.9.1", "198.18.0.1"
"""Addresses of the node. Of two nodes the one whose address sorts behind, as text, dials, as in Calico's mesh."""
_IN_A_ROW = 200


class Hosts(NamedTuple):
    """The descriptors of both network namespaces."""

    node: int
    far: int


def peer_addresses(count: int) -> list[str]:
    return [f"198.18.{1 + number // _IN_A_ROW}.{1 + number % _IN_A_ROW}" for number in range(count)]


@contextmanager
def a_host(address: str) -> Iterator[int]:
    """Make a node alone and yield the descriptor of its network namespace. address: with its length, `192.0.2.1/24`."""
    netns = new_network_namespace()
    try:
        with inside(netns):
            have_address(address)
        yield netns
    finally:
        os.close(netns)


def have_address(address: str) -> None:
    """Give this thread's network namespace the address of a node."""
    interface = ip_interface(address)
    with closing(Devices()) as devices:
        devices.set_up(1)
        devices.add_address(1, interface.ip.packed, interface.network.prefixlen)


def _know_neighbours(peers: Sequence[str], mac: bytes) -> None:
    """Let this network namespace know for good that all peers have this MAC.

    All namespaces of a machine share the room for neighbours that are found out, 1,024, and several nodes rest side by
    side: sessions beyond that many never came up.
    """
    known = "".join(f"neigh add {peer} lladdr {mac.hex(':')} dev eth0 nud permanent\n" for peer in peers)
    subprocess.run(["ip", "-batch", "-"], input=known, text=True, check=True)


@contextmanager
def two_hosts(node_address: str, peers: Sequence[str]) -> Iterator[Hosts]:
    """Make both; they end with their descriptors and the processes inside."""
    try:
        hosts = Hosts(new_network_namespace(), new_network_namespace())
    except KernelError as refused:
        raise SystemExit(f"{refused}; run this as root, or under `unshare -Urn`") from None
    try:
        with inside(hosts.node), closing(Devices()) as devices:
            devices.set_up(1)
            eth0 = devices.create_veth("eth0", hosts.far, "eth0", b"\x02" * 6)
            devices.add_address(eth0.index, pack(node_address), LENGTH)
        with inside(hosts.far), closing(Devices()) as devices:
            devices.set_up(1)
            far = devices.link("eth0")
            assert far is not None
            devices.set_up(far.index)
            for address in peers:
                devices.add_address(far.index, pack(address), LENGTH)
        with inside(hosts.node):
            _know_neighbours(peers, far.mac)
        yield hosts
    finally:
        os.close(hosts.node)
        os.close(hosts.far)


def start_within(
    netns: int, command: Sequence[str], *, environment: Mapping[str, str] | None = None, log: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program in a network namespace, with pipes for its input and output. The process becomes the program."""
    return subprocess.Popen(
        ["nsenter", f"--net=/proc/self/fd/{netns}", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
        pass_fds=(netns,),
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """Have a program end, and wait until it has."""
    process.terminate()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()
