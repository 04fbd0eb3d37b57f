"""`felixctl why A B`: follow a packet from one end to the other and back, and name the first step that is broken.

An edge: it reads the datastore's records and the agents' traces, has explain.why judge them, and prints the result.
On Kubernetes the agents of all nodes are read through its API, in a lab (`felixctl lab why`) by the lab; elsewhere only
this node's. With one pod alone the command is that of felixctl/pod_addresses.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from datastore.defaults import DEFAULT_URL
from datastore.url import KubernetesApi
from explain.ends import End, Unclear, ends_of
from explain.facts import ClusterFacts
from explain.records import ClusterRecords
from explain.step import Command, Step, Verdict
from explain.why import explain
from felix_py.status.status_json import from_json
from felix_py.status_model import NodeTrace
from felixctl.cluster_records import read_cluster
from felixctl.connection import chosen, reading
from felixctl.errors import FAILED, MISUSED, CommandError
from felixctl.explanation import CommandLine, explained, step_record
from felixctl.host_settings import DEFAULT_RUN_DIR, USUAL_NAMESPACE
from felixctl.options import AgentsNamespace, Output, OutputFormat, RunDir, Url
from felixctl.pod_addresses import print_addresses
from felixctl.status_client import read_object, read_status
from felixctl.terminal import show

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

ReadPage = Callable[[str, str], Mapping[str, Any]]
"""Return a page of a node's agent, by node and page. Raises CommandError: it cannot be read, and why."""

One = Annotated[str, typer.Argument(metavar="A", help="A pod (namespace/name or name), a node, or an address.")]
Other = Annotated[str, typer.Argument(metavar="B", help="Where A's packets go.")]
OtherIfAny = Annotated[
    str | None, typer.Argument(metavar="B", help="Where A's packets go. Without it, A must be a pod.")
]


@app.command()
def why(
    one: One,
    other: OtherIfAny = None,
    output: Output = OutputFormat.TEXT,
    url: Url = DEFAULT_URL,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    agents_namespace: AgentsNamespace = USUAL_NAMESPACE,
) -> None:
    """Explain why two pods reach each other, or not; or of one pod, which pools its addresses come from.

    Follows a packet there and back: the datastore's records of both ends, then at each hop the route that its kernel
    would take, the source that put it there, the session it was learned over, routing rules, packet filters, devices,
    neighbours, forwarding and MTU. On Kubernetes it asks the agents of all nodes on the way, from wherever the API can
    be reached. Elsewhere it asks this node's agent; run the same command on the other nodes for their part.

    With one pod, which need not exist yet, it says what chooses its pools: its annotations, those of its Namespace, or
    the pools' selectors next to the labels that they are compared with.

    Exit status: 0 if nothing is found broken, 1 if something is.

    [dim]$[/dim] felixctl why web-0 db-0
    [dim]$[/dim] felixctl why default/web-0 10.65.2.66 -o json
    [dim]$[/dim] felixctl why shop/web-0  [dim]# why it has no address, or which it would get[/dim]
    """
    if other is None:
        print_addresses(one, url, output)
        return
    with ExitStack() as stack:
        here, read_page = _pages(url, run_dir, agents_namespace, f"run felixctl why {one} {other} there too", stack)

        def command_line(command: Command) -> str:
            return command.line if command.place in ("", here) else f"(in {command.place}) {command.line}"

        print_explanation(reading(url, read_cluster), one, other, read_page, command_line, output)


def _pages(url: str, run_dir: Path, namespace: str, instead: str, stack: ExitStack) -> tuple[str, ReadPage]:
    """Return the node this is, "" if it is none, and what reads the pages of nodes; `stack` ends that.

    This node's are read from its socket. instead: what can be done where no other can be asked.
    """
    if not isinstance(chosen(url), KubernetesApi):
        here = read_status(run_dir).node

        def others(node: str, page: str) -> Mapping[str, Any]:
            raise CommandError(f"its agent answers on {node} only; {instead}")
    else:
        from felixctl.agents import agents_of

        others = stack.enter_context(agents_of(url, namespace, instead)).read_page
        try:
            here = read_status(run_dir).node
        except CommandError:
            here = ""

    return here, lambda node, page: read_object(run_dir, page) if node == here else others(node, page)


def print_explanation(
    records: ClusterRecords,
    one: str,
    other: str,
    read_page: ReadPage,
    command_line: CommandLine,
    output: OutputFormat,
) -> None:
    """Read the traces, judge and print; end with 1 if something is broken."""
    try:
        ends = ends_of(records, one, other)
    except Unclear as error:
        raise CommandError(str(error), status=MISUSED) from None
    steps, judged = explain(facts_of(records, *ends, read_page), *ends)
    if output is OutputFormat.JSON:
        show(as_json(ends, steps, judged, command_line))
    else:
        show(*as_text(ends, steps, judged, command_line))
    if not judged.reachable:
        raise typer.Exit(FAILED)


def facts_of(records: ClusterRecords, one: End, other: End, read_page: ReadPage) -> ClusterFacts:
    """Read the traces of both ends' nodes, and of the nodes that their kernels send to."""
    traces: dict[str, NodeTrace] = {}
    unseen: dict[str, str] = {}
    pending = {one.node, other.node} - {""}
    while pending:
        node = pending.pop()
        try:
            traces[node] = from_json(NodeTrace, read_page(node, f"/trace?to={other.address}&from={one.address}"))
        except CommandError as error:
            unseen[node] = str(error)
        except ValueError:
            unseen[node] = "its agent sent no trace: it is starting, or of another version"
        else:
            routes = (route for route in traces[node].kernel.routes.values() if route)
            next_nodes = {next_node for route in routes if (next_node := records.node_of(route.gateway))}
            pending |= next_nodes - traces.keys() - unseen.keys()
    return ClusterFacts(records, traces, unseen)


def as_json(ends: tuple[End, End], steps: tuple[Step, ...], judged: Verdict, command_line: CommandLine) -> str:
    """Return the explanation for programs."""
    found = {
        **dict(zip(("from", "to"), map(_end, ends), strict=True)),
        "reachable": judged.reachable,
        "verdict": judged.sentence,
        "broken": judged.first and step_record(judged.first, command_line),
        "steps": [step_record(step, command_line) for step in steps],
    }
    return json.dumps(found, indent=2) + "\n"


def _end(end: End) -> dict[str, str]:
    return {"name": end.title, "address": end.address, "node": end.node}


def as_text(
    ends: tuple[End, End], steps: tuple[Step, ...], judged: Verdict, command_line: CommandLine
) -> Iterator[str]:
    """Yield the explanation for people: the steps, the verdict, and what to do about the first that is broken."""
    one, other = ends
    titles = {
        "records": "in the datastore",
        "there": f"there, {one.title} to {other.title}",
        "back": f"back, {other.title} to {one.title}",
    }
    yield from explained(titles, steps, judged, command_line)
