"""Whether anything may have leaked at all: a look that keeps some numbers of each record instead of its summary.

Pure. In a sound cluster every address is plainly in order, and of thousands of records nothing has to be held to find
that out. Whatever is not plainly so is left to `ipam.leaks`, which goes by all records.
"""

from __future__ import annotations

from collections.abc import Iterable

from datastore.fields import Network
from datastore.plain_claims import AnyAffinity, AnyNode
from datastore.summaries import AnyBlock, AnyEndpoint, AnyHandle
from ipam.block import Allocation, assigned_in, is_empty
from ipam.leaks import idle_blocks, is_tunnel
from ipam.names import WINDOWS_HANDLE, affine_host, written_handle


class FirstLook:
    """What has been seen so far. Blocks come first, then handles, and endpoints last.

    So a pod that is attached meanwhile is among the endpoints. It does no harm to see a record twice.
    """

    def __init__(self) -> None:
        self._awaited: dict[int, int] = {}
        """The addresses whose pods have not been seen, and a hash of who each pod is."""
        self._handles: set[int] = set()
        """Hashes of those that hold an address."""
        self._hosts: set[str] = set()
        """Those that pods and tunnels with an address are on."""
        self._owners: dict[Network, str | None] = {}
        self._empty: set[Network] = set()
        self._odd = False

    def block(self, block: AnyBlock) -> None:
        self._owners[block.network] = affine_host(block.spec.affinity)
        if is_empty(block):
            self._empty.add(block.network)
        for one in assigned_in([block]):
            self._assigned(one)

    def handle(self, handle: AnyHandle) -> None:
        written = handle.spec.handle_id
        if hash(written) not in self._handles and hash(written_handle(written)) not in self._handles:
            self._odd = True

    def endpoint(self, endpoint: AnyEndpoint) -> None:
        pod = hash((endpoint.namespace, endpoint.spec.pod, endpoint.spec.node))
        for address in endpoint.addresses:
            if self._awaited.get(int(address)) == pod:
                del self._awaited[int(address)]

    def finds_order(self, nodes: Iterable[AnyNode], affinities: Iterable[AnyAffinity]) -> bool:
        """Return whether nothing of what was seen leaks: no address, no handle, no claim on a block."""
        names, claims = frozenset(node.name for node in nodes), list(affinities)
        hosts = self._hosts.union(claim.spec.node for claim in claims if claim.spec.type == "host")
        if self._odd or self._awaited or not hosts <= names:
            return False
        return not any(idle_blocks(self._owners, self._empty, claims, names))

    def _assigned(self, one: Allocation) -> None:
        attributes = one.attributes
        self._handles.add(hash(one.handle))
        if (node := attributes.get("node")) is not None:
            self._hosts.add(node)
        if one.alternate or (is_tunnel(one) and node is None):
            self._odd = True
        elif not is_tunnel(one) and one.handle != WINDOWS_HANDLE and {"pod", "namespace"} <= attributes.keys():
            pod = hash((attributes["namespace"], attributes["pod"], node))
            if self._awaited.setdefault(int(one.address), pod) != pod:  # blocks that overlap, and both gave it
                self._odd = True
