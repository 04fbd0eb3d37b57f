"""What a lab run showed, as a page for a person.

An edge: it prints on a console.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from felix_py.status_model import RouteStatus
from lab.state_model import LabState, NodeState, PodState
from lab.verdict import attributable, faults

# A wider ping matrix is hard to read: its rows are summed up instead.
WIDEST_MATRIX = 14
# Of one node: how many pods, and how many routes that one source wants, are shown one by one.
LONGEST = 24
_COLOURS = {"pods": "green", "tunnels": "magenta", "static": "blue", "learned": "cyan", "blocks": "yellow"}
_SOURCES = {
    "pods": "a pod of this node",
    "tunnels": "a tunnel",
    "static": "a peer, by its reachableBy",
    "learned": "learned by BGP",
    "blocks": "own block: unused addresses",
}


def show(console: Console, state: LabState, leftovers: Sequence[str] | None = None, kind: str = "lab") -> None:
    """Print the page. With what a run that has ended left behind, it closes with the verdict."""
    console.print()
    console.print(Panel.fit(_headline(state, kind), border_style="blue", padding=(0, 2)))
    console.print(_nodes(state))
    if state.refused.pods:
        console.print(_refused(state))
    if any(node.peers for node in state.nodes):
        console.print(_sessions(state))
    for node in state.nodes:
        console.print(_routes(node))
    if state.matrix:
        console.print(_matrix(state))
    console.print(_closing(state, leftovers))


def _headline(state: LabState, kind: str) -> Text:
    sessions, pings = state.sessions, state.pings
    line = Text.assemble((f"{kind} ", "dim"), (state.name, "bold"), f"  {len(state.nodes)} nodes")
    line.append(f" · {len(state.pods)} pods")
    line.append(" · ").append(
        f"{sessions.established}/{sessions.expected} sessions",
        _good(sessions.established == sessions.expected),
    )
    line.append(" · ").append(f"{pings.sent - pings.lost}/{pings.sent} pings", _good(not pings.lost))
    return line


def _nodes(state: LabState) -> Table:
    table = _table("nodes", "node", "address", "AS", "own blocks", "pods")
    for node in state.nodes:
        pods = [pod for pod in state.pods if pod.node == node.name]
        table.add_row(
            Text(node.name, "bold" if node.ready else "bold red"),
            "\n".join(node.addresses),
            str(node.as_number or "–"),
            "\n".join(node.blocks) or "–",
            "\n".join(_pod_lines(pods)) or "–",
        )
    return table


def _pod_lines(pods: Sequence[PodState]) -> list[str]:
    lines = [f"{pod.name}  {', '.join(pod.addresses)}" for pod in pods[:LONGEST]]
    return [*lines, f"and {len(pods) - LONGEST} more"] if len(pods) > LONGEST else lines


def _refused(state: LabState) -> Table:
    table = _table("pods refused, as expected", "pod", "node", "code", "error")
    for pod in state.refused.pods:
        table.add_row(Text(pod.name, "bold"), pod.node, str(pod.code), pod.error)
    return table


def _sessions(state: LabState) -> Table:
    table = _table("sessions", "node", "peer", "kind", "state", "since", "learned", "announced")
    now = time.time()
    for node in state.nodes:
        for peer in node.peers:
            table.add_row(
                node.name,
                peer.address,
                peer.kind,
                Text(peer.info or peer.state, _good(peer.is_up)),
                f"{max(0.0, now - peer.since):.1f} s" if peer.is_up and peer.since else "–",
                str(peer.learned),
                str(peer.announced),
            )
    return table


def _routes(node: NodeState) -> Table:
    table = _table(f"routes of {node.name}", "kernel route", "wanted by")
    best = [route for route in node.routes if route.best]
    for source, rows in groupby(best, key=attrgetter("source")):
        _add_routes(table, source, list(rows))
    return table


def _add_routes(table: Table, source: str, rows: Sequence[RouteStatus]) -> None:
    """Add the routes one source wants, not too many of a kind."""
    colour, wanted_by = _COLOURS.get(source, ""), _SOURCES.get(source, source)
    for row in rows[:LONGEST]:
        note = f" ({row.note})" if row.note else ""
        missing = "" if row.in_fib else "  not in the kernel"
        table.add_row(Text.assemble((str(row.route), colour), (missing, "red")), Text(wanted_by + note, "dim"))
    if len(rows) > LONGEST:
        table.add_row(Text(f"and {len(rows) - LONGEST} more", colour), Text(wanted_by, "dim"))


def _matrix(state: LabState) -> RenderableType:
    matrix = state.matrix
    if len(matrix) > WIDEST_MATRIX:
        return _summed_up(state)
    table = _table("ping, in milliseconds", "from \\ to", *matrix, numbers=True)
    for name, trips in matrix.items():
        table.add_row(Text(name, "bold"), *(_trip(name, other, trips) for other in matrix))
    return table


def _trip(name: str, other: str, trips: Mapping[str, float]) -> Text:
    if name == other:
        return Text("·", "dim")
    return Text(f"{trips[other]:.2f}", "green") if other in trips else Text("lost", "bold red")


def _summed_up(state: LabState) -> Table:
    """Return a row per node: how many of the pairs that begin there answered, and the slowest of them."""
    matrix = state.matrix
    table = _table("pings between pods", "from the pods of", "pairs", "slowest (ms)", numbers=True)
    for node in state.nodes:
        rows = [matrix[pod.name] for pod in state.pods if pod.node == node.name]
        answered, asked = sum(map(len, rows)), len(rows) * (len(matrix) - 1)
        table.add_row(
            Text(node.name, "bold"),
            Text(f"{answered}/{asked}", _good(answered == asked)),
            f"{max((trip for row in rows for trip in row.values()), default=0):.2f}",
        )
    return table


def _closing(state: LabState, leftovers: Sequence[str] | None) -> Group:
    invariants = state.invariants
    lines = [
        Text.assemble(
            ("times       ", "bold"), " · ".join(f"{stage} {seconds:.1f} s" for stage, seconds in state.seconds.items())
        ),
        Text.assemble(
            ("invariants  ", "bold"),
            (
                f"{invariants.checked} checked, {len(invariants.violated)} violated",
                _good(bool(invariants.checked) and not invariants.violated),
            ),
        ),
    ]
    lines += [Text(f"note        {trouble}", "yellow") for trouble in state.troubles]
    if leftovers is not None:
        left = attributable(leftovers)
        lines.append(Text.assemble(("left behind ", "bold"), (", ".join(left) or "nothing", _good(not left))))
        others = [text for text in leftovers if text not in left]
        lines += [Text(f"note        {text} is new; the lab's, or another program's", "yellow") for text in others]
        lines += [Text(f"✗ {fault}", "bold red") for fault in faults(state, leftovers)] or [
            Text("✓ every pod reaches every other" + _as_expected(state), "bold green")
        ]
    return Group(Text(), *lines)


def _as_expected(state: LabState) -> str:
    refused = len(state.refused.pods)
    return f"; {refused} pod{'s' if refused > 1 else ''} refused, as expected" if refused else ""


def _table(title: str, *columns: str, numbers: bool = False) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold blue", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if numbers and i else "left", no_wrap=not i or numbers)
    return table


def _good(well: bool) -> str:
    return "green" if well else "bold red"


def drawing(console: Console, title: str) -> str:
    """Return what a recording console has shown as an SVG that loads nothing from elsewhere."""
    return re.sub(r',\s*url\("https?:[^)]*\) format\("[^"]*"\)', "", console.export_svg(title=title))
