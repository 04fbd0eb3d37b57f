"""One cluster with felix-py for the tests of this folder that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.figures import Figures
from tests.cluster.installation import felix_cluster
from tests.cluster.leftovers import leftovers

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the tests that share `made` run last: two clusters of one process would have cgroups of the same names.

    Of these the absences come late, which measure pauses: the other parts of `make kube-test` have ended by then, as
    this one takes longest. Last comes the one that takes felix-py from the cluster.
    """

    def place(item: pytest.Item) -> int:
        fixtures = getattr(item, "fixturenames", ()) if HERE in item.path.parents else ()
        return max((at for at, name in enumerate(("made", "churning", "spent"), 1) if name in fixtures), default=0)

    items.sort(key=place)


@pytest.fixture(scope="package")
def figures() -> Figures:
    return Figures()


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory, figures: Figures) -> Iterator[Cluster]:
    """Three Ready nodes; when they have ended, nothing is left of them."""
    with felix_cluster(tmp_path_factory.mktemp("clusters") / "one") as made:
        namespaces = made.namespaces()
        yield made
        namespaces |= made.namespaces()  # of nodes that came later
    left = leftovers(made, namespaces)
    if figures.has_any:
        figures.note(leftovers=left)
    assert left == []


@pytest.fixture
def spent(made: Cluster) -> Cluster:
    """The same cluster for the last test of all, after which it has no felix-py any more."""
    return made
