"""Start-up's decisions: which addresses, which pools, and never another node's address."""

from __future__ import annotations

from ipaddress import ip_interface
from pathlib import Path
from typing import Any

import pytest

from datastore.errors import Conflict, Unavailable
from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.cluster import ClusterInformation, FelixConfiguration
from datastore.kinds.ipam import IPAMConfig
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from felix_py.cluster.losses import Note, RecordKey
from felix_py.configuration.settings import Settings, settings_from
from felix_py.host.autodetect import HostInterface
from felix_py.identity import Addresses, Identity, StartupError
from felix_py.node import node_claim
from felix_py.node.node_claim import marked
from felix_py.startup.startup import (
    host_interfaces,
    node_annotations,
    refuse_duplicates,
    start,
)
from net.prefix import pack
from tests.datastore.memory_store import MemoryStore
from tests.felix_py.fake_node import CALI, node
from tests.felix_py.fakes import ETH0 as FAKE_ETH0
from tests.felix_py.fakes import FakeKernel
from tests.felix_py.node.test_node_claim import FIRST, Living

ETH0 = HostInterface("eth0", True, (ip_interface("192.0.2.1/24"), ip_interface("fe80::1/64")))
ETH1 = HostInterface("eth1", True, (ip_interface("198.51.100.1/24"),))


def test_the_nodes_annotations_are_calicos() -> None:
    assert node_annotations(settings_from({}), ip_interface("192.0.2.1/24"), None, [ETH0, ETH1]) == {
        "IPv4Address": "192.0.2.1/24",
        "IPv6Address": "",
        "Interfaces": '[{"name":"eth0","addresses":["192.0.2.1"]}]',
    }


def test_an_address_of_another_node_is_refused_and_the_node_named() -> None:
    own = (ip_interface("192.0.2.1/24"), None)
    refuse_duplicates("n1", own, [node("n1", "192.0.2.1/24"), node("n2", "192.0.2.2/24")])
    with pytest.raises(StartupError, match="node n2 has it already"):
        refuse_duplicates("n1", own, [node("n2", "192.0.2.1/16")])


def settings(folder: Path, **variables: str) -> Settings:
    files = {"CALICO_NODENAME_FILE": str(folder / "nodename"), "FELIX_MTUFILE": str(folder / "mtu")}
    files["FELIX_STATE_DIR"] = str(folder)
    return settings_from({"NODENAME": "n1", "IP": "autodetect", **files, **variables})


async def test_a_first_start_writes_the_node_and_what_a_new_cluster_lacks(tmp_path: Path) -> None:
    store = MemoryStore()
    identity = await start(settings(tmp_path), store, FakeKernel())
    assert identity == Identity("n1", Addresses(pack("192.0.2.1"), None))
    assert (tmp_path / "nodename").read_text() == "n1"
    assert str((await store.get(Node, "n1")).ipv4) == "192.0.2.1/24"
    for kind in (ClusterInformation, FelixConfiguration, BGPConfiguration, IPAMConfig):
        assert await store.get(kind, "default")
    assert [found.spec.cidr for found in (await store.list(IPPool)).objects] == ["192.168.0.0/16"]


async def test_nothing_is_written_into_the_datastore_of_another_cluster(tmp_path: Path) -> None:
    (tmp_path / "cluster-guid").write_text("ours")
    for store in (MemoryStore(), MemoryStore(ClusterInformation.make("default", clusterGUID="other"))):
        before = dict(store.objects)
        with pytest.raises(Unavailable, match="instead of the cluster ours"):
            await start(settings(tmp_path, FELIX_STATE_DIR=str(tmp_path)), store, FakeKernel())
        assert store.objects == before
    same = MemoryStore(ClusterInformation.make("default", clusterGUID="ours"))
    await start(settings(tmp_path, FELIX_STATE_DIR=str(tmp_path)), same, FakeKernel())


