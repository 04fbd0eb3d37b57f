"""`felixctl ipam check` and `ipam release`: find what does not agree, write it down, repair it, free it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datastore.cas import found_or_none
from datastore.fields import Address
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.store import Store
from felixctl.connection import reading, writing
from felixctl.errors import FAILED, MISUSED, CommandError
from felixctl.ipam import leak_report, repair_plan
from felixctl.ipam.check_report import report
from felixctl.ipam.leak_report import Report, ReportError
from felixctl.ipam.problems import Problems, Records, problems
from felixctl.ipam.repair_plan import Repair
from felixctl.options import DEFAULT_URL, Url
from felixctl.terminal import show
from felixctl.version import client_version

if TYPE_CHECKING:
    from felixctl.ipam.repair_apply import Done

SECOND_LOOK_SECONDS = 1.0


def check(
    show_all_ips: Annotated[
        bool, typer.Option("--show-all-ips", help="Name each address, who was given it and who uses it.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write a report for [b]ipam release --from-report[/b]."),
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Show what can be repaired safely, ask, and do it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --fix: do not ask.")] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Compare IPAM's records with what pods and nodes really use, and say how differences came about.

    What does not agree is looked at twice, a second apart, since pods come and go meanwhile. Ends with 1 if
    problems are found, and with --fix if any are left.

    --fix repairs only what cannot take an address from somebody, each step by compare-and-swap. Addresses given out
    within the last five minutes are left alone.

    [dim]$[/dim] felixctl ipam check && echo all well
    [dim]$[/dim] felixctl ipam check --fix
    [dim]$[/dim] felixctl ipam check -o leaks.json
    """
    if yes and not fix:
        raise CommandError("ipam check: --yes is for --fix", MISUSED)
    records, found, plan = reading(url, _checked)
    show(report(records, found, all_addresses=show_all_ips))
    if output:
        written = leak_report.written(records, reading(url, cluster), client_version())
        _write(output, json.dumps(written, indent=2) + "\n")
    if fix and found.count:
        found = _fixed(url, found, plan, yes)
    if found.count:
        raise typer.Exit(FAILED)


async def _checked(store: Store) -> tuple[Records, Problems, list[Repair]]:
    """Return the records, and what two looks at them both found wrong and would repair."""
    records = await read_records(store)
    first = problems(records)
    if not first.count:
        return records, first, []
    plan = repair_plan.planned(records, time.time_ns())
    await asyncio.sleep(SECOND_LOOK_SECONDS)
    records = await read_records(store)
    later = repair_plan.planned(records, time.time_ns())
    return records, first.standing(problems(records)), repair_plan.agreed(plan, later)


async def read_records(store: Store) -> Records:
    """Return everything the check compares. Endpoints come last: a pod that came meanwhile is among them."""
    blocks, affinities, pools = (
        await store.list(IPAMBlock),
        await store.list(BlockAffinity),
        await store.list(IPPool),
    )
    handles, nodes, endpoints = (
        await store.list(IPAMHandle),
        await store.list(Node),
        await store.list(WorkloadEndpoint),
    )
    return Records(
        blocks=blocks.objects,
        affinities=affinities.objects,
        pools=pools.objects,
        handles=handles.objects,
        nodes=nodes.objects,
        endpoints=endpoints.objects,
        unreadable=[
            record.reason
            for listed in (blocks, affinities, pools, handles, nodes, endpoints)
            for record in listed.unreadable
        ],
    )


async def cluster(store: Store) -> ClusterInformation | None:
    return await found_or_none(store.get(ClusterInformation, "default"))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise CommandError(f"write the report to {path}: {error.strerror}; nothing else was changed") from None


def _fixed(url: str, found: Problems, plan: Sequence[Repair], yes: bool) -> Problems:
    """Show the plan, carry it out if that is wanted, and return the problems that are left."""
    if not plan:
        show(
            "None of these can be repaired safely now: an address given out within five minutes may belong to a pod"
            " that is just coming; all else needs your decision.\n"
        )
        return found
    show("\nWhat can be repaired safely:\n" + "".join(f"  {n}. {step.sentence}\n" for n, step in enumerate(plan, 1)))
    if not yes and not typer.confirm(f"Do these {len(plan)}?", default=False):
        show("Nothing was changed.\n")
        return found
    from felixctl.ipam.repair_apply import carry_out

    for done in writing(url, lambda store: carry_out(store, plan)):
        show(_told(done))
    _, left, more = reading(url, _checked)
    hint = f"; felixctl ipam check --fix can repair {len(more)} more now" if more else ""
    show(f"{left.count} problems are left{hint}.\n")
    return left


