"""Arguments and options that the commands on resources share."""

from __future__ import annotations

from typing import Annotated

import typer

from felixctl.completion import complete_kinds, complete_names
from felixctl.errors import CommandError
from felixctl.resources import kinds
from felixctl.resources.kinds import Noun

Kind = Annotated[
    str,
    typer.Argument(
        metavar="KIND",
        help="The kind of resource: nodes, ippools, bgppeers, workloadendpoints …",
        show_default=False,
        autocompletion=complete_kinds,
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", autocompletion=complete_names)]
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Only these resources; by default all.", autocompletion=complete_names),
]
Files = Annotated[
    list[str] | None,
    typer.Option(
        "-f",
        "--filename",
        metavar="FILE",
        help="YAML or JSON: one resource, several documents, or lists. [b]-[/b] is the standard input;"
        " a folder stands for the .yaml, .yml and .json files in it.",
        show_default=False,
    ),
]
Recursive = Annotated[bool, typer.Option("-R", "--recursive", help="Include subfolders.")]
SkipEmpty = Annotated[bool, typer.Option("--skip-empty", help="Accept files and folders that contain no resource.")]
SkipUnsupported = Annotated[
    bool,
    typer.Option(
        "--skip-unsupported",
        help="Skip and list documents of unsupported kinds and of kinds that only IPAM writes.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check, and print what would be written.")]
Namespace = Annotated[
    str | None, typer.Option("-n", "--namespace", help="The namespace of namespaced kinds; else [b]default[/b].")
]
AllNamespaces = Annotated[bool, typer.Option("-A", "-a", "--all-namespaces", help="All namespaces at once.")]


def noun_named(word: str) -> Noun:
    """Return the kind that a command line names. Raises CommandError."""
    try:
        return kinds.noun(word)
    except kinds.UnknownKindError as error:
        raise CommandError(str(error)) from None
