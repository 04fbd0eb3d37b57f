"""`felixctl why A B`: follow a packet from one end to the other and back, and name the first step that is broken.

`felixctl why POD`: which pools a pod gets its addresses from, and what decides that.

An edge: it reads the datastore's records and the agents' traces, has explain.why judge them, and prints the result.
On Kubernetes the agents of all nodes are read through its API, in a lab (`felixctl lab why`) by the lab; elsewhere only
this node's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec.structs import asdict

from datastore.cas import found_or_none
from datastore.defaults import DEFAULT_NAMESPACE, DEFAULT_URL
from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.namespace import Namespace
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.store import Store
from datastore.url import KubernetesApi, has_namespaces
from explain.ends import End, Unclear, ends_of, pods_named
from explain.facts import ClusterFacts
from explain.pools import AddressFacts, about_addresses, used_addresses
from explain.records import ClusterRecords, PodRecord, cluster_records
from explain.step import Command, Step, StepState, Verdict
from explain.why import explain
from felix_py.status.status_json import from_json
from felix_py.status_model import NodeTrace
from felixctl.connection import chosen, reading
from felixctl.errors import FAILED, MISUSED, CommandError
from felixctl.host_settings import DEFAULT_RUN_DIR, USUAL_NAMESPACE
from felixctl.options import AgentsNamespace, Output, OutputFormat, RunDir, Url
from felixctl.status_client import read_object, read_status
from felixctl.terminal import Colour, painted, show
from net.printable import one_line

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

ReadPage = Callable[[str, str], Mapping[str, Any]]
"""Return a page of a node's agent, by node and page. Raises CommandError: it cannot be read, and why."""
CommandLine = Callable[[Command], str]
"""Return a command as it is typed on the machine where felixctl runs."""

One = Annotated[str, typer.Argument(metavar="A", help="A pod (namespace/name or name), a node, or an address.")]
Other = Annotated[str, typer.Argument(metavar="B", help="The other one.")]
OtherIfAny = Annotated[str | None, typer.Argument(metavar="[B]", help="The other one. Without it, A is a pod.")]

