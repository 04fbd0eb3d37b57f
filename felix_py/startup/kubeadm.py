"""What kubeadm noted of the cluster that it made: the networks of its pods.

Pure. Precedence and format are those of Calico's start-up: of a list with commas, the first of each family.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

from msgspec import Struct

from datastore import fields
from datastore.fields import Network

NAMESPACE, NAME, KEY = "kube-system", "kubeadm-config", "ClusterConfiguration"
"""Where the note stands: the namespace and name of a ConfigMap, and the key in it."""


class PodSubnets(Struct, frozen=True):
    """The networks that a cluster's pods are to have; None: it says none of this family."""

    ipv4: IPv4Network | None = None
    ipv6: IPv6Network | None = None


def pod_subnets(configuration: str) -> PodSubnets:
    """Return the pods' networks of a ClusterConfiguration. Raises ValueError: it says something else there."""
    import yaml

    try:
        found = yaml.safe_load(configuration)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"it is not YAML: {' '.join(str(error).split())[:200]}") from None
    networking = found.get("networking") if isinstance(found, dict) else found
    subnets = networking.get("podSubnet") if isinstance(networking, dict) else networking
    match subnets:
        case None:
            return PodSubnets()
        case str() as text:
            return _first_of_each([_network(part.strip()) for part in text.split(",") if part.strip()])
        case _:
            raise ValueError(f"networking.podSubnet is {str(subnets)[:80]!r}, no text")


def _network(text: str) -> Network:
    """Return a network as kube-controller-manager reads it: bits beyond its length do not count."""
    return fields.interface(text).network if "/" in text else fields.network(text)


def _first_of_each(networks: Sequence[Network]) -> PodSubnets:
    ipv4 = next((network for network in networks if isinstance(network, IPv4Network)), None)
    ipv6 = next((network for network in networks if isinstance(network, IPv6Network)), None)
    return PodSubnets(ipv4, ipv6)
