"""One lab for all tests of this folder, as it takes a while to start one. Each module leaves it as it found it.

n1, n2, n3 ── tor     one subnet: the nodes' mesh, and a BIRD with an AS of its own that waits for whoever peers with it

The devices of n3's pods are called tap…, by its setting FELIX_INTERFACEPREFIX.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kube.cluster import Cluster, cluster_of


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    peers = [{"name": "tor", "speaker": "bird", "as": 64600, "networks": ["203.0.113.0/24"]}]
    renamed = {"n3": {"FELIX_INTERFACEPREFIX": "tap"}}
    with cluster_of(tmp_path_factory.mktemp("lab"), settings_of=renamed, peers=peers) as found:
        yield found