async def test_no_default_pool_is_made_where_the_known_ones_are_gone(tmp_path: Path) -> None:
    (tmp_path / "cluster-guid").write_text("ours")
    known = Note("ours", records={RecordKey("IPPool", "", "pods"): ""})
    (tmp_path / "known-records").write_text(known.to_text())
    for cluster, made in (("ours", 0), ("", 1)):
        (tmp_path / "cluster-guid").write_text(cluster)
        store = MemoryStore(ClusterInformation.make("default", clusterGUID="ours"))
        await start(settings(tmp_path, FELIX_STATE_DIR=str(tmp_path)), store, FakeKernel())
        assert len((await store.list(IPPool)).objects) == made


async def test_nothing_is_written_where_nearly_everything_known_is_gone(tmp_path: Path) -> None:
    (tmp_path / "cluster-guid").write_text("ours")
    nodes = [Node.make(f"n{number}") for number in range(1, 11)]
    records = {RecordKey("Node", "", node.name): "" for node in nodes}
    cluster = ClusterInformation.make("default", clusterGUID="ours")
    for held, there, written in ((False, 0, False), (False, 2, True), (True, 2, False), (True, 9, True)):
        (tmp_path / "known-records").write_text(Note("ours", held, records).to_text())
        store = MemoryStore(cluster, *nodes[:there])
        before = dict(store.objects)
        identity = await start(settings(tmp_path, FELIX_STATE_DIR=str(tmp_path)), store, FakeKernel())
        assert identity.addresses.ipv4 == pack("192.0.2.1")
        assert (store.objects != before) == written


async def test_a_second_start_writes_nothing(tmp_path: Path) -> None:
    store = MemoryStore()
    await start(settings(tmp_path), store, FakeKernel())
    before = dict(store.objects)
    await start(settings(tmp_path), store, FakeKernel())
    assert store.objects == before


async def test_a_changed_address_is_written_and_the_annotations_of_others_stay(tmp_path: Path) -> None:
    store = MemoryStore(Node.make("n1", annotations={"theirs": "x", "projectcalico.org/IPv4Address": "192.0.2.9/24"}))
    await start(settings(tmp_path), store, FakeKernel())
    stored = await store.get(Node, "n1")
    assert stored.metadata.annotations["theirs"] == "x"
    assert str(stored.ipv4) == "192.0.2.1/24"


async def test_without_a_setting_the_stored_address_is_kept(tmp_path: Path) -> None:
    store = MemoryStore(node("n1", "192.0.2.9/24"))
    identity = await start(settings(tmp_path, IP=""), store, FakeKernel())
    assert identity.addresses.ipv4 == pack("192.0.2.9")


async def test_the_internal_ip_of_kubernetes_can_be_the_nodes(tmp_path: Path) -> None:
    known = {"addresses": [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "192.0.2.1"}]}
    store = MemoryStore(Node.read({**Node.make("n1").to_json(), "status": known}))
    await start(settings(tmp_path, IP_AUTODETECTION_METHOD="kubernetes-internal-ip"), store, FakeKernel())
    assert str((await store.get(Node, "n1")).ipv4) == "192.0.2.1/24"


async def test_an_address_without_a_length_gets_its_devices(tmp_path: Path) -> None:
    store = MemoryStore()
    await start(settings(tmp_path, IP="192.0.2.1"), store, FakeKernel())
    assert str((await store.get(Node, "n1")).ipv4) == "192.0.2.1/24"


async def test_the_name_is_the_setting_then_the_file_then_the_hosts(tmp_path: Path) -> None:
    (tmp_path / "nodename").write_text("n7")
    assert (await start(settings(tmp_path, NODENAME=""), MemoryStore(), FakeKernel())).node == "n7"


async def test_another_nodes_address_ends_the_start_before_anything_is_written(tmp_path: Path) -> None:
    store = MemoryStore(node("rival", "192.0.2.1/24"))
    with pytest.raises(StartupError, match="node rival has it already"):
        await start(settings(tmp_path), store, FakeKernel())
    assert len(store.objects) == 1
    assert (await start(settings(tmp_path, DISABLE_NODE_IP_CHECK="true"), store, FakeKernel())).node == "n1"


