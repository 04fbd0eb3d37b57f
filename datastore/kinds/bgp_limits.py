"""Values that a record may hold and no BGP session can have.

Pure. They are refused where they are written; a record that has one, from an older version or another program, is read
all the same, and costs no more than its own session.
"""

from __future__ import annotations

from collections.abc import Iterator

from datastore.fields import Address
from datastore.kinds.bgp import BGPConfiguration, BGPPeer
from datastore.kinds.node import Node
from datastore.record import Resource

LONGEST_HOLD_SECONDS = 65535  # what fits into the OPEN's 16 bits (RFC 4271 §4.2)
LONGEST_RESTART_SECONDS = 4095  # twelve bits (RFC 4724 §3)
AS_TRANS = 23456


def beyond_limits(resource: Resource) -> Iterator[str]:
    """Yield a sentence for each value of a resource that no BGP session can have."""
    clauses: Iterator[str]
    match resource:
        case BGPPeer():
            clauses = _of_peer(resource)
        case BGPConfiguration():
            clauses = _of_configuration(resource)
        case Node():
            clauses = _of_node(resource)
        case _:
            return
    yield from (f'{resource.KIND} "{resource.name}": {clause}' for clause in clauses)


def _of_peer(peer: BGPPeer) -> Iterator[str]:
    keepalive = peer.keepalive_seconds
    if keepalive is not None and not 1 <= keepalive <= LONGEST_HOLD_SECONDS // 3:
        yield (
            f"spec.keepaliveTime {peer.spec.keepalive_time} is not between 1s and {LONGEST_HOLD_SECONDS // 3}s:"
            f" three of them are the hold time, which fits in {LONGEST_HOLD_SECONDS} s (RFC 4271)"
        )
    yield from _restart("spec.maxRestartTime", peer.spec.max_restart_time, peer.restart_seconds)
    yield from _system("spec.asNumber", peer.as_number)
    yield from _system("spec.localASNumber", peer.local_as_number)
    yield from _machine("spec.peerIP", peer.address)


def _of_configuration(configuration: BGPConfiguration) -> Iterator[str]:
    written = configuration.spec.node_mesh_max_restart_time
    yield from _restart("spec.nodeMeshMaxRestartTime", written, configuration.mesh_restart_seconds)
    yield from _system("spec.asNumber", configuration.as_number)


def _of_node(node: Node) -> Iterator[str]:
    yield from _system("its AS number", node.as_number)
    for interface in (node.ipv4, node.ipv6):
        yield from _machine("its address", interface.ip if interface else None)


def _restart(field: str, written: str | None, seconds: float | None) -> Iterator[str]:
    if seconds is not None and not 1 <= seconds <= LONGEST_RESTART_SECONDS:
        yield f"{field} {written} is not between 1s and {LONGEST_RESTART_SECONDS}s, which is what fits (RFC 4724)"


def _system(field: str, number: int | None) -> Iterator[str]:
    if number == AS_TRANS:
        yield f"{field} {number} stands for others on the wire, and is no system's own (RFC 6793)"


def _machine(field: str, address: Address | None) -> Iterator[str]:
    if address is not None and (address.is_unspecified or address.is_multicast or str(address) == "255.255.255.255"):
        yield f"{field} {address} is not the address of one machine"
