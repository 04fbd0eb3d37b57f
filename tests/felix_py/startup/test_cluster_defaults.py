"""What a cluster lacks before its first pod: read first, made once, and never against what somebody wrote."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network
from typing import Any

import pytest

from datastore.errors import Conflict, Forbidden, Unavailable
from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.cluster import IMPORT_MARK, ClusterInformation, FelixConfiguration
from datastore.kinds.config_map import ConfigMap
from datastore.kinds.ipam import IPAMConfig
from datastore.kinds.pools import IPPool
from datastore.store import Unreadable
from felix_py.configuration.settings import settings_from
from felix_py.identity import StartupError
from felix_py.startup.cluster_defaults import (
    completed,
    default_pools,
    free_ipv4_network,
    make_defaults,
    missing_pools,
    random_ula,
)
from felix_py.startup.kubeadm import PodSubnets
from tests.datastore.memory_store import MemoryStore

NONE = PodSubnets()
KUBERNETES = {"FELIX_DATASTORE": "kubernetes://"}
DUAL = KUBERNETES | {"IP6": "autodetect"}
HOST = [ip_interface("192.0.2.1/24")]
SUBNETS = PodSubnets(IPv4Network("10.244.0.0/16"), IPv6Network("fd00:10:244::/56"))


def kubeadms(configuration: str) -> ConfigMap:
    record = ConfigMap.make("kubeadm-config", "kube-system").to_json()
    return ConfigMap.read({**record, "data": {"ClusterConfiguration": configuration}})


def pod_subnet(text: str) -> ConfigMap:
    return kubeadms(f"apiServer: {{}}\nnetworking:\n  dnsDomain: cluster.local\n  podSubnet: {text}\n")


async def cidrs(store: MemoryStore) -> list[str]:
    return [pool.spec.cidr for pool in (await store.list(IPPool)).objects]


def test_pools_are_made_for_families_in_use_that_have_none() -> None:
    dual = settings_from({"IP6": "autodetect", "CALICO_IPV4POOL_CIDR": "10.65.0.0/16"})
    assert next(pool.spec.cidr for pool in default_pools(missing_pools(dual, []), [], NONE)) == "10.65.0.0/16"
    assert len(default_pools(missing_pools(dual, []), [], NONE)) == 2
    assert not default_pools(missing_pools(settings_from({"CALICO_IPV4POOL_CIDR": "none"}), []), [], NONE)
    existing = [IPPool.make("mine", cidr="10.9.0.0/16")]
    assert not default_pools(missing_pools(settings_from({}), existing), [], NONE)


def test_the_first_pool_keeps_clear_of_the_hosts_networks() -> None:
    assert free_ipv4_network([]) == IPv4Network("192.168.0.0/16")
    assert free_ipv4_network([ip_network("192.168.7.0/24"), ip_network("172.16.0.0/12")][:1]) == IPv4Network(
        "172.16.0.0/16"
    )
    with pytest.raises(StartupError, match="CALICO_IPV4POOL_CIDR"):
        free_ipv4_network([ip_network("192.168.7.0/24"), ip_network("172.16.0.0/12")])


def test_the_first_ipv6_pool_is_a_random_unique_local_48() -> None:
    assert random_ula().prefixlen == 48
    assert random_ula().subnet_of(IPv6Network("fd00::/8"))
    assert random_ula() != random_ula()


async def test_no_pool_is_made_beside_one_that_cannot_be_read() -> None:
    store = MemoryStore()
    store.unreadable = (Unreadable(IPPool, "ours", None, 'IPPool "ours": spec.cidr is required'),)
    await make_defaults(settings_from({}, {}), store, [ip_interface("192.0.2.1/24")])
    assert (await store.list(IPPool)).objects == ()
    store.unreadable = ()
    await make_defaults(settings_from({}, {}), store, [ip_interface("192.0.2.1/24")])
    assert len((await store.list(IPPool)).objects) == 1


def test_kubeadms_networks_come_after_the_settings_and_before_any_other() -> None:
    made = default_pools(missing_pools(settings_from(DUAL), []), [], SUBNETS)
    assert [pool.spec.cidr for pool in made] == ["10.244.0.0/16", "fd00:10:244::/56"]
    given = {"CALICO_IPV4POOL_CIDR": "10.9.0.0/16", "CALICO_IPV6POOL_CIDR": "none"}
    assert [pool.spec.cidr for pool in default_pools(missing_pools(settings_from(DUAL | given), []), [], SUBNETS)] == [
        "10.9.0.0/16"
    ]
    assert not default_pools(
        missing_pools(settings_from(KUBERNETES), [IPPool.make("mine", cidr="10.8.0.0/16")]), [], SUBNETS
    )
    [four] = default_pools(missing_pools(settings_from(KUBERNETES), []), [], PodSubnets(ipv6=SUBNETS.ipv6))
    assert four.spec.cidr == "192.168.0.0/16"


def test_a_network_of_kubeadms_that_the_block_size_does_not_fit_is_refused() -> None:
    with pytest.raises(StartupError, match=r"kubeadm's pod subnet 10\.244\.0\.0/28.*CALICO_IPV4POOL_BLOCK_SIZE"):
        default_pools(missing_pools(settings_from(KUBERNETES), []), [], PodSubnets(IPv4Network("10.244.0.0/28")))


async def test_the_first_pools_are_those_of_kubeadm(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore(pod_subnet("10.244.0.0/16,fd00:10:244::/56"))
    await make_defaults(settings_from(DUAL), store, HOST)
    assert await cidrs(store) == ["10.244.0.0/16", "fd00:10:244::/56"]
    assert (await store.get(ClusterInformation, "default")).spec.cluster_type == "k8s,bgp,kubeadm,kdd"
    store = MemoryStore(pod_subnet("10.244.0.0/16,fd00:10:244::/56"))
    with caplog.at_level("INFO"):
        await make_defaults(settings_from(KUBERNETES), store, HOST)
    assert await cidrs(store) == ["10.244.0.0/16"]
    assert "no pool of kubeadm's fd00:10:244::/56 is made: this node has no IPv6 (IP6)" in caplog.text


async def test_without_kubernetes_nobody_asks_for_kubeadm() -> None:
    store = MemoryStore(pod_subnet("10.244.0.0/16"))
    await make_defaults(settings_from({}), store, HOST)
    assert await cidrs(store) == ["192.168.0.0/16"]
    assert store.calls["get ConfigMap"] == 0
    assert (await store.get(ClusterInformation, "default")).spec.cluster_type == "k8s,bgp"


@pytest.mark.parametrize(
    ("configuration", "reason"), [("podSubnet: [", "is not YAML"), ("networking: {podSubnet: 10.1}", "no text")]
)
async def test_a_note_of_kubeadms_that_says_no_network_costs_a_sentence(
    configuration: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore(kubeadms(configuration))
    await make_defaults(settings_from(KUBERNETES), store, HOST)
    assert await cidrs(store) == ["192.168.0.0/16"]
    assert reason in caplog.text and "ConfigMap kube-system/kubeadm-config" in caplog.text


class Refusing(MemoryStore):
    """A store that answers a question for a ConfigMap with an error."""

    error: Exception
    asked = 0

    async def get(self, kind: Any, name: str, namespace: str | None = None) -> Any:
        if kind is ConfigMap:
            self.asked += 1
            raise self.error
        return await super().get(kind, name, namespace)


async def test_who_may_not_read_kubeadms_note_goes_on_without_it(caplog: pytest.LogCaptureFixture) -> None:
    store = Refusing(pod_subnet("10.244.0.0/16"))
    store.error = Forbidden("get ConfigMap: the role of this account lacks it (403)")
    await make_defaults(settings_from(KUBERNETES), store, HOST)
    assert await cidrs(store) == ["192.168.0.0/16"]
    assert (
        "lacks it (403); default-ipv4-ippool gets a network that may not be the cluster's; set CALICO_" in caplog.text
    )


async def test_kubeadm_is_asked_where_a_pool_is_missing_and_only_there(caplog: pytest.LogCaptureFixture) -> None:
    """Who may not ask is warned where a network is guessed."""
    given, none = {"CALICO_IPV4POOL_CIDR": "10.9.0.0/16"}, {"NO_DEFAULT_POOLS": "true"}
    for settings, asked in ((given, 1), ({}, 0), (none, 0), (DUAL, 1)):
        store = Refusing(*([] if settings in (given, none) else [IPPool.make("mine", cidr="10.8.0.0/16")]))
        store.error = Forbidden("get ConfigMap: the role of this account lacks it (403)")
        await make_defaults(settings_from(KUBERNETES | settings), store, HOST)
        assert store.asked == asked
        assert ("default-ipv6-ippool gets a network" in caplog.text) is (settings is DUAL)


async def test_no_pool_is_made_on_a_guess_while_the_store_is_away() -> None:
    store = Refusing(pod_subnet("10.244.0.0/16"))
    store.error = Unavailable("no answer")
    with pytest.raises(Unavailable):
        await make_defaults(settings_from(KUBERNETES), store, HOST)
    assert await cidrs(store) == []


async def test_what_is_there_is_read_and_not_made_again() -> None:
    store = MemoryStore()
    await make_defaults(settings_from(KUBERNETES), store, HOST)
    writes = {name for name in store.calls if name.startswith("write")}
    assert len(writes) == 5
    store.calls.clear()
    await make_defaults(settings_from(KUBERNETES), store, HOST)
    kinds = (ClusterInformation, FelixConfiguration, BGPConfiguration, IPAMConfig)
    assert store.calls == {**{f"get {kind.KIND}": 1 for kind in kinds}, "list IPPool": 1}


async def test_nothing_is_made_beside_an_import_that_is_not_complete(caplog: pytest.LogCaptureFixture) -> None:
    begun = ClusterInformation.make("default", annotations={IMPORT_MARK: "incomplete"}, datastore_ready=False)
    store = MemoryStore(begun)
    await make_defaults(settings_from({}), store, HOST)
    assert {key.kind for key in store.objects} == {"ClusterInformation"}
    assert "an import into the datastore is not complete" in caplog.text
    assert not (await store.get(ClusterInformation, "default")).spec.datastore_ready


def test_cluster_information_keeps_what_it_says_and_gets_what_it_lacks() -> None:
    calicos = ClusterInformation.make(
        "default", clusterGUID="ours", clusterType="typha,kdd,k8s", calicoVersion="v3.31.0", datastoreReady=False
    )
    assert completed(calicos, ["k8s", "kdd"]) == calicos
    more = completed(calicos, ["k8s", "bgp", "kubeadm", "kdd", "kubeadm"]).spec
    assert more.cluster_type == "typha,kdd,k8s,bgp,kubeadm"
    assert (more.cluster_guid, more.calico_version, more.datastore_ready) == ("ours", "v3.31.0", False)
    bare = completed(ClusterInformation.make("default"), ["k8s"]).spec
    assert bare.datastore_ready and len(bare.cluster_guid or "") == 32 and bare.calico_version == "v3.32.1"


async def test_cluster_information_that_was_written_meanwhile_is_read_again() -> None:
    class Raced(MemoryStore):
        async def update(self, resource: Any) -> Any:
            self.calls["raced"] += 1
            if self.calls["raced"] == 1:
                held = await self.get(ClusterInformation, "default")
                await super().update(held.with_spec(cluster_type="rancher"))
                raise Conflict("it was written meanwhile")
            return await super().update(resource)

    store = Raced(ClusterInformation.make("default", clusterGUID="ours"))
    await make_defaults(settings_from({"CLUSTER_TYPE": "k8s, edge", **KUBERNETES}), store, HOST)
    assert (await store.get(ClusterInformation, "default")).spec.cluster_type == "rancher,k8s,edge,kdd"


async def test_what_is_there_and_cannot_be_read_is_left_alone() -> None:
    store = MemoryStore()
    await make_defaults(settings_from({}), store, HOST)
    store.spoil(await store.get(ClusterInformation, "default"))
    store.spoil(await store.get(BGPConfiguration, "default"))
    before = dict(store.objects)
    await make_defaults(settings_from({}), store, HOST)
    assert store.objects == before


async def test_no_default_pool_is_made_where_none_is_wanted() -> None:
    store = MemoryStore()
    await make_defaults(settings_from({"NO_DEFAULT_POOLS": "true"}), store, HOST)
    assert not (await store.list(IPPool)).objects
