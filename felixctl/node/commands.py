"""`felixctl node`: this node's agent and its BGP sessions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from datastore.defaults import DEFAULT_URL
from felixctl.errors import FAILED, MISUSED, CommandError
from felixctl.host_settings import DEFAULT_RUN_DIR, USUAL_NAMESPACE
from felixctl.options import AgentsNamespace, OtherNode, Output, OutputFormat, RunDir, Url
from felixctl.terminal import console, show, shows_progress

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def node() -> None:
    """Show the state of this node.

    [dim]$[/dim] felixctl node status         [dim]# its BGP sessions[/dim]
    [dim]$[/dim] felixctl node checksystem    [dim]# before the first start: what does it lack?[/dim]
    [dim]$[/dim] felixctl node diags          [dim]# an archive for support[/dim]
    """


@app.command()
def status(
    node: OtherNode = None,
    all_nodes: Annotated[
        bool, typer.Option("--all", help="Ask the agents of all nodes, through the Kubernetes API.")
    ] = False,
    output: Output = OutputFormat.TEXT,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    url: Url = DEFAULT_URL,
    agents_namespace: AgentsNamespace = USUAL_NAMESPACE,
) -> None:
    """Show the agent of this node, or of others, and its BGP sessions: since when, and how many routes each way.

    Below the sessions it lists those held back and why, fields and settings that are not obeyed, and violated
    invariants. [b]-o json[/b] prints the agent's whole status; the routes are in [b]felixctl routes -o json[/b].

    With [b]--all[/b] it shows totals first, then the nodes that could not be asked and why, and whatever is wrong on
    the others.

    Does not need root. Exit status: 1 if an agent does not answer.

    [dim]$[/dim] felixctl node status
    [dim]$[/dim] felixctl node status --node n7   [dim]# of another node, through the Kubernetes API[/dim]
    [dim]$[/dim] felixctl node status --all       [dim]# what is wrong, and where[/dim]
    """
    if all_nodes:
        if node is not None:
            raise CommandError("node status: --all and --node NODE exclude each other", MISUSED)
        _print_all(output, url, agents_namespace)
        return
    from felixctl.node.print_status import own_status, print_status

    if node is None:
        found, where = own_status(run_dir)
    else:
        from felixctl.agents import agents_of

        with agents_of(url, agents_namespace, f"run felixctl node status on {node}") as agents:
            found, where = agents.read_page(node, "/status"), f"the status of {node}"
    if output is OutputFormat.JSON:
        from felixctl.resources.documents import to_json

        show(to_json(found))
        return
    print_status(found, where)


def _print_all(output: OutputFormat, url: str, namespace: str) -> None:
    """Print what the agents of all nodes say; end with 1 if some could not be asked."""
    from felix_py.status_model import NodeSummary
    from felixctl.agents import agents_of
    from felixctl.connection import reading
    from felixctl.node.all_nodes import AllNodes, as_json, report
    from felixctl.read_leader import read_leader
    from felixctl.status_client import value_of

    instead = "run felixctl node status on each node, or felixctl lab status for a lab"
    with agents_of(url, namespace, instead) as agents, _progress() as on_progress:
        answers = agents.read_all("/summary", on_progress)
    summaries, unasked = [], dict(answers.unasked)
    for name, page in answers.pages.items():
        try:
            summaries.append(value_of(NodeSummary, "its summary", page))
        except CommandError as error:
            unasked[name] = str(error)
    found = AllNodes(reading(url, lambda store: read_leader(store, namespace)), summaries, unasked)
    if output is OutputFormat.JSON:
        from felixctl.resources.documents import to_json

        show(to_json(as_json(found)))
    else:
        show(*report(found))
    if unasked:
        raise typer.Exit(FAILED)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Say on a terminal how many nodes have been asked."""
    if not shows_progress():
        yield lambda done, wanted: None
        return
    with console(stderr=True).status("asking which nodes there are") as line:
        yield lambda done, wanted: line.update(f"{done:,} of {wanted:,} nodes asked")


@app.command()
def checksystem(
    kernel_config: Annotated[
        Path | None,
        typer.Option(
            "--kernel-config", metavar="FILE", help="The kernel's configuration file, if it is not in the usual place."
        ),
    ] = None,
    conf_dir: Annotated[
        str,
        typer.Option(
            "--cni-conf-dir",
            envvar="FELIX_CNICONFDIR",
            metavar="DIR",
            help="Where the agent writes the network's configuration for the container runtime.",
        ),
    ] = "/etc/cni/net.d",
) -> None:
    """Check that this system has what felix-py needs, and show what each thing is needed for.

    The kernel, sysctls and programs; our CNI plugin, whether the container runtime takes our configuration, and whether
    a packet filter drops what pods send. Nothing is changed; without root the packet filters are not read. Ends with 1
    if something that every node needs is missing or wrong, but for what the agent sets itself.

    [dim]$[/dim] felixctl node checksystem
    """
    from felixctl.node import requirements
    from felixctl.node.read_system import read_system

    found = read_system(kernel_config, conf_dir=conf_dir)
    show(requirements.report(found))
    if any(finding.fails for finding in requirements.findings(found)):
        raise typer.Exit(FAILED)


@app.command()
def diags(
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="The archive to write; by default in this folder, named after host and time.",
        ),
    ] = None,
    logs: Annotated[list[Path] | None, typer.Option("--log", metavar="FILE", help="A log file to include.")] = None,
    log_dir: Annotated[
        list[Path] | None,
        typer.Option("--log-dir", metavar="DIR", help="A folder of log files to include, as for calicoctl."),
    ] = None,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    url: Url = DEFAULT_URL,
) -> None:
    """Collect a support bundle for this node.

    The agent's status and metrics, links, routes and counters of the kernel, logs, and the datastore's records.
    Passwords, tokens and keys are left out. What can't be read is listed; without root that is more.

    [dim]$[/dim] felixctl node diags -o n1.tar.gz
    """
    from felixctl.node.diags import collect, logs_in, summary, usual_name, write

    path = output or Path(usual_name(time.time()))
    archive = collect(run_dir, url, (*(logs or ()), *(path for folder in log_dir or () for path in logs_in(folder))))
    write(archive, path)
    show(summary(archive, path))
