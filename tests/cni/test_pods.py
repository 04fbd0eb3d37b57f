"""The shim attaches pods in real namespaces; see node.py for the drawing."""

from __future__ import annotations

from pathlib import Path

from tests.cni.node import on_a_node, world


@on_a_node
async def test_a_pod_is_attached_and_taken_away_again(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        pod = node.sandbox("web-1")
        result = await node.add(pod)
        address = result["ips"][0]["address"]
        name = result["interfaces"][0]["name"]
        assert name == "cali0761ccbeace"  # as Calico calls the device of default/web-1
        assert {str(one) for one in pod.addresses()} == {address}
        assert await node.host_routes() == {address}
        assert await node.assigned(pod) == {address.removesuffix("/32")}
        endpoint = (await node.endpoints())[0]
        assert endpoint.spec.container_id == pod.container
        assert endpoint.spec.mac == result["interfaces"][1]["mac"] == pod.device().mac.hex(":")  # type: ignore[union-attr]
        await node.delete(pod)
        assert await node.holds_nothing()
