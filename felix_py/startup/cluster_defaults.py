"""What every cluster needs before its first pod: one object of each kind, and a pool of each family in use.

An edge; what is made is decided by the plain functions below. All is read first, and only what is missing is written,
which tolerates another node having been quicker. Follows calico-node's start-up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import uuid
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any

from datastore.cas import ATTEMPTS, found_or_none
from datastore.errors import AlreadyExists, BadRecord, Conflict, Forbidden, Invalid
from datastore.fields import Interface, Network
from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.cluster import ClusterInformation, FelixConfiguration
from datastore.kinds.config_map import ConfigMap
from datastore.kinds.ipam import IPAMConfig
from datastore.kinds.pools import IPPool
from datastore.record import Resource
from datastore.store import Store
from datastore.url import has_namespaces
from felix_py.cluster.records import read_note
from felix_py.configuration.setting_types import AddressChoice
from felix_py.configuration.settings import IPv4PoolDefaults, PoolDefaults, Settings
from felix_py.identity import StartupError
from felix_py.startup import kubeadm
from felix_py.startup.kubeadm import PodSubnets, pod_subnets

log = logging.getLogger("felix.startup")

CALICO_VERSION = "v3.32.1"  # whose records we write: calicoctl refuses to work with a version unlike its own


_CURE = "set CALICO_IPV4POOL_CIDR (CALICO_IPV6POOL_CIDR), or delete the pool, mend this and restart the agent"


async def make_defaults(settings: Settings, store: Store, host: Sequence[Interface]) -> None:
    """Create what a cluster needs and does not have: one of each, whoever comes first. Raises StartupError."""
    on_kubernetes = has_namespaces(settings.datastore)
    listed = await store.list(IPPool)
    missing = missing_pools(settings, listed.objects)
    made_by_kubeadm = await _read_kubeadm(store, missing) if on_kubernetes and missing else None
    types = [*(settings.cluster_type or "k8s,bgp").split(",")]
    types += [*(["kubeadm"] if made_by_kubeadm else []), *(["kdd"] if on_kubernetes else [])]
    cluster = await _put_cluster_information(store, [kind.strip() for kind in types if kind.strip()])
    if cluster and cluster.is_incomplete:
        log.warning(
            "an import into the datastore is not complete: nothing is made beside it; when felixctl datastore migrate"
            " import has ended, restart the agent if a default is missing"
        )
        return
    settings_of_cluster = (
        FelixConfiguration.make("default", reportingInterval="0s", logSeverityScreen="Info", floatingIPs="Disabled"),
        BGPConfiguration.make("default", logSeverityScreen="Info", serviceLoadBalancerAggregation="Enabled"),
        IPAMConfig.make("default", strictAffinity=False, autoAllocateBlocks=True, maxBlocksPerHost=0),
    )
    await asyncio.gather(*(_create_unless_there(store, resource) for resource in settings_of_cluster))
    if missing and not listed.objects and read_note(settings).has_pools:
        log.error("make a pool: there are none, and there were when the agent last ran; none is made; apply one")
    elif not listed.unreadable:
        await _make_pools(store, default_pools(missing, host, made_by_kubeadm or PodSubnets()))
    if made_by_kubeadm and made_by_kubeadm.ipv6 and settings.ip6 is AddressChoice.NONE:
        log.info("no pool of kubeadm's %s is made: this node has no IPv6 (IP6)", made_by_kubeadm.ipv6)


async def _make_pools(store: Store, pools: Iterable[IPPool]) -> None:
    for pool in pools:
        if await _create_unless_there(store, pool):
            log.info("made the pool %s with %s", pool.metadata.name, pool.spec.cidr)


async def _read_kubeadm(store: Store, missing: Mapping[str, PoolDefaults]) -> PodSubnets | None:
    """Return what kubeadm says of the pods' networks; None: it did not make this cluster, as far as can be known.

    missing: the pools that are to be made. Raises Unavailable: it cannot be asked now.
    """
    what = f"read the pods' networks from the ConfigMap {kubeadm.NAMESPACE}/{kubeadm.NAME}"
    guessed = " and ".join(name for name, defaults in missing.items() if defaults.cidr is None)
    follows = f"{guessed} gets a network that may not be the cluster's; {_CURE}" if guessed else "the settings apply"
    try:
        found = await found_or_none(store.get(ConfigMap, kubeadm.NAME, kubeadm.NAMESPACE))
    except (Forbidden, BadRecord) as error:
        log.log(logging.WARNING if guessed else logging.INFO, "%s: %s; %s", what, error, follows)
        return None
    if found is None:
        return None
    try:
        return pod_subnets(found.data.get(kubeadm.KEY, ""))
    except ValueError as error:
        log.warning("%s: %s: %s; %s", what, kubeadm.KEY, error, follows)
        return PodSubnets()


async def _put_cluster_information(store: Store, types: Sequence[str]) -> ClusterInformation | None:
    """Make what says that this is a cluster, or add what it lacks, and return it; None: it cannot be read."""
    for _ in range(ATTEMPTS):
        try:
            found = await found_or_none(store.get(ClusterInformation, "default"))
        except BadRecord:
            return None
        with contextlib.suppress(Conflict, AlreadyExists):
            if found is None:
                return await store.create(completed(ClusterInformation.make("default"), types))
            changed = completed(found, types)
            return found if changed == found else await store.update(changed)
    raise StartupError(f"write ClusterInformation default: lost {ATTEMPTS} races in a row")


def completed(information: ClusterInformation, types: Sequence[str]) -> ClusterInformation:
    """Return it with what it lacks: an identity, its types, the version of its records, and that it may be used.

    Nothing that is there is changed: nodes of Calico's write the version anew when they start, and an administrator who
    locked the datastore keeps it locked.
    """
    spec = information.spec
    there = [name for name in (spec.cluster_type or "").split(",") if name]
    wanted = {
        "cluster_guid": spec.cluster_guid or uuid.uuid4().hex,
        "cluster_type": ",".join([*there, *(name for name in dict.fromkeys(types) if name not in there)]),
        "calico_version": spec.calico_version or CALICO_VERSION,
        "datastore_ready": spec.datastore_ready if "datastore_ready" in spec.model_fields_set else True,
    }
    return information.with_spec(**wanted)


async def _create_unless_there(store: Store, resource: Resource) -> bool:
    with contextlib.suppress(AlreadyExists, BadRecord):
        if await found_or_none(store.get(type(resource), resource.name)) is None:
            await store.create(resource)
            return True
    return False


def missing_pools(settings: Settings, pools: Iterable[IPPool]) -> dict[str, PoolDefaults]:
    """Return the pools to make, by name: one for each family in use that has none."""
    if settings.no_default_pools:
        return {}
    families = {ip_network(pool.spec.cidr).version for pool in pools}
    wanted = (
        (4, settings.ip, "default-ipv4-ippool", settings.ipv4_pool),
        (6, settings.ip6, "default-ipv6-ippool", settings.ipv6_pool),
    )
    return {
        name: defaults
        for family, address, name, defaults in wanted
        if family not in families and defaults.cidr != "none" and address is not AddressChoice.NONE
    }


def default_pools(missing: Mapping[str, PoolDefaults], host: Iterable[Interface], subnets: PodSubnets) -> list[IPPool]:
    """Return these pools with their networks: the setting's, else kubeadm's, else a free one.

    Raises StartupError: none is free, or kubeadm's does not go with the settings.
    """
    taken = [address.network for address in host if address.version == 4]
    return [_pool(defaults, name, _network(defaults, subnets, taken)) for name, defaults in missing.items()]


def _network(defaults: PoolDefaults, subnets: PodSubnets, taken: Sequence[Network]) -> Network:
    assert defaults.cidr != "none"
    if defaults.cidr is not None:
        return defaults.cidr
    if isinstance(defaults, IPv4PoolDefaults):
        return subnets.ipv4 or free_ipv4_network(taken)
    return subnets.ipv6 or random_ula()


def _pool(defaults: PoolDefaults, name: str, cidr: Network) -> IPPool:
    try:
        return defaults.pool(name, cidr)
    except Invalid as error:
        raise StartupError(
            f"make the first pool with kubeadm's pod subnet {cidr}: {error}; "
            "set CALICO_IPV4POOL_CIDR or CALICO_IPV4POOL_BLOCK_SIZE (of IPv6: CALICO_IPV6POOL_…)"
        ) from None


def free_ipv4_network(taken: Iterable[Any]) -> IPv4Network:
    """Return 192.168.0.0/16, else the first of 172.16.0.0/16 to 172.31.0.0/16 that overlaps no host network."""
    taken = list(taken)
    choices = [IPv4Network("192.168.0.0/16"), *IPv4Network("172.16.0.0/12").subnets(new_prefix=16)]
    for network in choices:
        if not any(network.overlaps(other) for other in taken):
            return network
    raise StartupError(
        "choose the first IPv4 pool: 192.168.0.0/16 and 172.16.0.0/12 overlap this host's networks; "
        "set CALICO_IPV4POOL_CIDR"
    )


def random_ula() -> IPv6Network:
    """Return a random unique local /48 (RFC 4193)."""
    return IPv6Network((IPv6Address(b"\xfd" + secrets.token_bytes(5) + bytes(10)), 48))
