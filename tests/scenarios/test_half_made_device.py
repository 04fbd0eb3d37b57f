"""An ADD whose agent is killed between the making of a device and its label is undone by the DEL that is noted then."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bench.cni import PodNetns, files, shim
from kernel.links import Devices
from kernel.netns import inside, new_network_namespace
from soak.node import SoakNode
from soak.pods import Runtime


@pytest.fixture
def node(tmp_path: Path) -> Iterator[SoakNode]:
    with closing(SoakNode("n1", "192.0.2.1/24", tmp_path / "n1", f"sqlite://{tmp_path}/cluster.db")) as made:
        made.wait_until_ready()
        yield made


def test_the_same_container_is_attached_by_the_first_request_of_the_next_agent(node: SoakNode) -> None:
    pod = PodNetns(os.urandom(32).hex(), new_network_namespace())
    plugin = shim(node.folder, agent=0)
    with files(plugin) as ready_made:
        runtime = Runtime(plugin, *ready_made)
        assert runtime.called("ADD", pod)
        node.kill()
        unmake(node, pod)
        assert runtime.called("DEL", pod)
        node.start()
        while not runtime.called("ADD", pod):  # raises CallRefused for any answer but to try again
            pass
        assert runtime.called("DEL", pod)
    os.close(pod.netns)


def unmake(node: SoakNode, pod: PodNetns) -> None:
    """Leave of a pod's device what there is before it has its label."""
    with inside(node.netns), closing(Devices()) as devices:
        [host] = [link for link in devices.links().values() if link.kind == "veth"]
        devices.set_down(host.index)
        devices.label(host, "", {})
    with inside(pod.netns), closing(Devices()) as devices:
        end = devices.link("eth0")
        assert end is not None
        devices.set_down(end.index)
