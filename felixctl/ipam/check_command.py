"""`felixctl ipam check`: the command line of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from datastore.defaults import DEFAULT_URL
from felixctl.errors import FAILED, MISUSED, CommandError
from felixctl.host_settings import DEFAULT_RUN_DIR, USUAL_NAMESPACE
from felixctl.options import AgentsNamespace, RunDir, Url


def check(
    show_all_ips: Annotated[
        bool, typer.Option("--show-all-ips", help="List each address with its handle and its user.")
    ] = False,
    show_problem_ips: Annotated[
        bool,
        typer.Option(
            "--show-problem-ips", help="Accepted for scripts written for calicoctl; problems are always listed."
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write a report for [b]ipam release --from-report[/b]."),
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Show what can be repaired safely, ask, and repair it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --fix: do not ask for confirmation.")] = False,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    url: Url = DEFAULT_URL,
    agents_namespace: AgentsNamespace = USUAL_NAMESPACE,
) -> None:
    """Compare IPAM's records with what pods and nodes really use, and explain how differences came about.

    Differences are checked again a second later, since pods start and end meanwhile. Exit status: 1 if problems are
    found; with [b]--fix[/b], if any are left.

    [b]--fix[/b] repairs only what cannot take an address from a pod, each step by compare-and-swap. Addresses assigned
    within the last five minutes are left alone. Endpoints of a node that was removed are deleted with all that they
    hold, and so are those on this machine's node whose device is gone according to its agent and the kernel.

    [dim]$[/dim] felixctl ipam check && echo all well
    [dim]$[/dim] felixctl ipam check --fix
    [dim]$[/dim] felixctl ipam check -o leaks.json
    """
    from felixctl.ipam.check import checks_out

    if yes and not fix:
        raise CommandError("ipam check: --yes is for --fix", MISUSED)
    if not checks_out(
        url,
        run_dir,
        agents_namespace=agents_namespace,
        all_addresses=show_all_ips,
        output=output,
        fix=fix,
        ask=not yes,
    ):
        raise typer.Exit(FAILED)
