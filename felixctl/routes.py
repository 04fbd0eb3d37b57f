"""`felixctl routes`: what this node wants in its kernel, who wants it, and whether the kernel holds it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer

from felixctl.errors import CommandError
from felixctl.options import DEFAULT_RUN_DIR, Output, OutputFormat, RunDir
from felixctl.status_client import RouteRow, read_status, routes_of
from felixctl.tables import plain
from felixctl.terminal import is_terminal, show

app = typer.Typer(add_completion=False, rich_markup_mode="rich")

BOXED_ROWS = 1000
"""Beyond so many rows nobody looks at boxes any more, and drawing them takes seconds."""
HEADING = ("PREFIX", "SOURCE", "FIB", "ROUTE", "NOTE")

_STYLES = {"pods": "green", "tunnels": "magenta", "learned": "cyan", "blocks": "yellow"}


@app.command()
def routes(
    prefix: Annotated[
        str | None, typer.Argument(help="Only routes that hold this address or network, or lie in it.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("-s", "--source", help="Only routes of pods, tunnels, learned or blocks.")
    ] = None,
    missing: Annotated[bool, typer.Option("--missing", help="Only routes the kernel does not hold.")] = False,
    output: Output = OutputFormat.TEXT,
    run_dir: RunDir = DEFAULT_RUN_DIR,
) -> None:
    """Show this node's routes: which source wants each, and whether the kernel holds it.

    RIB against FIB, a line per prefix and source: [b]pods[/b] of this node, [b]tunnels[/b], routes [b]learned[/b]
    from BGP peers, and this node's own [b]blocks[/b] (blackholes, so that an address nobody has is not sent out).
    The first of these wins where several want one prefix; a note says why a line is not in the kernel.

    [dim]$[/dim] felixctl routes
    [dim]$[/dim] felixctl routes 10.65.3.7        [dim]# what leads there[/dim]
    [dim]$[/dim] felixctl routes --missing        [dim]# what should be in the kernel and is not[/dim]
    """
    rows = [
        row
        for row in routes_of(read_status(run_dir))
        if (source is None or row.source == source) and not (missing and row.in_fib) and _touches(row, prefix)
    ]
    if output is OutputFormat.JSON:
        from felixctl.resources.documents import to_json

        show(to_json([dict(zip(RouteRow.__slots__, _values(row), strict=True)) for row in rows]))
    elif is_terminal() and len(rows) <= BOXED_ROWS:
        _show_boxes(rows)
    else:
        show(plain(HEADING, map(_cells, rows)))


def _values(row: RouteRow) -> tuple[object, ...]:
    return tuple(getattr(row, name) for name in RouteRow.__slots__)


def _cells(row: RouteRow) -> tuple[str, ...]:
    return (row.prefix, row.source, "yes" if row.in_fib else "no", row.way, row.note)


def _touches(row: RouteRow, prefix: str | None) -> bool:
    if prefix is None:
        return True
    from net.prefix import Prefix

    try:
        asked = Prefix.parse(prefix)
    except ValueError:
        raise CommandError(f"routes {prefix}: that is neither an address nor a network", status=2) from None
    return asked.overlaps(Prefix.parse(row.prefix))


def _show_boxes(rows: Sequence[RouteRow]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    notes = any(row.note for row in rows)
    table = Table(box=box.ROUNDED, header_style="bold", caption=summary(rows), caption_justify="left")
    for heading in HEADING if notes else HEADING[:-1]:
        table.add_column(heading, no_wrap=heading != "NOTE")
    for row in rows:
        style = _STYLES.get(row.source, "")
        held = Text("✔", "green") if row.in_fib else Text("✘", "red" if row.note else "yellow")
        cells = (row.prefix, Text(row.source, style), held, Text(row.way, style), Text(row.note, "yellow"))
        table.add_row(*cells if notes else cells[:-1])
    Console().print(table)


def summary(rows: Sequence[RouteRow]) -> str:
    """Return the counts in one line: `5 routes: 2 pods, 3 learned; 1 not in the kernel`."""
    counts = Counter(row.source for row in rows)
    absent = sum(not row.in_fib for row in rows)
    parts = ", ".join(f"{count} {source}" for source, count in counts.items())
    return f"{len(rows)} routes{': ' if parts else ''}{parts}" + (f"; {absent} not in the kernel" if absent else "")
