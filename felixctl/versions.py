"""The versions of this client and of the cluster, as `felixctl version` prints them."""

from __future__ import annotations

from typing import NamedTuple

from felix_py.release import installed_release
from felixctl.datastore_choice import existing_file
from felixctl.lean_imports import expect_pydantic
from felixctl.terminal import show


class ClusterVersion(NamedTuple):
    """What the cluster's ClusterInformation says."""

    calico_version: str | None
    cluster_type: str | None


def print_versions(url: str, *, client_alone: bool = False) -> None:
    """Raises CommandError: the datastore cannot be read."""
    show(f"Client Version:    {client_version()}\n")
    if not client_alone:
        show(_told(_cluster_in_file(url) or _cluster(url)))


def client_version() -> str:
    """Return this client's own version, as it stands in what it writes."""
    return f"v{installed_release()}"


def _told(cluster: ClusterVersion | None) -> str:
    if cluster is None:
        return "Cluster Version:   unknown: no agent has started with this datastore yet\n"
    return f"Cluster Version:   {cluster.calico_version or ''}\nCluster Type:      {cluster.cluster_type or ''}\n"


def _cluster_in_file(url: str) -> ClusterVersion | None:
    """Return what a file plainly says; None: the store is to be asked."""
    path = existing_file(url)
    if path is None:
        return None
    from datastore.sqlite_records import kept_of_all

    for record in kept_of_all(path, "ClusterInformation", None, lambda record: record) or ():
        if record["metadata"]["name"] == "default":
            spec = record.get("spec", {})
            return ClusterVersion(spec.get("calicoVersion"), spec.get("clusterType"))
    return None


def _cluster(url: str) -> ClusterVersion | None:
    expect_pydantic()
    from datastore.store import Store
    from datastore.summaries import CLUSTERS
    from felixctl.connection import reading

    async def work(store: Store) -> ClusterVersion | None:
        listed = await store.summarize(CLUSTERS)
        found = [one for one in listed.objects if one.name == "default"]
        if not found:
            listed.complete()
            return None
        return ClusterVersion(found[0].calico_version, found[0].cluster_type)

    return reading(url, work)
