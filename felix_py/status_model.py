"""What the agent says of itself, as values: its status, its routes, and what this node's kernel does with a packet.

Pure. Pages serve these values as JSON, and felixctl, explain and the lab read them back (felix_py.status.status_json).
The agent makes no text for a screen: what is shown as a sentence becomes one by `str` where it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field

from datastore.notices import Notice
from net.ip_route import IpRoute
from net.packet_filter import FilterOutcome
from net.prefix import Prefix

UP, HELD_BACK = "up", "held back"

STATUS_PORT = 9098
"""Where an agent serves its status to other machines, unless FELIX_STATUSPORT says otherwise."""
STATUS_ROOT = "/felix"
"""What its pages begin with there: the paths that a role's nonResourceURLs name."""
STATUS_AUDIENCE, TOKEN_HEADER = "felix-py", "X-Felix-Token"
"""For whom the token is that must be shown there, and in which header."""


class HostIssue(StrEnum):
    """What of a host is in the way of pods."""

    PODS_FILTERED = "packets of pods dropped"
    BGP_FILTERED = "packets of BGP dropped"
    FORWARDING_OFF = "forwarding off"
    OTHER_NETWORK_FIRST = "another network first"
    PLUGIN_MISSING = "plugin missing"
    TABLE_REFUSED = "table of nftables refused"
    NEIGHBOUR_TABLE = "neighbour table too small"
    PODS_CUT_OFF = "devices of pods down"


class HostWarning(Struct, frozen=True):
    """What keeps pods' packets from their way, or pods from this network, as a sentence with its cure."""

    issue: HostIssue
    text: str

    def __str__(self) -> str:
        return self.text


class AgentProgress(Struct, frozen=True):
    """How far the agent has come since its start. in_the_way: what of the host keeps pods from their network.

    locked: why no address is given though this node is ready: an administrator's lock, which is no fault of a node.
    """

    fib_read: bool = False
    datastore_in_sync: bool = False
    first_write: bool = False
    sidecar_connected: bool = False
    learned_settled: bool = False
    attach_refused: str | None = None
    held_back: str = ""
    identity: str = ""
    not_installed: str = ""
    in_the_way: tuple[HostWarning, ...] = ()
    locked: str = ""

    @property
    def ready(self) -> bool:
        """Whether pods may be attached. BGP is not waited for."""
        return not self.missing

    @property
    def missing(self) -> tuple[str, ...]:
        """What has to be done before pods may be attached, a clause each."""
        steps = (
            (self.fib_read, "the kernel's routes have not been read"),
            (self.datastore_in_sync, "the datastore is not in sync"),
            (self.first_write, "the first routes are not written"),
            (self.attach_refused is None, f"no pod's device can be made here: {self.attach_refused}"),
            (not self.held_back, self.held_back),
            (not self.identity, self.identity),
            (not self.not_installed, self.not_installed),
        )
        return tuple(clause for done, clause in steps if not done)


class PodStatus(Struct, frozen=True):
    """A pod of this node that has routes."""

    namespace: str
    name: str
    device: str
    addresses: tuple[str, ...] = ()


class TunnelStatus(Struct, frozen=True):
    """This node's end of the tunnels of one kind. pools: the mode of each pool that wants them, by its network.

    waits_for: nodes whose end is not ready, though routes are to lead there. problem: why the device is not as wanted.
    """

    device: str
    up: bool = False
    mtu: int = 0
    address: str | None = None
    pools: Mapping[str, str] = field(default_factory=dict)
    waits_for: tuple[str, ...] = ()
    problem: str = ""


class SessionStatus(Struct, frozen=True):
    """A BGP session of this node.

    kind: mesh, node or global. state: up, start, or held back, which is not to come up since something of it is not
    supported. since: seconds of the epoch at which it came into this state. info: the state in the words of RFC 4271
    §8.2.2, or why it is held back. as_number: the peer's, as configured; 0 = unknown. refused: how many of its routes
    were not taken, by reason. used, limits: what the peer uses of each limit on it, by what is limited. stale: routes
    of before it went away, kept until it is back or its restart time is over. disagreements: how many of its UPDATEs
    ExaBGP and the sidecar read differently, where both were asked.
    """

    address: str
    kind: str = ""
    state: str = ""
    since: float | None = None
    info: str = ""
    as_number: int = 0
    learned: int = 0
    announced: int = 0
    stale: int = 0
    flaps: int = 0
    last_error: str = ""
    refused: Mapping[str, int] = field(default_factory=dict)
    used: Mapping[str, int] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    disagreements: int = 0

    @property
    def is_up(self) -> bool:
        return self.state == UP

    @property
    def is_held_back(self) -> bool:
        return self.state == HELD_BACK


class SidecarStatus(Struct, frozen=True):
    """Whether the BGP sidecar answers; problem: why not, or what it complains of."""

    connected: bool = False
    problem: str = ""


class BrokenInvariant(Struct, frozen=True):
    number: int
    text: str


class InvariantReport(Struct, frozen=True):
    """The last check of the invariants: how many were checked, and which were violated."""

    checked: int = 0
    violated: tuple[BrokenInvariant, ...] = ()


