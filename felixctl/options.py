"""Options that several commands share. Every command imports it, so it imports nothing of ours."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

SHARED = ("config", "context")


def _remember(ctx: typer.Context, param: typer.CallbackParam, value: str | None) -> str | None:
    """Keep an option for the command that opens a datastore; what stands nearer to the command comes first."""
    if value is not None:
        ctx.meta[f"felixctl.{param.name}"] = value
    return value


Config = Annotated[
    str | None,
    typer.Option(
        "-c",
        "--config",
        metavar="FILE",
        callback=_remember,
        is_eager=True,
        help="calicoctl's configuration; without it [b]/etc/calico/calicoctl.cfg[/b], then its variables.",
    ),
]
Context = Annotated[
    str | None,
    typer.Option(
        "--context",
        metavar="NAME",
        callback=_remember,
        is_eager=True,
        help="The context of the kubeconfig, without it its current one.",
    ),
]


class RefusedUrl(str):
    """No datastore can be chosen; why is raised where it is opened, since not every call of a command needs one."""

    __slots__ = ("error",)
    error: Exception

    @classmethod
    def of(cls, error: Exception) -> RefusedUrl:
        refused = cls("")
        refused.error = error
        return refused


def _datastore(ctx: typer.Context, value: str) -> str:
    """Return the URL of the datastore: as given, else as calicoctl's settings have it."""
    if ctx.resilient_parsing:
        return value
    from felixctl.errors import CommandError

    try:
        return _chosen(ctx, value)
    except CommandError as error:
        return RefusedUrl.of(error)


def _chosen(ctx: typer.Context, value: str) -> str:
    """Raises CommandError: what is asked for can't be done."""
    import os

    from datastore.url import SqliteFile, parse_url
    from felixctl import calico_settings

    options = {name: ctx.meta[key] for name in SHARED if (key := f"felixctl.{name}") in ctx.meta}
    source: Any = ctx.get_parameter_source("url")
    if source is not None and source.name != "DEFAULT":
        if source.name == "ENVIRONMENT":
            calico_settings.overruled(value, os.environ)
        return calico_settings.with_options(value, options)
    if url := calico_settings.chosen(options, os.environ):
        return url
    if isinstance(usual := parse_url(value), SqliteFile) and usual.path:
        calico_settings.hint(os.environ, usual.path)
    return value


Url = Annotated[
    str,
    typer.Option(
        "--datastore",
        envvar="FELIX_DATASTORE",
        metavar="URL",
        callback=_datastore,
        help="The cluster's datastore, as the agents have it: [b]sqlite:///path/file.db[/b] or [b]kubernetes://[/b].",
    ),
]

DEFAULT_RUN_DIR = Path("/run/felix")
STATUS_SOCKET = "status.sock"
RunDir = Annotated[
    Path,
    typer.Option(
        "--run-dir",
        envvar="FELIX_RUN_DIR",
        metavar="DIR",
        help=f"Where the agent keeps its sockets; its status is read from [b]{STATUS_SOCKET}[/b] in there.",
    ),
]

AgentsNamespace = Annotated[
    str,
    typer.Option(
        "--agents-namespace",
        envvar="FELIX_AGENTSNAMESPACE",
        metavar="NAME",
        help="Where the agents' pods are, to ask those of other nodes.",
    ),
]
USUAL_NAMESPACE = "kube-system"
OtherNode = Annotated[
    str | None,
    typer.Option("--node", metavar="NODE", help="Ask the agent of this node, through the Kubernetes API."),
]


class OutputFormat(StrEnum):
    """How a command prints what it found: for people, or for programs."""

    TEXT = "text"
    JSON = "json"


Output = Annotated[OutputFormat, typer.Option("-o", "--output", help="How to print it.")]
