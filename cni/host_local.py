"""What a network's configuration says to `host-local`, where that plugin gives the addresses; as with Calico's plugin.

Pure. A subnet may be the node's own: `usePodCidr` and `usePodCidrIPv6` stand for what Kubernetes gave it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final

from cni.addresses import Address
from cni.errors import CniError, Code
from cni.request import CniRequest
from cni.wishes import REFUSED_ANNOTATIONS, refuse_annotations
from datastore.fields import Network

HOST_LOCAL: Final = "host-local"
VERSION: Final = "0.4.0"
"""Of the specification: the first with CHECK, which every release of the plugin speaks. Only we read its answers."""
_NAMED: Final[Mapping[str, int]] = {"usepodcidr": 4, "usepodcidripv6": 6}  # written in any case
_ANY: Final[Mapping[int, str]] = {4: "0.0.0.0/0", 6: "::/0"}
"""What takes the place of a subnet that is unknown where addresses are given back: that goes by the container."""


def delegates(request: CniRequest) -> bool:
    """Whether the network's addresses are `host-local`'s to give."""
    return _ipam(request.document).get("type") == HOST_LOCAL


def refuse_wishes(request: CniRequest) -> None:
    """Raises CniError (7): the pod asks for addresses that `host-local` does not know how to give, as in Calico."""
    refuse_annotations(request, {**REFUSED_ANNOTATIONS, "ipAddrs": f"addresses of one's choice from {HOST_LOCAL}"})


def with_pod_cidrs(request: CniRequest, node: str, pod_cidrs: Sequence[Network]) -> dict[str, Any]:
    """Return the configuration for `host-local`, the node's networks filled in. Raises CniError (11): it has none yet.

    What is not as that plugin wants it is left to it to refuse.
    """
    by_version: dict[int, str] = {network.version: str(network) for network in reversed(pod_cidrs)}

    def filled(holder: Any) -> Any:
        subnet = holder.get("subnet") if isinstance(holder, dict) else None
        version = _NAMED.get(subnet.lower()) if isinstance(subnet, str) else None
        if version is None:
            return holder
        if version not in by_version and request.verb == "ADD":
            raise CniError(
                Code.TRY_AGAIN,
                f"ADD: ipam.subnet {subnet}: the Node {node} has no podCIDR of IPv{version}; kube-controller-manager "
                "gives it one, with --allocate-node-cidrs and a --cluster-cidr of that family; try again later",
            )
        return {**holder, "subnet": by_version.get(version, _ANY[version])}

    ipam = filled(_ipam(request.document))
    if isinstance(ranges := ipam.get("ranges"), list):
        ipam["ranges"] = [[filled(one) for one in each] if isinstance(each, list) else each for each in ranges]
    return {**request.document, "cniVersion": VERSION, "ipam": ipam}


def addresses_given(answer: Mapping[str, Any]) -> tuple[Address, ...]:
    """Return the addresses of a result, each without its network. Raises ValueError: it is no result, or has none."""
    match answer.get("ips"):
        case [_, *_] as listed:
            return tuple(ip_address(str(one["address"]).partition("/")[0]) for one in listed)
        case other:
            raise ValueError(f"its result has no addresses: {str(other)[:80]}")


def _ipam(document: Mapping[str, Any]) -> dict[str, Any]:
    found = document.get("ipam")
    return dict(found) if isinstance(found, dict) else {}
