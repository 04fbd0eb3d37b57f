"""One cluster with felix-py for the tests of this folder that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.installation import felix_cluster
from tests.cluster.leftovers import leftovers


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three Ready nodes; when they have ended, nothing is left of them."""
    with felix_cluster(tmp_path_factory.mktemp("clusters") / "one") as made:
        namespaces = made.namespaces()
        yield made
    assert leftovers(made, namespaces) == []