class AgentStatus(Struct, frozen=True):
    """The page /status. routes: how many each source wants; the routes themselves are on the page /routes.

    refused_routes: the first of those that the kernel refuses, and its reasons.
    """

    node: str
    version: str = ""
    addresses: tuple[str, ...] = ()
    ready: bool = False
    progress: AgentProgress = AgentProgress()
    as_number: int | None = None
    blocks: tuple[Prefix, ...] = ()
    borrowed: tuple[Prefix, ...] = ()
    announced: tuple[Prefix, ...] = ()
    pods: tuple[PodStatus, ...] = ()
    tunnels: Mapping[str, TunnelStatus] = field(default_factory=dict)
    routes: Mapping[str, int] = field(default_factory=dict)
    refused_routes: Mapping[str, str] = field(default_factory=dict)
    unreachable_next_hops: tuple[str, ...] = ()
    repairs: int = 0
    peers: tuple[SessionStatus, ...] = ()
    sidecar: SidecarStatus = SidecarStatus()
    invariants: InvariantReport = InvariantReport()
    notices: tuple[Notice, ...] = ()


class NodeSummary(Struct, frozen=True):
    """The page /summary: of one node among thousands what is looked at first, so it is small.

    problems: the first of what is wrong, a sentence each, and problem_count how many there are; notices likewise.
    """

    node: str
    version: str = ""
    ready: bool = False
    pods: int = 0
    blocks: int = 0
    sessions: int = 0
    sessions_up: int = 0
    sessions_held_back: int = 0
    problems: tuple[str, ...] = ()
    problem_count: int = 0
    notices: tuple[Notice, ...] = ()
    notice_count: int = 0


class RouteIssue(StrEnum):
    """Why a route is not what its source wants it to be."""

    NEXT_HOP_UNREACHABLE = "next hop unreachable"
    DEVICE_DOWN = "device down"
    TUNNEL_DOWN = "tunnel down"
    WEAKER = "weaker"
    REFUSED = "refused"
    CONFLICTING = "conflicting"
    OVERRIDDEN = "overridden"
    WAITS_FOR_PEERS = "waits for peers"
    WAITS_FOR_REMOVAL = "waits for removal"


class RouteNote(Struct, frozen=True):
    """An issue and its particulars.

    next_hops: those that are not reachable. source: the one that wins. protocol, metric: of the foreign route. detail:
    the kernel's reason, or the tunnel's problem.
    """

    issue: RouteIssue
    next_hops: tuple[str, ...] = ()
    source: str = ""
    protocol: int = 0
    metric: int = 0
    detail: str = ""

    def __str__(self) -> str:
        match self.issue:
            case RouteIssue.NEXT_HOP_UNREACHABLE:
                return f"next hop {', '.join(self.next_hops)} is not reachable"
            case RouteIssue.DEVICE_DOWN:
                return "its device does not exist or is down"
            case RouteIssue.TUNNEL_DOWN:
                return self.detail
            case RouteIssue.WEAKER:
                return f"{self.source} wins"
            case RouteIssue.REFUSED:
                return f"the kernel refused it: {self.detail}"
            case RouteIssue.CONFLICTING:
                return f"a route of protocol {self.protocol} has our metric {self.metric}; it is left alone"
            case RouteIssue.OVERRIDDEN:
                return f"a route of protocol {self.protocol} with metric {self.metric} wins over it"
            case RouteIssue.WAITS_FOR_PEERS:
                return "no source wants this route; kept until every peer has sent its end-of-RIB"
            case RouteIssue.WAITS_FOR_REMOVAL:
                return "no source wants this route; kept until it is removed"


class RouteStatus(Struct, frozen=True):
    """A route that a source of the agent wants, and what became of it.

    source: pods, tunnels, static, learned or blocks; "" for a route of ours in the kernel that no source wants. best:
    no stronger source has a route for this prefix. in_fib: the kernel holds it just so. peers: those a learned route
    came from.
    """

    route: IpRoute
    source: str
    best: bool = False
    in_fib: bool = False
    peers: tuple[str, ...] = ()
    note: RouteNote | None = None

    @property
    def prefix(self) -> Prefix:
        return self.route.prefix


class RoutesPage(Struct, frozen=True):
    """The page /routes: what was asked for, by source and prefix. complete: False where the limit cut it off."""

    routes: tuple[RouteStatus, ...] = ()
    complete: bool = True


class DeviceFacts(Struct, frozen=True):
    """A network device. carrier: its link is up. forwarding: whether it forwards for others, by IP version.

    reverse_path: how it checks the source of IPv4 packets that come in by it (rp_filter): 0 not, 1 strictly, 2 loosely.
    proxy_arp: whether it answers for addresses that it does not have. own_switch: the IP versions in which its own
    sysctl keeps it from forwarding, while the node's lets packets through.
    """

    name: str
    up: bool = True
    carrier: bool = True
    mtu: int = 1500
    kind: str = ""
    addresses: tuple[str, ...] = ()
    forwarding: Mapping[str, bool] = field(default_factory=dict)
    mac: str = ""
    reverse_path: int = 0
    proxy_arp: bool = True
    own_switch: tuple[str, ...] = ()

    @property
    def works(self) -> bool:
        return self.up and self.carrier


