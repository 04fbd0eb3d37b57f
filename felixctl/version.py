"""`felixctl version`: of this client, and of the cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from datastore.defaults import DEFAULT_URL
from felixctl.options import Url
from felixctl.terminal import show

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def version(
    client: Annotated[bool, typer.Option("--client", help="Only this client; needs no datastore.")] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Print the versions of this client and of the cluster.

    [dim]$[/dim] felixctl version
    """
    show(f"Client Version:    {client_version()}\n")
    if not client:
        show(_cluster(url))


def client_version() -> str:
    """Return this client's own version, as it stands in what it writes."""
    from importlib.metadata import version as version_of  # imported late: it brings the parser of e-mail along

    return f"v{version_of('felix-py')}"


def _cluster(url: str) -> str:
    from datastore.errors import NotFound
    from datastore.kinds.cluster import ClusterInformation
    from datastore.store import Store
    from felixctl.connection import reading

    async def work(store: Store) -> str:
        try:
            spec = (await store.get(ClusterInformation, "default")).spec
        except NotFound:
            return "Cluster Version:   unknown: no agent has started with this datastore yet\n"
        return f"Cluster Version:   {spec.calico_version or ''}\nCluster Type:      {spec.cluster_type or ''}\n"

    return reading(url, work)
