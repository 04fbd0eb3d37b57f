"""The versions of this client and of the cluster, as `felixctl version` prints them."""

from __future__ import annotations

from felixctl.terminal import show


def print_versions(url: str, *, client_alone: bool = False) -> None:
    """Raises CommandError: the datastore cannot be read."""
    show(f"Client Version:    {client_version()}\n")
    if not client_alone:
        show(_cluster(url))


def client_version() -> str:
    """Return this client's own version, as it stands in what it writes."""
    from importlib.metadata import version as version_of  # imported late: it brings the parser of e-mail along

    return f"v{version_of('felix-py')}"


def _cluster(url: str) -> str:
    from datastore.store import Store
    from datastore.summaries import CLUSTERS
    from felixctl.connection import reading

    async def work(store: Store) -> str:
        listed = await store.summarize(CLUSTERS)
        found = [one for one in listed.objects if one.name == "default"]
        if not found:
            listed.complete()
            return "Cluster Version:   unknown: no agent has started with this datastore yet\n"
        return f"Cluster Version:   {found[0].calico_version or ''}\nCluster Type:      {found[0].cluster_type or ''}\n"

    return reading(url, work)
