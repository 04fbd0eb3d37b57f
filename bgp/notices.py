"""What is written about BGP and not obeyed, and which sessions must not come up because of it.

Pure. For the agent and felixctl only: it reads pydantic resources, which the sidecar's process does without.
"""

from __future__ import annotations

from datastore import fields
from datastore.field_rules import OBEYED, FieldRules, NotObeyed, notice_of
from datastore.kinds.bgp import BGPConfiguration, BGPFilter, BGPPeer, Password
from datastore.kinds.node import Node
from datastore.notices import Notice

_HELD_BACK = "the session is not brought up"
_FILTERS = "BGP filters are not implemented"
_PASSWORD = "the Secrets that hold passwords are not read"
_OWN_ROUTES_ONLY = "only this node's own routes are announced"


def held_back(peer: BGPPeer | None, configuration: BGPConfiguration | None) -> str | None:
    """Return why the sessions of a BGPPeer, or of the mesh (None), must not come up; None: they may.

    A session without the filter or the password that was asked for would not be the one asked for. A filter counts
    whether or not a BGPFilter of that name exists.
    """
    if peer is None:
        reference = None if configuration is None else configuration.spec.node_mesh_password
        return _PASSWORD if _names_a_secret(reference) else None
    if peer.spec.filters:
        return _FILTERS
    return _PASSWORD if _names_a_secret(peer.spec.password) else None


def peer_notices(peer: BGPPeer) -> tuple[Notice, ...]:
    return BGP_PEER.notices(peer)


def configuration_notices(configuration: BGPConfiguration) -> tuple[Notice, ...]:
    return configuration_rules(configuration.name).notices(configuration)


def configuration_rules(name: str) -> FieldRules:
    """Return the rules of the BGPConfiguration of this name: of the cluster's, a node's, or one that is never read."""
    if name == "default":
        return BGP_CONFIGURATION
    return NODE_BGP_CONFIGURATION if name.startswith("node.") else OTHER_BGP_CONFIGURATION


def filter_notices(bgp_filter: BGPFilter) -> tuple[Notice, ...]:
    return BGP_FILTER.notices(bgp_filter)


def node_notices(node: Node) -> tuple[Notice, ...]:
    """Return what a Node's annotations (or a v3 Node's spec) ask for in vain."""
    if node.cluster_id is None:
        return ()
    return (notice_of(node, "projectcalico.org/RouteReflectorClusterID", _REFLECTOR),)


def _names_a_secret(reference: Password | None) -> bool:
    return reference is not None and reference.secret_key_ref is not None


def _restart_is_out_of_range(duration: str) -> bool:
    return not 1 <= fields.seconds(duration) < 4096


def _keepalive_is_out_of_range(duration: str) -> bool:
    return not 1 <= fields.seconds(duration) < 21846


_PASSWORD_RULE = NotObeyed(_PASSWORD, _HELD_BACK, _names_a_secret)
_RESTART_RULE = NotObeyed(
    "a restart time is 1 to 4095 s (RFC 4724)", "the nearest of these is used", _restart_is_out_of_range
)
_SERVICES = NotObeyed("service addresses are not announced", "peers learn no route to them")

BGP_PEER = FieldRules(
    {
        "spec.node": OBEYED,
        "spec.nodeSelector": OBEYED,
        "spec.peerIP": OBEYED,
        "spec.asNumber": OBEYED,
        "spec.localASNumber": OBEYED,
        "spec.peerSelector": OBEYED,
        "spec.keepOriginalNextHop": NotObeyed(
            _OWN_ROUTES_ONLY, "their next hop is this node's address", lambda keep: keep
        ),
        # Of a node's own routes, Auto and Self announce the node as next hop.
        "spec.nextHopMode": NotObeyed(
            _OWN_ROUTES_ONLY, "their next hop is this node's address", lambda mode: mode == "Keep"
        ),
        "spec.password": _PASSWORD_RULE,
        "spec.sourceAddress": NotObeyed(
            "sessions always use the node's address", "it is used as UseNodeIP says", lambda mode: mode != "UseNodeIP"
        ),
        "spec.maxRestartTime": _RESTART_RULE,
        "spec.keepaliveTime": NotObeyed(
            "a keepalive time is whole seconds, and three of them make the hold time (RFC 4271 §4.2: 3 to 65535 s)",
            "the nearest possible is used",
            _keepalive_is_out_of_range,
        ),
        "spec.numAllowedLocalASNumbers": NotObeyed(
            "a path that holds the node's own AS is a loop", "such routes are rejected", lambda count: count > 0
        ),
        "spec.ttlSecurity": OBEYED,
        "spec.reachableBy": NotObeyed(
            "no static route to a peer is made", "the node's other routes have to lead to the peer"
        ),
        "spec.filters": NotObeyed(_FILTERS, _HELD_BACK),
        "spec.localWorkloadSelector": NotObeyed("peering with local pods is not implemented", "no session is made"),
        "spec.reversePeering": OBEYED,
    }
)

