"""Which fields of the BGP kinds are not obeyed, and which sessions must not come up because of that.

Pure. For the agent and felixctl only: it reads pydantic resources, which the sidecar's process does without.
"""

from __future__ import annotations

from collections.abc import Iterator

from bgp.annotations import PREFIX as OUR_PREFIX
from bgp.passwords import NOT_READ
from bgp.peer_annotations import UNKNOWN as UNKNOWN_ANNOTATION
from bgp.peer_annotations import annotation_notices
from datastore import fields
from datastore.field_rules import OBEYED, FieldRules, NotObeyed, Rule, When, notice_of
from datastore.kinds.bgp import BGPConfiguration, BGPPeer
from datastore.kinds.node import CALICOS_ANNOTATIONS, Node
from datastore.notices import Notice

_PREFIX = "projectcalico.org/"
_FILTERS = "BGP filters are not implemented"
_SELECTS_NOTHING = "it selects nothing: the sessions that followed from it are ended, and none is made"


def held_back(peer: BGPPeer | None) -> str | None:
    """Return why the sessions of a BGPPeer, or of the mesh (None), must not come up, whatever else is known.

    A session without the filter that was asked for would not be the one asked for. A filter counts whether or not a
    BGPFilter of that name exists.
    """
    return _FILTERS if peer is not None and peer.spec.filters else None


def configuration_notices(configuration: BGPConfiguration, *, has_secrets: bool = False) -> tuple[Notice, ...]:
    """Return what is set and not obeyed. has_secrets: whether the datastore has the Secrets that passwords are in."""
    rules = NODE_CONFIGURATION if configuration.name.startswith("node.") else CONFIGURATION
    notices = _without_secrets(rules.notices(configuration), has_secrets=has_secrets)
    if rules is NODE_CONFIGURATION:
        of_cluster = (notice_of(configuration, field, OF_DEFAULT) for field in _of_the_cluster(configuration))
        return (*_of_faults(configuration), *notices, *of_cluster)
    if configuration.name != "default":
        return notices
    return (
        *_of_faults(configuration),
        *notices,
        *_of_no_mesh(configuration),
        *annotation_notices(configuration),
    )


def _of_the_cluster(configuration: BGPConfiguration) -> Iterator[str]:
    """Yield what a node's configuration sets and the cluster's alone is asked for, beside what the table has."""
    for name, field in (("node_to_node_mesh_enabled", "nodeToNodeMeshEnabled"), ("as_number", "asNumber")):
        if name in configuration.spec.model_fields_set:
            yield f"spec.{field}"
    for name in configuration.metadata.annotations:
        if name.startswith(OUR_PREFIX):
            yield f"metadata.annotations[{name}]"


def _of_no_mesh(configuration: BGPConfiguration) -> Iterator[Notice]:
    """Yield a notice for what is set for the mesh where there is none."""
    spec = configuration.spec
    if not spec.node_to_node_mesh_enabled:
        of_mesh = {
            "nodeMeshPassword": spec.node_mesh_password,
            "nodeMeshMaxRestartTime": spec.node_mesh_max_restart_time,
        }
        yield from (notice_of(configuration, f"spec.{field}", NO_MESH) for field, value in of_mesh.items() if value)


def peer_notices(peer: BGPPeer, *, has_secrets: bool = False) -> tuple[Notice, ...]:
    """Return what is set and not obeyed. has_secrets: as for a configuration."""
    notices = _without_secrets(PEER.notices(peer), has_secrets=has_secrets)
    unread = (notice_of(peer, field, NotObeyed(fault, _SELECTS_NOTHING)) for field, fault in peer.unread_selectors())
    return (*unread, *_of_faults(peer), *notices, *annotation_notices(peer))


def _of_faults(resource: BGPConfiguration | BGPPeer) -> Iterator[Notice]:
    for field, fault in resource.faults():
        yield notice_of(resource, field, NotObeyed(fault, "what of it can't be read counts as absent"))


def _without_secrets(notices: tuple[Notice, ...], *, has_secrets: bool) -> tuple[Notice, ...]:
    """Leave out what only a datastore without Secrets does not obey, where there are Secrets."""
    return tuple(one for one in notices if one.reason != NOT_READ) if has_secrets else notices


def node_notices(node: Node) -> tuple[Notice, ...]:
    """Return which of a Node's annotations are not obeyed, are not known, or hold a value that can't be read."""
    read = {
        "IPv4Address": node.ipv4,
        "IPv6Address": node.ipv6,
        "ASNumber": node.as_number,
        "RouteReflectorClusterID": node.cluster_id,
    }
    notices = [
        notice_of(node, f"{_PREFIX}{name}", UNREADABLE[name])
        for name, value in read.items()
        if value is None and node.metadata.annotations.get(f"{_PREFIX}{name}")
    ]
    if node.cluster_id is not None:
        notices.append(notice_of(node, f"{_PREFIX}RouteReflectorClusterID", REFLECTOR))
    written = (name for name in node.metadata.annotations if name.startswith(_PREFIX))
    unknown = (name for name in written if name not in CALICOS_ANNOTATIONS)
    return (*notices, *(notice_of(node, name, UNKNOWN_ANNOTATION) for name in unknown))


def _out_of_range(least: int, most: int) -> When:
    """Fractions of a second are left out of both. What is no duration is a fault, and has a notice of its own."""

    def is_out(duration: str) -> bool:
        try:
            return not least <= fields.seconds(duration) < most + 1
        except ValueError:
            return False

    return When(f"less than {least} s or more than {most} s", is_out)


def _is_link_local(address: str) -> bool:
    gateway = fields.address(address)
    return gateway.version == 6 and gateway.is_link_local


