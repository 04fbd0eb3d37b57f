"""`felixctl ipam`: who has which addresses, and whether the records agree."""

from __future__ import annotations

import typer

app = typer.Typer(rich_markup_mode="rich", no_args_is_help=True)


@app.callback()
def ipam() -> None:
    """See who has which addresses, and check that the records agree."""