BGP_CONFIGURATION = FieldRules(
    {
        "spec.logSeverityScreen": NotObeyed(
            "the log level is the setting FELIX_LOGSEVERITYSCREEN",
            "the level stays as set there",
            lambda level: level.lower() != "info",
        ),
        "spec.nodeToNodeMeshEnabled": OBEYED,
        "spec.asNumber": OBEYED,
        "spec.serviceClusterIPs": _SERVICES,
        "spec.serviceExternalIPs": _SERVICES,
        "spec.serviceLoadBalancerIPs": _SERVICES,
        "spec.serviceLoadBalancerAggregation": NotObeyed(
            _SERVICES.reason, _SERVICES.effect, lambda mode: mode != "Enabled"
        ),
        "spec.communities": NotObeyed("routes are announced without communities", "peers see none"),
        "spec.prefixAdvertisements": NotObeyed("routes are announced without communities", "peers see none"),
        "spec.listenPort": OBEYED,
        "spec.nodeMeshPassword": NotObeyed(_PASSWORD, "the sessions of the mesh are not brought up", _names_a_secret),
        "spec.nodeMeshMaxRestartTime": _RESTART_RULE,
        "spec.bindMode": NotObeyed(
            "BGP listens at the node's addresses only", "it does so as NodeIP says", lambda mode: mode != "NodeIP"
        ),
        "spec.ignoredInterfaces": NotObeyed(
            "networks of the node's devices are never announced", "no device has to be left out"
        ),
        "spec.localWorkloadPeeringIPV4": NotObeyed("peering with local pods is not implemented", "no pod sees it"),
        "spec.localWorkloadPeeringIPV6": NotObeyed("peering with local pods is not implemented", "no pod sees it"),
        "spec.programClusterRoutes": NotObeyed(
            "learned routes of every pool are written to the kernel",
            "they are written as Enabled says",
            lambda mode: mode != "Enabled",
        ),
        "spec.ipv4NormalRoutePriority": NotObeyed(
            "the metric of routes is the setting FELIX_METRIC", "the metric stays as set there"
        ),
        "spec.ipv6NormalRoutePriority": NotObeyed(
            "the metric of routes is the setting FELIX_METRIC", "the metric stays as set there"
        ),
    }
)

_CLUSTER_ONLY = NotObeyed("only the port is read from a node's own BGPConfiguration", 'what "default" says applies')

NODE_BGP_CONFIGURATION = FieldRules(
    {
        **BGP_CONFIGURATION.fields,
        **dict.fromkeys(
            ("spec.nodeToNodeMeshEnabled", "spec.asNumber", "spec.nodeMeshPassword", "spec.nodeMeshMaxRestartTime"),
            _CLUSTER_ONLY,
        ),
    }
)

OTHER_BGP_CONFIGURATION = FieldRules(
    whole=NotObeyed('only those named "default" and "node.NAME" are read', "it is kept and has no effect")
)

BGP_FILTER = FieldRules(whole=NotObeyed(_FILTERS, "it is kept, and sessions of BGPPeers that name it do not come up"))

_REFLECTOR = NotObeyed(
    "route reflection is not implemented", "the node takes no part in the mesh, and passes no routes on"
)
