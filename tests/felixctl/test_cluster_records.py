"""Of everything that says who is where, the records are read."""

from __future__ import annotations

from felixctl.cluster_records import read_cluster
from tests.datastore.memory_store import MemoryStore
from tests.felix_py.fake_node import affinity, block, endpoint, node, pool


async def test_pods_blocks_and_nodes_are_read() -> None:
    store = MemoryStore(node(), pool(), affinity(), block("10.65.1.0/26", "n1", None, "n1"), endpoint())
    found = await read_cluster(store)
    assert [(pod.title, pod.node, pod.addresses) for pod in found.pods] == [("default/web", "n1", ("10.65.1.2",))]
    assert [str(one.prefix) for one in found.blocks] == ["10.65.1.0/26"]
    assert list(found.nodes) == ["n1"]