async def test_a_prefix_that_the_hosts_devices_have_ends_the_start_before_anything_is_written(tmp_path: Path) -> None:
    store = MemoryStore()
    with pytest.raises(StartupError, match="FELIX_INTERFACEPREFIX=eth: the host's own eth0 would be taken for"):
        await start(settings(tmp_path, FELIX_INTERFACEPREFIX="eth"), store, FakeKernel())
    assert not store.objects


async def test_a_node_without_any_address_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="IP and IP6 are both none"):
        await start(settings(tmp_path, IP="none"), MemoryStore(), FakeKernel())


async def test_a_host_whose_name_another_one_has_does_not_start_while_that_one_lives(tmp_path: Path) -> None:
    store = Living(marked(node("n1", "192.0.2.9/24"), FIRST))
    before = dict(store.objects)
    with pytest.raises(StartupError, match=r"another host with the address 192\.0\.2\.9/24 is that node and lives"):
        await start(settings(tmp_path), store, FakeKernel())
    assert {key: one.to_json()["metadata"]["annotations"] for key, one in store.objects.items()} == {
        key: one.to_json()["metadata"]["annotations"] for key, one in before.items()
    }


async def test_a_claim_that_lost_a_race_is_made_again(tmp_path: Path) -> None:
    class Raced(Living):
        async def patch(self, *arguments: Any, **more: Any) -> Any:
            self.calls["claimed"] += 1
            if self.calls["claimed"] == 1:
                raise Conflict("node n1 was written meanwhile")
            return await super().patch(*arguments, **more)

    store = Raced(marked(node("n1", "192.0.2.9/24"), FIRST))
    with pytest.raises(StartupError, match="is that node and lives"):
        await start(settings(tmp_path), store, FakeKernel())
    assert store.calls["claimed"] == 2


async def test_a_host_that_replaces_another_of_its_name_starts_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_claim, "ANSWER_SECONDS", 0)
    store = MemoryStore(marked(node("n1", "192.0.2.9/24"), FIRST))
    await start(settings(tmp_path), store, FakeKernel())
    assert str((await store.get(Node, "n1")).ipv4) == "192.0.2.1/24"


async def test_a_node_that_cannot_be_read_is_left_alone_and_the_agent_starts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore(node("n1", "192.0.2.9/24"))
    store.spoil(await store.get(Node, "n1"))
    identity = await start(settings(tmp_path), store, FakeKernel())
    assert identity.addresses.ipv4 == pack("192.0.2.1")
    assert [one.name for one in store.unreadable] == ["n1"]
    assert "leaves the Node as it is" in caplog.text


async def test_a_node_written_meanwhile_is_read_again(tmp_path: Path) -> None:
    class Raced(MemoryStore):
        async def update(self, resource: Any) -> Any:
            if not self.calls["raced"]:
                self.calls["raced"] += 1
                raise Conflict("node n1 was written meanwhile")
            return await super().update(resource)

    store = Raced(Node.make("n1"))
    await start(settings(tmp_path), store, FakeKernel())
    assert str((await store.get(Node, "n1")).ipv4) == "192.0.2.1/24"


async def test_a_node_that_always_loses_ends_the_start_with_a_question(tmp_path: Path) -> None:
    class AlwaysRaced(MemoryStore):
        async def update(self, resource: Any) -> Any:
            raise Conflict("node n1 was written meanwhile")

    with pytest.raises(StartupError, match=r"lost \d+ races in a row; is another node so named"):
        await start(settings(tmp_path), AlwaysRaced(Node.make("n1")), FakeKernel())


def test_devices_are_listed_in_the_kernels_order_with_their_addresses() -> None:
    kernel = FakeKernel(links=(FAKE_ETH0, CALI))
    assert host_interfaces(kernel) == [
        HostInterface("eth0", True, (ip_interface("192.0.2.1/24"),)),
        HostInterface("cali0", True, ()),
    ]
