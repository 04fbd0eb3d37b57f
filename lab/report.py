"""What a lab run showed: a page for a person, a few numbers for a machine.

Pure but for the console it prints on: the picture of the cluster comes in as plain values.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from felix_py.status_json import from_json
from felix_py.status_model import RouteStatus, SessionStatus
from lab.leftovers import of_the_lab

# Wider than this a ping matrix is no pleasure any more: its rows are summed up instead.
WIDEST_MATRIX = 14
# Of one node: how many pods, and how many routes that one source wants, are shown one by one.
LONGEST = 24
_COLOURS = {"pods": "green", "tunnels": "magenta", "learned": "cyan", "blocks": "yellow"}
_SOURCES = {
    "pods": "a pod of this node",
    "tunnels": "a tunnel",
    "learned": "learned by BGP",
    "blocks": "own block: unused addresses",
}


def for_machines(picture: Mapping[str, Any], leftovers: Iterable[str]) -> dict[str, Any]:
    """Return the numbers of a run."""
    refused = picture["refused"]
    return {
        "nodes": len(picture["nodes"]),
        "pods": len(picture["pods"]),
        **({"refused": refused_by_node(refused)} if refused["expected"] else {}),
        "sessions": picture["sessions"],
        "pings": picture["pings"],
        "seconds": {name: picture["seconds"].get(name) for name in ("up", "established", "reachable", "total")},
        "invariants": picture["invariants"],
        "leftovers": list(leftovers),
    }


def refused_by_node(refused: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Return how many pods each node was expected to refuse, and how many it did."""
    return {
        node: {"expected": expected, "refused": sum(pod["node"] == node for pod in refused["pods"])}
        for node, expected in refused["expected"].items()
    }


