"""Options that several commands share. Whoever parses a command line imports it, so it imports little of ours."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from felixctl.datastore_choice import GivenBy, chosen_url
from felixctl.host_settings import AGENTS_NAMESPACE, DATASTORE, RUN_DIR, STATUS_SOCKET

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
        help="calicoctl's configuration file, else [b]/etc/calico/calicoctl.cfg[/b], else its environment variables.",
    ),
]
Context = Annotated[
    str | None,
    typer.Option(
        "--context",
        metavar="NAME",
        callback=_remember,
        is_eager=True,
        help="The kubeconfig context to use, if not the current one.",
    ),
]


def _datastore(ctx: typer.Context, value: str) -> str:
    """Return the URL of the datastore: as given, else as calicoctl's settings have it."""
    if ctx.resilient_parsing:
        return value
    import os

    options = {name: ctx.meta[key] for name in SHARED if (key := f"felixctl.{name}") in ctx.meta}
    source: Any = ctx.get_parameter_source("url")
    given_by = GivenBy.OPTION if source is None else GivenBy.__members__.get(source.name, GivenBy.OPTION)
    return chosen_url(value, given_by, options, os.environ)


Url = Annotated[
    str,
    typer.Option(
        "--datastore",
        envvar=DATASTORE,
        metavar="URL",
        callback=_datastore,
        help="The cluster's datastore, as the agents have it: [b]sqlite:///path/file.db[/b] or [b]kubernetes://[/b].",
    ),
]

RunDir = Annotated[
    Path,
    typer.Option(
        "--run-dir",
        envvar=RUN_DIR,
        metavar="DIR",
        help=f"The folder of the agent's sockets; its status is read from [b]{STATUS_SOCKET}[/b].",
    ),
]

AgentsNamespace = Annotated[
    str,
    typer.Option(
        "--agents-namespace",
        envvar=AGENTS_NAMESPACE,
        metavar="NAME",
        help="The namespace of the agents' and the controller's pods.",
    ),
]
OtherNode = Annotated[
    str | None,
    typer.Option("--node", metavar="NODE", help="Ask the agent of this node, through the Kubernetes API."),
]


class OutputFormat(StrEnum):
    """How a command prints what it found: for people, or for programs."""

    TEXT = "text"
    JSON = "json"


Output = Annotated[OutputFormat, typer.Option("-o", "--output", help="How to print it.")]
