from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.runtimes.containerd import start_containerd
from tests.runtimes.cri import Cri
from tests.runtimes.machine import Machine, eventually


@pytest.fixture(scope="module")
def runtimes(nodes: list[Machine]) -> list[Cri]:
    return [start_containerd(machine) for machine in nodes]


@pytest.fixture(autouse=True)
def no_pods(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    for runtime in request.getfixturevalue("runtimes"):
        for sandbox in runtime.sandboxes():
            runtime.remove_pod(sandbox)


def test_pods_of_two_nodes_reach_each_other(runtimes: list[Cri]) -> None:
    near, far = runtimes[0].run_pod("near"), runtimes[1].run_pod("far")
    eventually("near pings far", lambda: runtimes[0].run_in(near, "ping", "-c", "1", "-W", "1", far.address)[0] == 0)
