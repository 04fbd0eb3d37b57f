"""A configuration of a node that is not there is named."""

from __future__ import annotations

from pathlib import Path

from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.cluster import FelixConfiguration
from felix_py.notices.node_configurations import of_no_node
from tests.felix_py.fake_node import FakeNode, node
from tests.felix_py.fakes import until


def test_only_a_configuration_of_a_node_that_is_not_there_has_no_effect() -> None:
    found = of_no_node({"n1"}, [*map(BGPConfiguration.make, ("default", "node.n1", "node.n11", "rack1"))])
    assert [(notice.kind, notice.name, notice.field) for notice in found] == [("BGPConfiguration", "node.n11", "")]


async def test_it_is_said_until_the_node_is_there(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:

        def said() -> list[str]:
            return [notice.name for notice in agent.notices.all() if notice.kind == "FelixConfiguration"]

        one.store.put(FelixConfiguration.make("node.n2", ipipMTU=1400))
        await until(lambda: said() == ["node.n2"])
        one.store.put(node("n2", "192.0.2.2/24"))
        await until(lambda: said() == [])
