"""`felixctl version`: of this client, and of the cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from datastore.defaults import DEFAULT_URL
from felixctl.options import Url
from felixctl.versions import print_versions

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def version(
    client: Annotated[bool, typer.Option("--client", help="Only this client's version; needs no datastore.")] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Print the versions of this client and of the cluster.

    [dim]$[/dim] felixctl version
    """
    print_versions(url, client_alone=client)
