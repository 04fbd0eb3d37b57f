"""STATUS answers whether one more pod could be attached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datastore.kinds.pools import IPPool
from tests.cni.conftest import configuration
from tests.cni.node import DUAL, NodeUnderTest, on_a_node, serving_node


async def status(node: NodeUnderTest, **network: Any) -> tuple[int, str]:
    ended = await node.call({"CNI_COMMAND": "STATUS", "CNI_PATH": "/opt/cni/bin"}, configuration(**network))
    return (0, "") if ended.status == 0 else (ended.code, ended.document["msg"])


@on_a_node
async def test_status_says_whether_an_add_would_succeed(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path, IPPool.make("tiny", cidr="10.9.0.0/30", block_size=30)) as node:
        assert await status(node) == (0, "")
        code, why = await status(node, **DUAL)
        assert (code, "no enabled IPv6 pool" in why) == (50, True)
        node.limitation = "no BGP session is up"
        assert await status(node) == (51, "STATUS: no BGP session is up")
        node.limitation = None
        for _ in range(4):
            await node.add(node.sandbox())
        code, why = await status(node)
        assert (code, "tiny" in why) == (50, True)
        node.switch.away = True
        assert (await status(node))[0] == 50
