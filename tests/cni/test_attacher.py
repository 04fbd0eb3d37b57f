"""The fake agent behaves as the real one does towards the verbs."""

from __future__ import annotations

import pytest

from cni.attacher import Attacher, FakeAttacher
from datastore.kinds.pods import WorkloadEndpoint


def endpoint(container: str) -> WorkloadEndpoint:
    return WorkloadEndpoint.make("n1-k8s-web-eth0", namespace="default", node="n1", pod="web", containerID=container)


async def test_a_newer_container_keeps_its_routes_when_the_older_one_is_detached() -> None:
    agent = FakeAttacher()
    attacher: Attacher = agent
    await attacher.attach(endpoint("old"), 7)
    await attacher.attach(endpoint("new"), 8)
    await attacher.detach(endpoint("old"))
    assert agent.attached["n1-k8s-web-eth0"] == (endpoint("new"), 8)
    await attacher.detach(endpoint("new"))
    await attacher.detach(endpoint("new"))
    assert agent.attached == {}


async def test_an_agent_that_fails_attaches_nothing() -> None:
    agent = FakeAttacher()
    agent.failure = RuntimeError("refused")
    with pytest.raises(RuntimeError, match="refused"):
        await agent.attach(endpoint("c1"), 7)
    assert agent.attached == {}
