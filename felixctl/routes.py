"""`felixctl routes`: the routes that this node's agent wants, their sources, and whether the kernel holds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from datastore.defaults import DEFAULT_URL
from felix_py.status_model import RoutesPage, RouteStatus
from felixctl.errors import MISUSED, CommandError
from felixctl.host_settings import DEFAULT_RUN_DIR, USUAL_NAMESPACE
from felixctl.options import (
    AgentsNamespace,
    OtherNode,
    Output,
    OutputFormat,
    RunDir,
    Url,
)
from felixctl.status_client import read_routes, routes_page, value_of
from felixctl.tables import plain
from felixctl.terminal import console, is_terminal, show
from net.prefix import Prefix
from net.printable import one_line

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

BOXED_ROWS = 1000
"""More rows are printed without boxes, whose drawing takes seconds."""
HEADING = ("PREFIX", "SOURCE", "FIB", "ROUTE", "FROM", "NOTE")
OPTIONAL = ("FROM", "NOTE")
"""Columns that a box leaves out if they are empty."""
NO_SOURCE = "none"

_STYLES = {"pods": "green", "tunnels": "magenta", "static": "blue", "learned": "cyan", "blocks": "yellow"}


@app.command()
def routes(
    prefix: Annotated[
        str | None, typer.Argument(help="Only routes that contain this address or network, or lie inside it.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("-s", "--source", help="Only routes of pods, tunnels, static, learned, blocks or none."),
    ] = None,
    missing: Annotated[bool, typer.Option("--missing", help="Only routes that the kernel lacks.")] = False,
    node: OtherNode = None,
    output: Output = OutputFormat.TEXT,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    url: Url = DEFAULT_URL,
    agents_namespace: AgentsNamespace = USUAL_NAMESPACE,
) -> None:
    """Show this node's routes, or another's: which source wants each, and whether the kernel holds it.

    Compares RIB and FIB, one line per prefix and source. The sources, strongest first, are the [b]pods[/b] of this
    node, [b]tunnels[/b], [b]static[/b] routes to BGP peers (reachableBy), routes [b]learned[/b] from the peer in column
    FROM, and this node's own [b]blocks[/b]: blackholes, so that packets to unassigned addresses are not sent out. A
    note says why a route is not in the kernel.

    [dim]$[/dim] felixctl routes
    [dim]$[/dim] felixctl routes 10.65.3.7        [dim]# what leads there[/dim]
    [dim]$[/dim] felixctl routes --missing        [dim]# what should be in the kernel and is not[/dim]
    [dim]$[/dim] felixctl routes --node n7        [dim]# of another node, through the Kubernetes API[/dim]
    """
    within = _parsed(prefix)
    if source is not None and source not in (known := (*_STYLES, NO_SOURCE)):
        raise CommandError(f"routes -s {source}: that is no source; use one of {', '.join(known)}", MISUSED)
    found = read_routes(run_dir, within) if node is None else _routes_of(node, within, url, agents_namespace)
    rows = [row for row in found if (source is None or _source(row) == source) and not (missing and row.in_fib)]
    if output is OutputFormat.JSON:
        from felixctl.resources.documents import to_json

        show(to_json(list(map(_record, rows))))
    elif is_terminal() and len(rows) <= BOXED_ROWS:
        _show_boxes(rows)
    else:
        show(plain(HEADING, map(_cells, rows)))


def _routes_of(node: str, within: Prefix | None, url: str, namespace: str) -> Sequence[RouteStatus]:
    from felixctl.agents import agents_of

    with agents_of(url, namespace, f"run felixctl routes on {node}") as agents:
        return value_of(RoutesPage, f"the routes of {node}", agents.read_page(node, routes_page(within))).routes


def _source(row: RouteStatus) -> str:
    """Return the source as it is shown; a route that the kernel holds and nobody wants has none."""
    return row.source or NO_SOURCE


def _record(row: RouteStatus) -> dict[str, Any]:
    return {
        "prefix": str(row.prefix),
        "source": row.source,
        "route": row.route.without_prefix,
        "in_fib": row.in_fib,
        "peers": list(row.peers),
        "note": _note(row),
    }


def _cells(row: RouteStatus) -> tuple[str, ...]:
    held = "yes" if row.in_fib else "no"
    from_peers = ", ".join(row.peers)
    cells = (str(row.prefix), _source(row), held, row.route.without_prefix, from_peers, _note(row))
    return tuple(map(one_line, cells))


def _note(row: RouteStatus) -> str:
    return str(row.note) if row.note else ""


def _parsed(prefix: str | None) -> Prefix | None:
    try:
        return Prefix.parse(prefix) if prefix else None
    except ValueError:
        raise CommandError(f"routes {prefix}: that is neither an address nor a network", status=MISUSED) from None


def _show_boxes(rows: Sequence[RouteStatus]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    texts = [dict(zip(HEADING, _cells(row), strict=True)) for row in rows]
    headings = [heading for heading in HEADING if heading not in OPTIONAL or any(text[heading] for text in texts)]
    table = Table(box=box.ROUNDED, header_style="bold", caption=summary(rows), caption_justify="left")
    for heading in headings:
        table.add_column(heading, no_wrap=heading in ("PREFIX", "SOURCE", "FIB"))
    for row, text in zip(rows, texts, strict=True):
        held = Text("✔", "green") if row.in_fib else Text("✘", "red" if row.note else "yellow")
        styles = {"SOURCE": _STYLES.get(row.source, ""), "NOTE": "yellow"}
        cells = {heading: Text(cell, styles.get(heading, "")) for heading, cell in text.items()} | {"FIB": held}
        table.add_row(*(cells[heading] for heading in headings))
    console().print(table)


def summary(rows: Sequence[RouteStatus]) -> str:
    """Return the counts in one line: `5 routes: 2 pods, 3 learned; 1 not in the kernel`."""
    counts = Counter(map(_source, rows))
    absent = sum(not row.in_fib for row in rows)
    parts = ", ".join(f"{count} {source}" for source, count in counts.items())
    return f"{len(rows)} routes{': ' if parts else ''}{parts}" + (f"; {absent} not in the kernel" if absent else "")
