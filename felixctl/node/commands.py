"""`felixctl node`: this node's agent and its BGP sessions."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from datastore.defaults import DEFAULT_URL
from felix_py.status_model import AgentStatus, InvariantReport, SessionStatus
from felixctl.errors import FAILED
from felixctl.options import DEFAULT_RUN_DIR, Output, OutputFormat, RunDir, Url
from felixctl.status_client import read_object, read_status
from felixctl.tables import bordered
from felixctl.terminal import Colour, painted, show

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode="rich")

HEADING = (
    "Peer address",
    "Peer type",
    "State",
    "Since",
    "Info",
    "Learned",
    "Announced",
    "Refused",
)
DAY_SECONDS = 24 * 3600

_KINDS = {"mesh": "node-to-node mesh", "node": "node specific", "global": "global"}


@app.callback()
def node() -> None:
    """See how this node is doing.

    [dim]$[/dim] felixctl node status         [dim]# its BGP sessions[/dim]
    [dim]$[/dim] felixctl node checksystem    [dim]# before the first start: has it what it needs?[/dim]
    [dim]$[/dim] felixctl node diags          [dim]# when somebody else is to look at it[/dim]
    """


@app.command()
def status(
    output: Output = OutputFormat.TEXT,
    run_dir: RunDir = DEFAULT_RUN_DIR,
) -> None:
    """Show this node's agent and its BGP sessions: since when, and how many routes each way.

    Root is not needed. Ends with 1 if no agent answers. [b]-o json[/b] prints all the agent says of itself:
    node, peers, how many routes of each source, invariants; the routes are in [b]felixctl routes -o json[/b].

    [dim]$[/dim] felixctl node status
    """
    if output is OutputFormat.JSON:
        from felixctl.resources.documents import to_json

        show(to_json(read_object(run_dir, "/status")))
        return
    show(report(read_status(run_dir), now=time.time()))


@app.command()
def checksystem(
    kernel_config: Annotated[
        Path | None,
        typer.Option("--kernel-config", metavar="FILE", help="The kernel's configuration, if it is somewhere else."),
    ] = None,
) -> None:
    """Check that this system has what felix-py needs, and say what each thing is needed for.

    Nothing is changed and root is not needed. Ends with 1 if something is missing that every node needs.

    [dim]$[/dim] felixctl node checksystem
    """
    from felixctl.node import requirements
    from felixctl.node.read_system import read_system

    found = read_system(kernel_config)
    show(requirements.report(found))
    if any(finding.fails for finding in requirements.findings(found)):
        raise typer.Exit(FAILED)


@app.command()
def diags(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Where to; else named by host and time, here.")
    ] = None,
    logs: Annotated[
        list[Path] | None, typer.Option("--log", metavar="FILE", help="A log file that is not found by itself.")
    ] = None,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    url: Url = DEFAULT_URL,
) -> None:
    """Collect what somebody needs who is to help with this node, in one archive.

    The agent's status and metrics, links, routes and counters of the kernel, logs, and the datastore's records.
    Passwords and tokens are left out. What can't be read is listed; without root that is more.

    [dim]$[/dim] felixctl node diags -o n1.tar.gz
    """
    from felixctl.node.diags import collect, summary, usual_name, write

    path = output or Path(usual_name(time.time()))
    archive = collect(run_dir, url, logs or ())
    write(archive, path)
    show(summary(archive, path))


def report(status: AgentStatus, now: float) -> str:
    """Return the whole of `node status`: the agent in a sentence, a table for each family, notices, invariants."""
    peers = sorted(status.peers, key=lambda peer: peer.address)  # as text, as Calico lists them
    families = {4: [p for p in peers if ":" not in p.address], 6: [p for p in peers if ":" in p.address]}
    tables = (_family(version, found, now) for version, found in families.items())
    return f"{_about_agent(status)}\n{''.join(tables)}{_about_notices(status)}{_about_invariants(status.invariants)}"


def _about_agent(status: AgentStatus) -> str:
    speaks = f", AS {status.as_number}" if status.as_number else ""
    running = f"felix-py {status.version}".strip() + f" is running on {status.node}{speaks}."
    if not status.ready:
        running += "\n" + painted("It is not ready yet: no pod can be attached.", Colour.DOUBTFUL)
    problem = status.sidecar.problem
    if not status.sidecar.connected:
        running += "\n" + painted(f"Its BGP sidecar is away: {problem or 'it does not answer'}.", Colour.BAD)
    elif problem:
        running += "\n" + painted(f"Its BGP sidecar says: {problem}.", Colour.BAD)
    return running + "\n"


def _family(version: int, peers: list[SessionStatus], now: float) -> str:
    title = f"IPv{version} BGP status\n"
    if not peers:
        return f"{title}No IPv{version} peers found.\n\n"
    table = bordered(HEADING, (_row(peer, now) for peer in peers))
    return title + "".join(_coloured(table.splitlines(), peers)) + "\n"


def _coloured(lines: list[str], peers: Iterable[SessionStatus]) -> Iterable[str]:
    """Yield the table's lines, each session's in green or red: rows start behind rule, heading and rule."""
    colours = {3 + index: Colour.GOOD if peer.is_up else Colour.BAD for index, peer in enumerate(peers)}
    return (painted(line, colours.get(number)) + "\n" for number, line in enumerate(lines))


def _row(peer: SessionStatus, now: float) -> tuple[str, ...]:
    return (
        peer.address,
        _KINDS.get(peer.kind, peer.kind),
        peer.state,
        since(peer.since, now),
        f"{peer.info}; {peer.stale} routes stale" if peer.stale else peer.info,
        str(peer.learned),
        str(peer.announced),
        str(sum(peer.refused.values())),
    )


def since(moment: float | None, now: float) -> str:
    """Return the local time of day of a moment within the last day, and the date of an earlier one."""
    if moment is None:
        return ""
    return datetime.fromtimestamp(moment).strftime("%H:%M:%S" if now - moment < DAY_SECONDS else "%Y-%m-%d")  # noqa: DTZ006


def _about_notices(status: AgentStatus) -> str:
    """Return a line for each thing that was written and is not obeyed, under a heading."""
    lines = [painted(f"  {notice}", Colour.DOUBTFUL) for notice in status.notices]
    return "\n".join(["Accepted and not obeyed:", *lines, "", ""]) if lines else ""


def _about_invariants(report: InvariantReport) -> str:
    if report.violated:
        lines = [f"Violated: invariant {violation.number}, {violation.text}" for violation in report.violated]
        return painted("\n".join(lines), Colour.BAD) + "\n"
    return painted(f"{report.checked} invariants hold.", Colour.GOOD) + "\n" if report.checked else ""