_MARKS = {
    StepState.OK: ("✓", Colour.GOOD),
    StepState.DOUBTFUL: ("!", Colour.DOUBTFUL),
    StepState.BROKEN: ("✗", Colour.BAD),
    StepState.UNSEEN: ("?", None),
}


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
    neighbours, forwarding and MTU. On Kubernetes the agents of all nodes on the way are asked, from wherever the API
    can be reached; elsewhere only this node's, and the same command on the others shows their part.

    Of one pod alone, there or yet to come, it says what chooses its pools: its annotations, those of its Namespace, or
    the pools' selectors, each beside the labels that it is compared with.

    Ends with 0 if nothing that can be seen is broken, with 1 if something is.

    [dim]$[/dim] felixctl why web-0 db-0
    [dim]$[/dim] felixctl why default/web-0 10.65.2.66 -o json
    [dim]$[/dim] felixctl why shop/web-0  [dim]# why it has no address, or which it would get[/dim]
    """
    if other is None:
        _print_addresses(one, url, output)
        return
    with ExitStack() as stack:
        here, read_page = _pages(url, run_dir, agents_namespace, f"run felixctl why {one} {other} there too", stack)

        def command_line(command: Command) -> str:
            return command.line if command.place in ("", here) else f"(in {command.place}) {command.line}"

        print_explanation(reading(url, read_records), one, other, read_page, command_line, output)


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


async def read_records(store: Store) -> ClusterRecords:
    """Return the records of who is where."""
    return cluster_records(
        (await store.list(WorkloadEndpoint)).objects,
        (await store.list(IPAMBlock)).objects,
        (await store.list(BlockAffinity)).objects,
        (await store.list(IPPool)).objects,
        (await store.list(Node)).objects,
        (await store.list(BGPConfiguration)).objects,
    )


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


def _print_addresses(asked: str, url: str, output: OutputFormat) -> None:
    """Print where the addresses of a pod come from; end with 1 if it gets none."""
    try:
        pod, facts = reading(url, lambda store: _read_pod(store, asked, namespaces=has_namespaces(url)))
    except Unclear as error:
        raise CommandError(str(error), status=MISUSED) from None
    steps = about_addresses(facts, pod)
    first = next((step for step in steps if step.state is StepState.BROKEN), None)
    last = next((step for step in reversed(steps) if step.where == pod.title), steps[-1])
    sentence = f"{(first or last).where}: {(first or last).text}" + (
        f"; {first.effect}" if first and first.effect else ""
    )
    judged = Verdict(first is None, sentence, first)
    if output is OutputFormat.JSON:
        found = {
            "pod": {"name": pod.title, "node": pod.node, "addresses": pod.addresses},
            "assignable": judged.reachable,
            "verdict": judged.sentence,
            "broken": first and _step(first, _typed),
            "steps": [_step(step, _typed) for step in steps],
        }
        show(json.dumps(found, indent=2) + "\n")
    else:
        show(*_text({"records": "in the datastore"}, steps, judged, _typed))
    if first:
        raise typer.Exit(FAILED)


def _typed(command: Command) -> str:
    return command.line


async def _read_pod(store: Store, asked: str, *, namespaces: bool) -> tuple[PodRecord, AddressFacts]:
    """Return a pod, or one of this name that is yet to come, and what its addresses depend on. Raises Unclear."""
    records = await read_records(store)
    if ":" in asked or asked.replace(".", "").isdecimal() or asked in records.nodes:
        raise Unclear(f"why {asked}: of a node or an address, name the other end, too")
    namespace, slash, name = asked.rpartition("/")
    if not name or "/" in namespace or (slash and not namespace):
        raise Unclear(f"why {asked or repr(asked)}: a pod is NAMESPACE/NAME or NAME")
    found = pods_named(records, asked) or [PodRecord(namespace or DEFAULT_NAMESPACE, name, "", "", ())]
    pod = found[0]
    node = await found_or_none(store.get(Node, pod.node)) if pod.node else None
    cluster = await found_or_none(store.get(ClusterInformation, "default"))
    facts = AddressFacts(
        pools=(await store.list(IPPool)).objects,
        used=used_addresses(records),
        node_labels=node.labels if node else {},
        namespace=await found_or_none(store.get(Namespace, pod.namespace)) if namespaces else None,
        has_namespaces=namespaces,
        ready=cluster.spec.datastore_ready if cluster else None,
        assigned={text: one for block in records.blocks for text, one in block.assigned.items()},
    )
    return pod, facts


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
        "broken": judged.first and _step(judged.first, command_line),
        "steps": [_step(step, command_line) for step in steps],
    }
    return json.dumps(found, indent=2) + "\n"


def _end(end: End) -> dict[str, str]:
    return {"name": end.title, "address": end.address, "node": end.node}


def _step(step: Step, command_line: CommandLine) -> dict[str, Any]:
    inspect, repair = (command and command_line(command) for command in (step.inspect, step.repair))
    return {**asdict(step), "inspect": inspect, "repair": repair}


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
    yield from _text(titles, steps, judged, command_line)


def _text(
    titles: Mapping[str, str], steps: Sequence[Step], judged: Verdict, command_line: CommandLine
) -> Iterator[str]:
    width = max((len(one_line(step.where)) for step in steps), default=0)
    for direction, title in titles.items():
        part = [step for step in steps if step.direction == direction]
        if part:
            yield one_line(title) + "\n"
            for step in part:
                yield from _line(step, width)
    mark, colour = _MARKS[StepState.OK if judged.reachable else StepState.BROKEN]
    yield "\n"
    yield painted(one_line(f"{mark} {judged.sentence}"), colour)
    yield "\n"
    if judged.first:
        yield from _commands(judged.first, command_line)


def _line(step: Step, width: int) -> Iterator[str]:
    mark, colour = _MARKS[step.state]
    yield "  "
    yield painted(mark, colour)
    yield f" {one_line(step.where).ljust(width)}  {one_line(step.text)}\n"


def _commands(step: Step, command_line: CommandLine) -> Iterator[str]:
    if step.inspect:
        yield one_line(f"  see it:    {command_line(step.inspect)}") + "\n"
    if step.repair:
        yield one_line(f"  repair it: {command_line(step.repair)}") + "\n"
