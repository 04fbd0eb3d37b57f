"""What is refused where it is written, and read all the same.

Pure. A record that has it, from another program such as kubectl or from an older version, costs no more than what is
wrong: one session, or new addresses of one pool. An agent that knew nothing of the rest would bring up a mesh that is
switched off, or send what goes to a pool's pods without its tunnel.
"""

from __future__ import annotations

from collections.abc import Iterator

from datastore import fields
from datastore.fields import Address
from datastore.kinds.bgp import AGGREGATIONS, BIND_MODES, PROGRAMMED, BGPConfiguration, BGPConfigurationSpec, BGPPeer
from datastore.kinds.node import Node
from datastore.record import Resource

LONGEST_HOLD_SECONDS = 65535  # what fits into the OPEN's 16 bits (RFC 4271 §4.2)
LONGEST_RESTART_SECONDS = 4095  # twelve bits (RFC 4724 §3)
AS_TRANS = 23456
_LEVELS = ("trace", "debug", "info", "warning", "error", "fatal")


def refusals(resource: Resource) -> Iterator[str]:
    """Yield a sentence for each thing in a resource that is refused where it is written."""
    clauses: Iterator[str]
    match resource:
        case BGPPeer():
            clauses = _of_peer(resource)
        case BGPConfiguration():
            clauses = _of_configuration(resource)
        case Node():
            clauses = _of_node(resource)
        case _:
            clauses = filter(None, (resource.fault,))
    yield from (f'{resource.KIND} "{resource.name}": {clause}' for clause in clauses)


def _of_peer(peer: BGPPeer) -> Iterator[str]:
    yield from (f"{field} {fault}" for field, fault in (*peer.unread_selectors(), *peer.faults()))
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
    yield from (f"{field} {fault}" for field, fault in configuration.faults())
    written = configuration.spec.node_mesh_max_restart_time
    yield from _restart("spec.nodeMeshMaxRestartTime", written, configuration.mesh_restart_seconds)
    yield from _system("spec.asNumber", configuration.as_number)
    yield from _other_values(configuration.spec)
    yield from _communities(configuration.spec)
    yield from _of_the_cluster_alone(configuration)


def _other_values(spec: BGPConfigurationSpec) -> Iterator[str]:
    """Yield each value of a field that no session depends on which is none of its values."""
    for field, value, known in (
        ("logSeverityScreen", spec.log_severity_screen, _LEVELS),
        ("bindMode", spec.bind_mode, BIND_MODES),
        ("serviceLoadBalancerAggregation", spec.service_load_balancer_aggregation, AGGREGATIONS),
        ("programClusterRoutes", spec.program_cluster_routes, PROGRAMMED),
    ):
        if value is not None and {value, value.lower()}.isdisjoint(known):  # levels in any case
            yield f'spec.{field} "{value}" is not one of {", ".join(known)}'


def _communities(spec: BGPConfigurationSpec) -> Iterator[str]:
    if spec.communities and not spec.prefix_advertisements:
        yield "spec.communities have no effect without prefixAdvertisements"
    names = {community.name for community in spec.communities}
    for advertisement in spec.prefix_advertisements:
        for name in advertisement.communities:
            if name not in names and not _is_community(name):
                yield (
                    f'spec.prefixAdvertisements of {advertisement.cidr}: community "{name}" is neither a value such as'
                    " 64512:100 nor named in communities"
                )


def _is_community(text: str) -> bool:
    try:
        fields.community(text)
    except ValueError:
        return False
    return True


def _of_the_cluster_alone(configuration: BGPConfiguration) -> Iterator[str]:
    """Yield what a node sets for the whole mesh, and what the cluster sets for a mesh that it does not have."""
    spec = configuration.spec
    if configuration.name.startswith("node."):
        for alias, name in (("nodeToNodeMeshEnabled", "node_to_node_mesh_enabled"), ("asNumber", "as_number")):
            if name in spec.model_fields_set:
                yield f'spec.{alias} is only honoured on "default"'
    elif not spec.node_to_node_mesh_enabled:
        for alias, value in (
            ("nodeMeshPassword", spec.node_mesh_password),
            ("nodeMeshMaxRestartTime", spec.node_mesh_max_restart_time),
        ):
            if value is not None:
                yield f"spec.{alias} has no effect while nodeToNodeMeshEnabled is false"


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
