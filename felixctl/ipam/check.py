"""`felixctl ipam check`: compare IPAM's records with what is used, write a report, repair what is safe."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from datastore.defaults import DEFAULT_URL
from datastore.store import Store
from felixctl.connection import reading, writing
from felixctl.errors import FAILED, MISUSED, CommandError
from felixctl.ipam.check_report import report
from felixctl.ipam.problems import Problems, problems
from felixctl.ipam.read_records import cluster_information, read_records
from felixctl.ipam.records import IpamRecords
from felixctl.options import DEFAULT_RUN_DIR, STATUS_SOCKET, RunDir, Url
from felixctl.terminal import show
from net.printable import one_line

if TYPE_CHECKING:  # what only a cluster with problems needs is imported late
    from felixctl.ipam.repair_plan import Repair

RECHECK_SECONDS = 1.0
NODE_RETURN_SECONDS = 6.0
"""How long a node that lives may take to write a Node anew that was deleted."""

Checked: TypeAlias = "tuple[IpamRecords, Problems, list[Repair]]"
Check: TypeAlias = "Callable[[Store], Awaitable[Checked]]"


def check(
    show_all_ips: Annotated[
        bool, typer.Option("--show-all-ips", help="List each address with its handle and its user.")
    ] = False,
    show_problem_ips: Annotated[
        bool, typer.Option("--show-problem-ips", help="For calicoctl's scripts: what is wrong is always listed.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write a report for [b]ipam release --from-report[/b]."),
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Show what can be repaired safely, ask, and repair it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --fix: do not ask.")] = False,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    url: Url = DEFAULT_URL,
) -> None:
    """Compare IPAM's records with what pods and nodes really use, and explain how differences came about.

    What does not agree is checked again a second later, since pods start and end meanwhile. Ends with 1 if
    problems are found; with --fix, if any are left.

    --fix repairs only what cannot take an address from a pod, each step by compare-and-swap. Addresses assigned
    within the last five minutes are left alone. The endpoints of a node that was removed are deleted with all that
    they keep, and so are those of this machine's node whose device is gone, as its agent and the kernel say.

    [dim]$[/dim] felixctl ipam check && echo all well
    [dim]$[/dim] felixctl ipam check --fix
    [dim]$[/dim] felixctl ipam check -o leaks.json
    """
    if yes and not fix:
        raise CommandError("ipam check: --yes is for --fix", MISUSED)
    checked = partial(_checked, run_dir=run_dir)
    records, found, plan = reading(url, checked)
    show(report(records, found, all_addresses=show_all_ips))
    if output:
        from felixctl.ipam import leak_report
        from felixctl.version import client_version

        written = leak_report.written(records, reading(url, cluster_information), client_version())
        _write(output, json.dumps(written, indent=2) + "\n")
    if fix and found.count:
        found = _repair(url, checked, found, plan, yes)
    if found.count:
        raise typer.Exit(FAILED)


async def _checked(store: Store, run_dir: Path) -> Checked:
    """Return the records, and the problems and repairs that two checks agree on."""
    records = await _records(store, run_dir)
    first = problems(records)
    if not first.count:
        return records, first, []
    from felixctl.ipam import repair_plan

    plan = repair_plan.planned(records, time.time_ns())
    await asyncio.sleep(NODE_RETURN_SECONDS if first.endpoints else RECHECK_SECONDS)
    records = await _records(store, run_dir)
    later = repair_plan.planned(records, time.time_ns())
    return records, first.persisting(problems(records)), repair_plan.agreed(plan, later)


async def _records(store: Store, run_dir: Path) -> IpamRecords:
    records = await read_records(store)
    if not (run_dir / STATUS_SOCKET).exists():
        return records
    from felixctl.ipam.local_agent import without_device  # imported late: it takes as long as a hundred endpoints

    return replace(records, without_device=without_device(records.endpoints, run_dir))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise CommandError(f"write the report to {path}: {error.strerror}; nothing else was changed") from None


def _repair(url: str, check_again: Check, found: Problems, plan: Sequence[Repair], yes: bool) -> Problems:
    """Show the plan, carry it out if confirmed, and return the problems that are left."""
    if not plan:
        show(
            "None of these can be repaired safely now: an address assigned within five minutes may belong to a pod"
            " that is starting; everything else needs your decision.\n"
        )
        return found
    steps = (f"  {number}. {one_line(step.sentence)}\n" for number, step in enumerate(plan, 1))
    show("\nWhat can be repaired safely:\n", *steps)
    if not yes and not typer.confirm(f"Carry out these {len(plan)} repairs?", default=False):
        show("Nothing was changed.\n")
        return found
    from felixctl.ipam.repair_apply import carry_out

    for done in writing(url, lambda store: carry_out(store, plan)):
        show(f"  {one_line(done.sentence)}\n")
    _, left, more = reading(url, check_again)
    hint = f"; felixctl ipam check --fix can repair {len(more)} more now" if more else ""
    show(f"{left.count} problems are left{hint}.\n")
    return left
