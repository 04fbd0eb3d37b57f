"""What this node tells its BGP peers: who it is, and what it announces.

An edge to the sidecar's client, which owns what was stated. What to state is decided by pure functions of the snapshot.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_interface

from bgp.sessions import has_session, secrets_named, speaker_of
from bgp.speaker import Attributes, Speaker
from datastore.notices import Notice
from felix_py.edges import PeersClient
from felix_py.encap.ipip import IPIP
from felix_py.identity import Addresses, Identity
from felix_py.peering.announce import Announceable, rib_out
from felix_py.peering.bgp_secrets import BgpSecrets
from felix_py.snapshot import Snapshot
from kernel.link_codec import InterfaceAddress
from net.prefix import Prefix

SIDECAR_PATIENCE_SECONDS = 30.0
GLOBAL_SCOPE = 0


class Peering:
    """One node's sessions and announcements. `notices`: what of the sessions' configuration is not obeyed."""

    def __init__(
        self,
        client: PeersClient,
        identity: Identity,
        snapshot: Snapshot,
        clock: Callable[[], float] = time.monotonic,
        secrets: BgpSecrets | None = None,
    ) -> None:
        """clock: seconds from any beginning. secrets: those that passwords are in, where the datastore has some."""
        self.client, self._identity, self._snapshot, self._clock = client, identity, snapshot, clock
        self._secrets = secrets
        self.notices: tuple[Notice, ...] = ()
        self._away_since: float | None = None

    async def configure(
        self, owners: Mapping[Prefix, str] | None = None, addresses: Iterable[InterfaceAddress] = ()
    ) -> None:
        """State the sessions. They stay as they are while a Secret that a password is in is about to be read.

        So they do where the cluster's configuration can't be read and never could: with the usual AS number and mesh,
        those of a cluster that has others would end.

        owners: the node of each block that is another node's. addresses: of this host's devices.
        """
        if self._snapshot.bgp_is_unknown:
            return
        if self._secrets is not None:
            snapshot = self._snapshot
            named = secrets_named(
                self._identity.node,
                snapshot.nodes.values(),
                snapshot.bgp_configurations.get("default"),
                snapshot.peers.values(),
                snapshot.node_bgp_configurations(),
            )
            self._secrets.want(named)
            if self._secrets.waiting:
                return
        speaker, self.notices = self._speaker(owners, addresses)
        await self.client.configure(speaker)

    def is_alone(self) -> bool:
        """Whether there are other nodes, and no session by which they could announce anything to this one."""
        snapshot = self._snapshot
        return len(snapshot.nodes) > 1 and not has_session(
            self._identity.node,
            snapshot.nodes.values(),
            snapshot.bgp_configurations.get("default"),
            snapshot.peers.values(),
            snapshot.node_bgp_configurations(),
        )

    @property
    def goes_by_owners(self) -> bool:
        """Whether a session is with a peer that is no node, whose routes are judged by the owners of their blocks."""
        speaker = self.client.speaker
        return speaker is not None and bool(speaker.local.nodes)

    def _speaker(
        self, owners: Mapping[Prefix, str] | None = None, addresses: Iterable[InterfaceAddress] = ()
    ) -> tuple[Speaker, tuple[Notice, ...]]:
        snapshot = self._snapshot
        return speaker_of(
            self._identity.node,
            snapshot.nodes.values(),
            snapshot.bgp_configurations.get("default"),
            snapshot.peers.values(),
            own_blocks=snapshot.own_blocks(),
            pools=snapshot.pool_prefixes(),
            owners=owners,
            router_id=self._identity.router_id,
            node_configurations=snapshot.node_bgp_configurations(),
            interfaces=(ip_interface((each.address, each.length)) for each in addresses if each.scope == GLOBAL_SCOPE),
            secrets=None if self._secrets is None else self._secrets.known(),
        )

    async def follow_secrets(self) -> None:
        """Read the Secrets that passwords are in until cancelled, where there are any."""
        if self._secrets is not None:
            await self._secrets.run()

    async def announce(self) -> None:
        """State the announcements. The loop comes here after the routes are in the kernel."""
        await self.client.announce(self.exportable())

    def exportable(self) -> Mapping[Prefix, Attributes]:
        """Return what this node has to announce by now."""
        return rib_out(self._announceable())

    def borrowed(self) -> list[Prefix]:
        """Return the addresses of our pods and tunnels that lie in other nodes' blocks."""
        return self._announceable().borrowed()

    def _announceable(self) -> Announceable:
        snapshot = self._snapshot
        own = snapshot.nodes.get(self._identity.node)
        tunnel = own.tunnel_address(IPIP.kind) if own else None
        of_tunnel = (Prefix.host(tunnel.packed),) if tunnel else ()
        return Announceable(
            snapshot.own_blocks(),
            (*snapshot.addresses_outside_own_blocks(), *of_tunnel),
            tuple(snapshot.pools.values()),
            self.addresses(),
        )

    def addresses(self) -> Addresses:
        """Return this node's addresses as its Node has them at present, else as start-up found them."""
        own = self._snapshot.nodes.get(self._identity.node)
        if own is None:
            return self._identity.addresses
        return Addresses(own.ipv4.ip.packed if own.ipv4 else None, own.ipv6.ip.packed if own.ipv6 else None)

    def connected(self) -> None:
        self._away_since = None

    def disconnected(self) -> None:
        self._away_since = self._clock()

    def limitation(self) -> str | None:
        """Return why running pods may lose connectivity, if so: for CNI's STATUS. A sidecar that restarts is none."""
        if self._away_since is None or self._clock() - self._away_since < SIDECAR_PATIENCE_SECONDS:
            return None
        return "the BGP sidecar is away: routes to other nodes are kept, but no longer follow what changes there"
