"""The commands as typer knows them. Each noun or verb has its module, imported only when it is called for."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from felixctl.command_line import VERSION_OPTION
from felixctl.help_text import unwrapped
from felixctl.options import Config, Context

WRITING_VERBS = dict.fromkeys(("apply", "create", "replace", "delete", "patch", "label"), "resources.write")
MODULES = {
    "get": "resources.get",
    **WRITING_VERBS,
    "node": "node.commands",
    "routes": "routes",
    "why": "why",
    "ipam": "ipam.commands",
    "datastore": "datastore.commands",
    "lab": "lab",
    "version": "version",
}


class Commands(TyperGroup):
    """The commands by name; the module of a command is imported when it is called for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in MODULES:
            return None
        command = _command_of(MODULES[cmd_name])
        if cmd_name in WRITING_VERBS:
            return command.commands[cmd_name]
        command.name = cmd_name  # a command made apart from its parent has none
        return command


@cache
def _command_of(module: str) -> Any:
    """Return the command of a module. Typer makes it from signatures, which takes longer than most commands do."""
    command: Any = typer.main.get_command(import_module(f"felixctl.{module}").app)
    _add_shared_options(command)
    _unwrap_help(command)
    return command


def _unwrap_help(command: Any) -> None:
    for child in getattr(command, "commands", {}).values():
        _unwrap_help(child)
    command.help = unwrapped(command.help or "")


def _add_shared_options(command: Any) -> None:
    """Let every command that has a datastore have the options by which calicoctl's users name it."""
    for child in getattr(command, "commands", {}).values():
        _add_shared_options(child)
    if any(param.name == "url" for param in command.params):
        shared = typer.Typer(add_completion=False)
        shared.command()(_shared_options)
        options = typer.main.get_command(shared).params
        for option in options:
            option.expose_value = False
        command.params.extend(options)


def _shared_options(config: Config = None, context: Context = None) -> None: ...


app = typer.Typer(
    cls=Commands,
    name="felixctl",
    rich_markup_mode="rich",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="[dim]Exit status: 0 done; 1 not done, or a check found something wrong; 2 misused.[/dim]",
)


@app.callback()
def felixctl(
    allow_version_mismatch: Annotated[
        bool,
        typer.Option(
            VERSION_OPTION, hidden=True, help="Accepted for scripts written for calicoctl; versions may always differ."
        ),
    ] = False,
    config: Config = None,
    context: Context = None,
) -> None:
    """Inspect and change a felix-py cluster.

    Resources are written and printed as calicoctl does. Each command explains itself: [b]felixctl get --help[/b].

    [dim]$[/dim] felixctl lab up                  [dim]# a whole cluster on this machine[/dim]
    [dim]$[/dim] felixctl node status             [dim]# this node's BGP sessions[/dim]
    [dim]$[/dim] felixctl node status --all       [dim]# of all nodes, through the Kubernetes API[/dim]
    [dim]$[/dim] felixctl routes                  [dim]# its routes, and the source of each[/dim]
    [dim]$[/dim] felixctl why web-0 db-0          [dim]# why they reach each other, or not[/dim]
    [dim]$[/dim] felixctl ipam show --show-blocks [dim]# how many addresses are in use[/dim]
    """
