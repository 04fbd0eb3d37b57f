"""`felixctl lab`: a whole cluster on this machine, in namespaces of its own. No root needed, nothing left behind."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec.structs import replace

from felixctl import terminal
from felixctl.errors import FAILED, CommandError
from felixctl.options import Output, OutputFormat
from lab.timescale import GIVE_UP_SECONDS

if TYPE_CHECKING:
    from rich.console import Console

    from explain.step import Command
    from lab.host import RunningLab
    from lab.progress import OnProgress

app = typer.Typer(
    help="A whole cluster on this machine, in namespaces of its own.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
)
pods = typer.Typer(help="Attach and detach pods of a lab that is up.", no_args_is_help=True)
app.add_typer(pods, name="pod")

SpecFile = Annotated[Path, typer.Argument(help="The lab's YAML file, as in examples/.")]
Lab = Annotated[str | None, typer.Option("--lab", help="The lab to use, if several are up.")]
GiveUp = Annotated[float, typer.Option("--give-up", help="Stop waiting after so many seconds, and report.")]
Ipip = Annotated[str | None, typer.Option("--ipip", help="ipipMode of all IPv4 pools: Always, CrossSubnet or Never.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the numbers of the run to this file.")]
Svg = Annotated[Path | None, typer.Option("--svg", help="Write the report as an SVG drawing to this file.")]

PAGE_WIDTH = 110


@app.callback()
def lab() -> None:
    """A whole cluster on this machine: real agents, real BGP, real pods, in private namespaces."""


@app.command()
def run(
    spec: SpecFile,
    give_up: GiveUp = GIVE_UP_SECONDS,
    ipip: Ipip = None,
    json_file: Json = None,
    svg: Svg = None,
) -> None:
    """Bring a lab up, prove that every pod reaches every other, report, and end it.

    Ends with 1 if a session, a ping or an invariant failed, or anything was left behind.

    [dim]$[/dim] felixctl lab run examples/three-nodes.yaml
    """
    from lab.host import start
    from lab.leftovers import final_leftovers, held_namespaces, listing
    from lab.report import drawing, show
    from lab.verdict import faults, run_numbers

    began, before = time.monotonic(), listing()
    with ExitStack() as held:
        with _lab_errors(), _progress() as on_progress:
            running, state = start(spec, on_progress, stays=False, give_up_seconds=give_up, ipip=ipip)
            own = held.enter_context(held_namespaces(running.init_pid))
            running.end()
        state = replace(state, seconds={**state.seconds, "total": round(time.monotonic() - began, 3)})
        leftovers = final_leftovers(before, own)
    console = _console(record=svg is not None)
    show(console, state, leftovers)
    if json_file:
        _write(json_file, json.dumps(run_numbers(state, leftovers)) + "\n")
    if svg:
        _write(svg, drawing(console, f"felixctl lab run {spec}"))
    if faults(state, leftovers):
        raise typer.Exit(FAILED)


@app.command(name="list")
def list_examples() -> None:
    """List the example labs that come with the project, and what each one shows.

    [dim]$[/dim] felixctl lab list
    """
    from felixctl.tables import plain
    from lab.examples import examples

    with _lab_errors():
        rows = [(each.file, str(len(each.spec.nodes)), str(each.spec.pods), each.shows) for each in examples()]
    terminal.show(plain(("FILE", "NODES", "PODS", "SHOWS"), rows))


@app.command()
def up(spec: SpecFile, give_up: GiveUp = GIVE_UP_SECONDS, ipip: Ipip = None) -> None:
    """Bring a lab up and leave it running for the other verbs. Ends with 1 if anything of it failed.

    [dim]$[/dim] felixctl lab up examples/three-nodes.yaml && felixctl lab exec n1 -- ip route
    """
    from lab.host import start
    from lab.report import show
    from lab.verdict import faults

    with _lab_errors(), _progress() as on_progress:
        _, state = start(spec, on_progress, stays=True, give_up_seconds=give_up, ipip=ipip)
    show(_console(), state)
    if found := faults(state, []):
        raise CommandError([*found, f"lab {state.name} stays up for inspection, until felixctl lab down"])


@app.command()
def down(name: Annotated[str | None, typer.Argument(help="The same as --lab.")] = None, lab: Lab = None) -> None:
    """End a lab by killing its first process; the kernel removes the rest."""
    if name and lab and name != lab:
        raise CommandError(f"{name} and --lab {lab} are two labs: give one of them; nothing was ended")
    with _lab_errors():
        running = _find(lab or name)
        running.end()
    terminal.show(f"lab {running.name} has ended\n")


@app.command()
def status(lab: Lab = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Report on a lab that is up, as it is now."""
    from felix_py.status.status_json import from_json
    from lab.report import show
    from lab.state_model import LabState

    report = _request(lab, {"verb": "status"})
    if as_json:
        terminal.show(json.dumps(report) + "\n")
    else:
        show(_console(), from_json(LabState, report))


