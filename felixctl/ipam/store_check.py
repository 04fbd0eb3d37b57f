"""`felixctl ipam check` by the store: look twice where something seems wrong, write a report, repair what is safe."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from datastore.store import Store
from datastore.url import KubernetesApi
from felixctl.connection import chosen, reading, writing
from felixctl.errors import CommandError
from felixctl.ipam.check_report import report
from felixctl.ipam.lost_devices import with_lost_devices
from felixctl.ipam.problems import Problems, problems
from felixctl.ipam.read_records import cluster_information, read_records
from felixctl.ipam.records import IpamRecords
from felixctl.terminal import show, warn
from net.printable import one_line

if TYPE_CHECKING:  # what only a cluster with problems needs is imported late
    from felixctl.ipam.repair_plan import Repair

RECHECK_SECONDS = 1.0
NODE_RETURN_SECONDS = 6.0
"""How long a node that lives may take to write a Node anew that was deleted."""

Checked: TypeAlias = "tuple[IpamRecords, Problems, list[Repair]]"
Check: TypeAlias = "Callable[[Store], Awaitable[Checked]]"


def store_checks_out(
    url: str,
    run_dir: Path,
    *,
    agents_namespace: str,
    all_addresses: bool,
    output: Path | None,
    fix: bool,
    ask: bool,
) -> bool:
    """Print what is wrong, and return whether nothing is; the arguments are those of `check.checks_out`."""
    checked = partial(_checked, run_dir=run_dir)
    namespace = agents_namespace if isinstance(chosen(url), KubernetesApi) else None
    records, found, plan = reading(url, lambda store: _reported(store, checked, namespace, all_addresses))
    if output:
        from felixctl.ipam import leak_report
        from felixctl.versions import client_version

        written = leak_report.written(records, reading(url, cluster_information), client_version())
        _write(output, json.dumps(written, indent=2) + "\n")
    if fix and found.count:
        found = _repair(url, checked, found, plan, ask)
    return not found.count


async def _reported(store: Store, check: Check, namespace: str | None, all_addresses: bool) -> Checked:
    """Check, print the report, and say which controller acts, where no script that reads calicoctl's report looks.

    namespace: where the controllers are; None: there are none. Who acts is asked along with the records, by the same
    connection: one for that alone costs an eighth of the check.
    """
    asking = asyncio.create_task(_who_collects(store, namespace))
    try:
        records, found, plan = await check(store)
        show(report(records, found, all_addresses=all_addresses))
        warn(await asking)
    finally:
        asking.cancel()
    return records, found, plan


async def _who_collects(store: Store, namespace: str | None) -> str:
    if namespace is None:
        return ""
    from felixctl.read_leader import read_leader

    return (await read_leader(store, namespace)).line


async def _checked(store: Store, run_dir: Path) -> Checked:
    """Return the records, and the problems and repairs that two checks agree on, the second in the order of writes."""
    records = await _records(store, run_dir, at_once=True)
    first = problems(records)
    if not first.count:
        return records, first, []
    from felixctl.ipam import repair_plan

    plan = repair_plan.planned(records, time.time_ns())
    await asyncio.sleep(NODE_RETURN_SECONDS if first.endpoints else RECHECK_SECONDS)
    records = await _records(store, run_dir)
    later = repair_plan.planned(records, time.time_ns())
    return records, first.persisting(problems(records)), repair_plan.agreed(plan, later)


async def _records(store: Store, run_dir: Path, *, at_once: bool = False) -> IpamRecords:
    return with_lost_devices(await read_records(store, at_once=at_once), run_dir)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise CommandError(f"write the report to {path}: {error.strerror}; nothing else was changed") from None


def _repair(url: str, check_again: Check, found: Problems, plan: Sequence[Repair], ask: bool) -> Problems:
    """Show the plan, carry it out if confirmed, and return the problems that are left."""
    if not plan:
        show(
            "None of these can be repaired safely now: an address assigned within five minutes may belong to a pod"
            " that is starting; everything else needs your decision.\n"
        )
        return found
    steps = (f"  {number}. {one_line(step.sentence)}\n" for number, step in enumerate(plan, 1))
    show("\nWhat can be repaired safely:\n", *steps)
    if ask and not _confirmed(f"Carry out these {len(plan)} repairs?"):
        show("Nothing was changed.\n")
        return found
    from felixctl.ipam.repair_apply import carry_out

    for done in writing(url, lambda store: carry_out(store, plan)):
        show(f"  {one_line(done.sentence)}\n")
    _, left, more = reading(url, check_again)
    hint = f"; felixctl ipam check --fix can repair {len(more)} more now" if more else ""
    show(f"{left.count} problems are left{hint}.\n")
    return left


def _confirmed(question: str) -> bool:
    import typer

    return typer.confirm(question, default=False)
