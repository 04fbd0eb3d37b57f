"""Options that several commands share. Every command imports it, so it imports nothing of ours."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Url = Annotated[
    str,
    typer.Option(
        "--datastore",
        envvar="FELIX_DATASTORE",
        metavar="URL",
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


class OutputFormat(StrEnum):
    """How a command prints what it found: for people, or for programs."""

    TEXT = "text"
    JSON = "json"


Output = Annotated[OutputFormat, typer.Option("-o", "--output", help="How to print it.")]