@app.command(name="exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def execute(
    place: Annotated[str, typer.Argument(help="A node, a peer or a pod.", metavar="NODE")],
    command: Annotated[list[str], typer.Argument(help="What to run there, after --.")],
    lab: Lab = None,
) -> None:
    """Run a command in a node, peer or pod, and end with its exit status.

    [dim]$[/dim] felixctl lab exec n1 -- ip route show proto 81
    """
    from lab.host import execute

    with _lab_errors():
        raise typer.Exit(execute(_find(lab), place, command[1:] if command[0] == "--" else command))


@app.command()
def kill(
    node: Annotated[str, typer.Argument(help="A node or a peer.")],
    what: Annotated[str, typer.Argument(help="agent, sidecar or exabgp; bird, frr or gobgp on a peer.")] = "agent",
    lab: Lab = None,
) -> None:
    """Kill -9 one program of a node. It is started again; running pods are not affected."""
    _request(lab, {"verb": "kill", "node": node, "what": what})
    terminal.show(f"killed {what} on {node}; it is started again\n")


@app.command()
def why(
    one: Annotated[str, typer.Argument(metavar="A", help="A pod (namespace/name or name), a node, or an address.")],
    other: Annotated[str, typer.Argument(metavar="B", help="Where A's packets go.")],
    output: Output = OutputFormat.TEXT,
    lab: Lab = None,
) -> None:
    """Explain why two pods reach each other, or which step is the first that is broken, on all nodes.

    Exit status: 0 if nothing is found broken, 1 if something is.

    [dim]$[/dim] felixctl lab exec n2 -- sysctl -w net.ipv4.ip_forward=0; felixctl lab why n1-1 n2-1
    """
    from felixctl.cluster_records import read_cluster
    from felixctl.connection import reading
    from felixctl.why import print_explanation
    from lab.host import HostError, ask_within
    from lab.paths import DATASTORE

    def read_page(node: str, page: str) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = ask_within({"verb": "page", "node": node, "page": page})
        except HostError as error:
            raise CommandError(str(error)) from None
        if not found:
            raise CommandError("its agent does not answer")
        return found

    with _lab_errors():
        _find(lab).enter()
    records = reading(DATASTORE, read_cluster)
    inside = f"felixctl lab exec{f' --lab {lab}' if lab else ''}"
    anywhere = next(iter(sorted(records.nodes)), "NODE")

    def command_line(command: Command) -> str:
        return f"{inside} {command.place or anywhere} -- {command.line}"

    print_explanation(records, one, other, read_page, command_line, output)


@pods.command(name="add")
def add_pod(node: str, pod: str, lab: Lab = None) -> None:
    """Attach a pod on a node."""
    added = _request(lab, {"verb": "pod add", "node": node, "pod": pod})
    terminal.show(f"pod {added['name']} on {added['node']} has {', '.join(added['addresses'])}\n")


@pods.command(name="del")
def delete_pod(pod: str, lab: Lab = None) -> None:
    """Detach a pod and end it."""
    _request(lab, {"verb": "pod del", "pod": pod})
    terminal.show(f"pod {pod} is removed\n")


def _request(name: str | None, request: Mapping[str, Any]) -> Any:
    with _lab_errors():
        return _find(name).ask(request)


def _find(name: str | None) -> RunningLab:
    from lab.host import find

    return find(name)


@contextmanager
def _lab_errors() -> Iterator[None]:
    """Turn the lab's errors into CommandError."""
    from lab.host import HostError
    from lab.namespaces import NamespaceError
    from lab.spec import SpecError

    try:
        yield
    except (HostError, NamespaceError, SpecError) as error:
        raise CommandError(str(error)) from None
    except PermissionError as error:
        raise CommandError(f"enter the lab: {error.strerror}; it belongs to another user") from None


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """Show the lab's progress: on a terminal in one line that changes, elsewhere a line each."""
    console = terminal.console(stderr=True)
    began = time.monotonic()

    def line_of(what: str, done: int, wanted: int) -> str:
        count = f"{done}/{wanted} " if wanted else ""
        return f"{time.monotonic() - began:5.1f} s  {count}{what}"

    if not console.is_terminal:
        yield lambda what, done, wanted: terminal.warn(line_of(what, done, wanted) + "\n")
        return
    with console.status("starting the lab") as line:

        def on_progress(what: str, done: int, wanted: int) -> None:
            if done >= wanted:
                mark = "[green]✓[/green]" if wanted else "[red]✗[/red]"
                console.print(f"{mark} {line_of(what, done, wanted)}", highlight=False)
            else:
                line.update(line_of(what, done, wanted))

        yield on_progress


def _console(record: bool = False) -> Console:
    console = terminal.console(record=record)
    if record or not console.is_terminal:
        console.width = PAGE_WIDTH
    return console


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise CommandError(f"write {path}: {error.strerror}; the report above was not written") from None