def faults(numbers: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a run, one sentence each; nothing if it is as it should be."""
    sessions, pings, invariants = numbers["sessions"], numbers["pings"], numbers["invariants"]
    found = []
    if sessions["established"] != sessions["expected"]:
        found.append(f"only {sessions['established']} of {sessions['expected']} sessions are up")
    if pings["lost"]:
        found.append(f"{pings['lost']} of {pings['sent']} pings were lost")
    for node, pods in numbers.get("refused", {}).items():
        if pods["refused"] != pods["expected"]:
            found.append(f"pods refused on {node}: {pods['refused']}, while the spec expects {pods['expected']}")
    if not invariants["checked"]:
        found.append("no agent has checked its invariants")
    if numbers["seconds"]["reachable"] is None:
        found.append("the pods did not all reach one another in time")
    found += (f"invariant violated on {text}" for text in invariants["violated"])
    found += (f"left behind: {text}" for text in of_the_lab(numbers["leftovers"]))
    return found


def show(console: Console, picture: Mapping[str, Any], numbers: Mapping[str, Any] | None = None) -> None:
    """Print the page. With `numbers`, of a run that has ended, it closes with the verdict."""
    console.print()
    console.print(Panel.fit(_headline(picture), border_style="blue", padding=(0, 2)))
    console.print(_nodes(picture))
    if picture["refused"]["pods"]:
        console.print(_refused(picture))
    if any(node["peers"] for node in picture["nodes"]):
        console.print(_sessions(picture))
    for node in picture["nodes"]:
        console.print(_routes(node))
    if picture["matrix"]:
        console.print(_matrix(picture))
    console.print(_closing(picture, numbers))


def _headline(picture: Mapping[str, Any]) -> Text:
    sessions, pings = picture["sessions"], picture["pings"]
    line = Text.assemble(("lab ", "dim"), (picture["name"], "bold"), f"  {len(picture['nodes'])} nodes")
    line.append(f" · {len(picture['pods'])} pods")
    line.append(" · ").append(
        f"{sessions['established']}/{sessions['expected']} sessions",
        _good(sessions["established"] == sessions["expected"]),
    )
    line.append(" · ").append(f"{pings['sent'] - pings['lost']}/{pings['sent']} pings", _good(not pings["lost"]))
    return line


def _nodes(picture: Mapping[str, Any]) -> Table:
    table = _table("nodes", "node", "address", "AS", "own blocks", "pods")
    for node in picture["nodes"]:
        pods = [pod for pod in picture["pods"] if pod["node"] == node["name"]]
        table.add_row(
            Text(node["name"], "bold" if node["ready"] else "bold red"),
            "\n".join(node["addresses"]),
            str(node["as_number"] or "–"),
            "\n".join(node["blocks"]) or "–",
            "\n".join(_pod_lines(pods)) or "–",
        )
    return table


def _pod_lines(pods: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [f"{pod['name']}  {', '.join(pod['addresses'])}" for pod in pods[:LONGEST]]
    return [*lines, f"and {len(pods) - LONGEST} more"] if len(pods) > LONGEST else lines


def _refused(picture: Mapping[str, Any]) -> Table:
    table = _table("pods refused, as expected", "pod", "node", "code", "error")
    for pod in picture["refused"]["pods"]:
        table.add_row(Text(pod["name"], "bold"), pod["node"], str(pod["code"]), pod["error"])
    return table


def _sessions(picture: Mapping[str, Any]) -> Table:
    table = _table("sessions", "node", "peer", "kind", "state", "since", "learned", "announced")
    now = time.time()
    for node in picture["nodes"]:
        for peer in (from_json(SessionStatus, record) for record in node["peers"]):
            table.add_row(
                node["name"],
                peer.address,
                peer.kind,
                Text(peer.info or peer.state, _good(peer.is_up)),
                f"{max(0.0, now - peer.since):.1f} s" if peer.is_up and peer.since else "–",
                str(peer.learned),
                str(peer.announced),
            )
    return table


def _routes(node: Mapping[str, Any]) -> Table:
    table = _table(f"routes of {node['name']}", "kernel route", "wanted by")
    routes = (from_json(RouteStatus, row) for row in node["routes"])
    for source, rows in groupby((route for route in routes if route.best), key=attrgetter("source")):
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


def _matrix(picture: Mapping[str, Any]) -> RenderableType:
    matrix: Mapping[str, Mapping[str, float]] = picture["matrix"]
    if len(matrix) > WIDEST_MATRIX:
        return _summed_up(picture)
    table = _table("ping, in milliseconds", "from \\ to", *matrix, numbers=True)
    for name, trips in matrix.items():
        table.add_row(Text(name, "bold"), *(_trip(name, other, trips) for other in matrix))
    return table


def _trip(name: str, other: str, trips: Mapping[str, float]) -> Text:
    if name == other:
        return Text("·", "dim")
    return Text(f"{trips[other]:.2f}", "green") if other in trips else Text("lost", "bold red")


def _summed_up(picture: Mapping[str, Any]) -> Table:
    """Return a row per node: how many of the pairs that begin there answered, and the slowest of them."""
    matrix: Mapping[str, Mapping[str, float]] = picture["matrix"]
    table = _table("pings between pods", "from the pods of", "pairs", "slowest (ms)", numbers=True)
    for node in picture["nodes"]:
        rows = [matrix[pod["name"]] for pod in picture["pods"] if pod["node"] == node["name"]]
        answered, asked = sum(map(len, rows)), len(rows) * (len(matrix) - 1)
        table.add_row(
            Text(node["name"], "bold"),
            Text(f"{answered}/{asked}", _good(answered == asked)),
            f"{max((trip for row in rows for trip in row.values()), default=0):.2f}",
        )
    return table


def _closing(picture: Mapping[str, Any], numbers: Mapping[str, Any] | None) -> Group:
    invariants = picture["invariants"]
    seconds = (numbers or picture)["seconds"]
    lines = [
        Text.assemble(
            ("times       ", "bold"), " · ".join(f"{k} {v:.1f} s" for k, v in seconds.items() if v is not None)
        ),
        Text.assemble(
            ("invariants  ", "bold"),
            (
                f"{invariants['checked']} checked, {len(invariants['violated'])} violated",
                _good(bool(invariants["checked"]) and not invariants["violated"]),
            ),
        ),
    ]
    lines += [Text(f"note        {trouble}", "yellow") for trouble in picture["troubles"]]
    if numbers:
        left = of_the_lab(numbers["leftovers"])
        lines.append(Text.assemble(("left behind ", "bold"), (", ".join(left) or "nothing", _good(not left))))
        others = [text for text in numbers["leftovers"] if text not in left]
        lines += [Text(f"note        {text} is new, the lab's or somebody else's", "yellow") for text in others]
        lines += [Text(f"✗ {fault}", "bold red") for fault in faults(numbers)] or [
            Text("✓ every pod reaches every other" + _as_expected(numbers), "bold green")
        ]
    return Group(Text(), *lines)


def _as_expected(numbers: Mapping[str, Any]) -> str:
    refused = sum(node["refused"] for node in numbers.get("refused", {}).values())
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