class NeighbourFacts(Struct, frozen=True):
    """Where the packets for a next hop go. mac: "" = not known.

    unanswered: it was asked for, in vain. asked: it is being asked for.
    """

    address: str
    device: str
    mac: str = ""
    permanent: bool = False
    unanswered: bool = False
    asked: bool = False


class Passage(Struct, frozen=True):
    """What the kernel does with a packet between the two that comes in by a device, rules and sources counted.

    table: of the route. rule: the rule that leads to it, or that ends the packet's way; "" = one that every system
    has. refused: why the packet is dropped.
    """

    source: str
    destination: str
    device: str
    route: IpRoute | None = None
    table: int = 0
    rule: str = ""
    refused: str = ""


class FilteredTraffic(StrEnum):
    """Which packets a packet filter was asked about."""

    ENDS = "what the two send to each other"
    TUNNEL = "tunnel packets"
    BGP = "BGP"


class Filtered(Struct, frozen=True):
    """Packets that this node's packet filters drop, or may drop. For BGP, the two are this node and a peer.

    port: the one that BGP's caller dials.
    """

    source: str
    destination: str
    traffic: FilteredTraffic
    outcome: FilterOutcome
    port: int = 179


class PodFacts(Struct, frozen=True):
    """What was read in a pod's own namespace: its device, its route to the other end, and that route's next hop.

    filtered: what packet filters of its own drop, or may drop. unread: what of them could not be read, a sentence each.
    """

    device: DeviceFacts
    route: IpRoute | None = None
    gateway: NeighbourFacts | None = None
    filtered: tuple[Filtered, ...] = ()
    unread: tuple[str, ...] = ()


class KernelFacts(Struct, frozen=True):
    """What this node's kernel does with packets between two addresses. routes and pods are by address.

    pods: those of the two that are pods here whose namespace could be entered. unentered: why those of the others could
    not be, a phrase each. filtered: of the packet filters only what drops something. redirected: what gives packets
    that begin a connection from the first to the second another destination, or may, as if it dropped them. unread:
    what decides about packets and could not be read, a sentence each. connections, most_connections: of the connection
    tracking; 0 = it is unused.
    """

    routes: Mapping[str, IpRoute | None] = field(default_factory=dict)
    devices: tuple[DeviceFacts, ...] = ()
    pods: Mapping[str, PodFacts] = field(default_factory=dict)
    passages: tuple[Passage, ...] = ()
    neighbours: tuple[NeighbourFacts, ...] = ()
    filtered: tuple[Filtered, ...] = ()
    unread: tuple[str, ...] = ()
    connections: int = 0
    most_connections: int = 0
    unentered: Mapping[str, str] = field(default_factory=dict)
    redirected: tuple[Filtered, ...] = ()

    def device(self, name: str) -> DeviceFacts | None:
        return next((device for device in self.devices if device.name == name), None)

    def passage(self, source: str, destination: str) -> Passage | None:
        found = (one for one in self.passages if (one.source, one.destination) == (source, destination))
        return next(found, None)

    def neighbour(self, device: str, address: str) -> NeighbourFacts | None:
        return next((one for one in self.neighbours if (one.device, one.address) == (device, address)), None)

    def device_with(self, address: str) -> DeviceFacts | None:
        return next((device for device in self.devices if address in device.addresses), None)


class NodeTrace(Struct, frozen=True):
    """The page /trace: what one node does with packets between two addresses, and what its agent wants for them.

    wanted: the routes that hold an address, the longest prefix first. announced: what leads to either address. repair:
    whether the agent repairs foreign changes. as_number: this node's own; 0 = it does not speak BGP. table_problem: why
    the node's own table of nftables is not as it should be; "" = it is.
    """

    node: str
    kernel: KernelFacts
    wanted: Mapping[str, tuple[RouteStatus, ...]]
    announced: tuple[Prefix, ...] = ()
    repair: bool = True
    as_number: int | None = None
    peers: tuple[SessionStatus, ...] = ()
    sidecar: SidecarStatus = SidecarStatus(connected=True)
    table_problem: str = ""


class AgentCounts(Struct, frozen=True):
    """The numbers behind the page /metrics. notices, datastore_events: by kind.

    Events, puts, removes, repairs and silent changes are counted from the agent's start.
    """

    pods: int = 0
    nodes: int = 0
    blocks: int = 0
    routes_held: int = 0
    routes_refused: int = 0
    routes_unresolved: int = 0
    ready: bool = False
    sidecar_connected: bool = False
    sidecar_differs: bool = False
    invariants_violated: int = 0
    notices: Mapping[str, int] = field(default_factory=dict)
    datastore_events: Mapping[str, int] = field(default_factory=dict)
    route_puts: int = 0
    route_removes: int = 0
    route_repairs: int = 0
    silent_changes: int = 0
    held_back: bool = False
    warnings: int = 0