def _password(field: str, effect: str) -> dict[str, Rule]:
    """Return the rules of a password, which says where it is; effect: what becomes of its sessions."""
    reference = f"{field}.secretKeyRef"
    return {
        field: OBEYED,
        reference: OBEYED,
        f"{reference}.name": OBEYED,
        f"{reference}.key": NotObeyed(NOT_READ, effect),
        f"{reference}.optional": NotObeyed(
            "a session that is to have a password is not brought up without one",
            "while the Secret or its key is missing, it is held back",
            when=When("true", bool),
        ),
    }


_SERVICES = NotObeyed("service addresses are not announced", "peers learn no route to them")
_COMMUNITIES = NotObeyed("routes are announced without communities", "peers see none")
_METRIC = NotObeyed("the metric of routes is the setting FELIX_METRIC", "the metric stays as set there")
_LOCAL_PEERS = NotObeyed("peering with the node's own pods is not implemented", "no such session is made")
_RESTART = NotObeyed(
    "a restart time is 1 to 4095 s (RFC 4724)", "the nearest of these is used", when=_out_of_range(1, 4095)
)

PEER = FieldRules(
    {
        "spec.node": OBEYED,
        "spec.nodeSelector": OBEYED,
        "spec.peerIP": OBEYED,
        "spec.asNumber": OBEYED,
        "spec.localASNumber": OBEYED,
        "spec.peerSelector": OBEYED,
        "spec.keepOriginalNextHop": NotObeyed(
            "only this node's own routes are announced", "their next hop is this node's address", unless=(False,)
        ),
        # Of a node's own routes, Auto and Self announce the node as next hop.
        "spec.nextHopMode": NotObeyed(
            "only this node's own routes are announced",
            "their next hop is this node's address",
            unless=("Auto", "Self"),
        ),
        **_password("spec.password", "the session is not brought up"),
        "spec.sourceAddress": OBEYED,
        "spec.maxRestartTime": _RESTART,
        "spec.keepaliveTime": NotObeyed(
            "keepalive times are whole seconds, and three of them make the hold time, 3 to 65535 s (RFC 4271 §4.2)",
            "the nearest possible is used",
            when=_out_of_range(1, 21845),
        ),
        "spec.numAllowedLocalASNumbers": OBEYED,
        "spec.ttlSecurity": OBEYED,
        "spec.reachableBy": NotObeyed(
            "a link-local address is on every link",
            "no static route to the peer is made, and the node's other routes have to lead to it",
            when=When("a link-local IPv6 address", _is_link_local),
        ),
        "spec.filters": NotObeyed(_FILTERS, "the session is not brought up"),
        "spec.localWorkloadSelector": _LOCAL_PEERS,
        "spec.reversePeering": OBEYED,
    }
)

CONFIGURATION = FieldRules(
    {
        "spec.logSeverityScreen": NotObeyed(
            "the log level is the setting FELIX_LOGSEVERITYSCREEN", "it stays as set there", unless=("Info", "info")
        ),
        "spec.nodeToNodeMeshEnabled": OBEYED,
        "spec.asNumber": OBEYED,
        "spec.serviceClusterIPs": _SERVICES,
        "spec.serviceExternalIPs": _SERVICES,
        "spec.serviceLoadBalancerIPs": _SERVICES,
        "spec.serviceLoadBalancerAggregation": NotObeyed(_SERVICES.reason, _SERVICES.effect, unless=("Enabled",)),
        "spec.communities": _COMMUNITIES,
        "spec.prefixAdvertisements": _COMMUNITIES,
        "spec.listenPort": OBEYED,
        **_password("spec.nodeMeshPassword", "the sessions of the mesh are not brought up"),
        "spec.nodeMeshMaxRestartTime": _RESTART,
        "spec.bindMode": NotObeyed(
            "BGP listens at the node's addresses only", "it does, as with NodeIP", unless=("NodeIP",)
        ),
        "spec.ignoredInterfaces": NotObeyed(
            "networks of the node's devices are never announced", "there is none to be left out"
        ),
        "spec.localWorkloadPeeringIPV4": _LOCAL_PEERS,
        "spec.localWorkloadPeeringIPV6": _LOCAL_PEERS,
        "spec.programClusterRoutes": NotObeyed(
            "learned routes of every pool are written to the kernel", "they are, as with Enabled", unless=("Enabled",)
        ),
        "spec.ipv4NormalRoutePriority": _METRIC,
        "spec.ipv6NormalRoutePriority": _METRIC,
    },
    read_names=("default", "node."),
)

NO_MESH = NotObeyed("nodeToNodeMeshEnabled is false", "there is no mesh that it could be for")
OF_DEFAULT = NotObeyed("it is read from the BGPConfiguration default only", "the value there applies")

NODE_CONFIGURATION = FieldRules(
    {
        **CONFIGURATION.fields,
        **dict.fromkeys(("spec.nodeMeshPassword.secretKeyRef.key", "spec.nodeMeshMaxRestartTime"), OF_DEFAULT),
    }
)

FILTER = FieldRules(whole=NotObeyed(_FILTERS, "it is stored, and sessions of BGPPeers that name it do not come up"))

UNREADABLE = {
    name: NotObeyed(f"the value is not {what}", "it counts as absent")
    for name, what in (
        ("IPv4Address", "an IPv4 address with the length of its subnet"),
        ("IPv6Address", "an IPv6 address with the length of its subnet"),
        ("ASNumber", "an AS number"),
        ("RouteReflectorClusterID", "an IPv4 address"),
    )
}

REFLECTOR = NotObeyed(
    "route reflection is not implemented", "the node takes no part in the mesh, and passes no routes on"
)