def _told(done: Done) -> str:
    return f"  {done.repair.sentence}: {'done' if done.refusal is None else f'left alone: {done.refusal}'}\n"


def release(
    ips: Annotated[
        list[str] | None,
        typer.Option("--ip", metavar="ADDRESS", help="Which; may be given several times.", show_default=False),
    ] = None,
    reports: Annotated[
        list[Path] | None,
        typer.Option(
            "--from-report",
            metavar="FILE",
            help="What this report of [b]ipam check -o[/b] calls leaked; with several, what all of them do.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Even an address that is used; with a report, even of another version or an unlocked time."
        ),
    ] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Free addresses that [b]ipam check[/b] found unused and that nothing frees by itself.

    An address that somebody uses is refused: it would be given to another pod while the first still answers to it.

    With reports the datastore has to be locked while they are written and used, so that nothing comes in between; each
    address is freed only if it is still assigned as the report says.

    [dim]$[/dim] felixctl ipam release --ip 10.65.84.131
    [dim]$[/dim] felixctl datastore lock && felixctl ipam check -o a.json; felixctl ipam release --from-report a.json
    """
    if bool(ips) == bool(reports):
        raise CommandError("ipam release: give --ip ADDRESS or --from-report FILE (see --help)", MISUSED)
    if ips:
        addresses = [address_in(ip, "ipam release") for ip in ips]
        show(writing(url, lambda store: _release(store, addresses, force)))
    else:
        read = [_report(path) for path in reports or ()]
        show(writing(url, lambda store: _release_leaked(store, read, force)))


def address_in(text: str, command: str) -> Address:
    """Return the address that --ip names. Raises CommandError."""
    from datastore import fields

    try:
        return fields.address(text)
    except ValueError as error:
        raise CommandError(f"{command} --ip: {error}", MISUSED) from None


async def _release(store: Store, addresses: Sequence[Address], force: bool) -> str:
    from ipam.allocator import Allocator  # costs every other command its import

    used = {} if force else await _in_use(store)
    if sentences := [
        f"release {a}: {used[a]} uses it; give --force to free it all the same" for a in addresses if a in used
    ]:
        raise CommandError((*sentences, "nothing was released"))
    answer = await Allocator(store).release(addresses)
    freed = (f"Successfully released IP address {address}\n" for address in answer.released)
    return "".join((*freed, *(f"{address} is not assigned\n" for address in answer.unassigned)))


async def _in_use(store: Store) -> Mapping[Address, str]:
    """Return the addresses that pods and nodes use. Raises CommandError: a record that may tell can't be read."""
    records = await read_records(store)
    if records.unreadable:
        raise CommandError((*records.unreadable, "so it can't be told what is in use; nothing was released"))
    return records.in_use


def _report(path: Path) -> Report:
    try:
        return leak_report.read(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"read {path}: {error}; nothing was released") from None
    except ReportError as error:
        raise CommandError(f"{error}; nothing was released") from None


async def _release_leaked(store: Store, reports: Sequence[Report], force: bool) -> str:
    from felixctl.ipam.repair_apply import carry_out

    now = await cluster(store)
    if sentences := list(leak_report.objections(reports, now, client_version(), force=force)):
        raise CommandError((*sentences, "nothing was released"))
    releases, handles = leak_report.leaked_in_all(reports)
    used = await _in_use(store)
    steps = [
        *(Repair(f"release {one.address}", repair_plan.Free(one)) for one in releases if one.address not in used),
        *(Repair(f"delete handle {handle}", repair_plan.Recount(handle)) for handle in handles),
    ]
    kept = (
        f"  {one.address}: {used[one.address]} uses it now: left alone\n" for one in releases if one.address in used
    )
    lines = [*kept, *map(_told, await carry_out(store, steps))]
    if not lines:
        return f"The {'reports name' if len(reports) > 1 else 'report names'} no leak.\n"
    return "".join(lines)
