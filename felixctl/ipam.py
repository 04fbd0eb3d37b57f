"""`felixctl ipam`: who has which addresses, and whether the records agree."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from datastore import fields
from datastore.resources import IPAMBlock, IPAMConfig, IPAMHandle, IPPool, Node, WorkloadEndpoint
from datastore.store import NotFound, Store
from felixctl import usage
from felixctl.check import Problems, Records, problems, report
from felixctl.connection import DEFAULT_URL, Url, reading
from felixctl.failure import FAILED, MISUSED, CommandError
from felixctl.paper import show as print_out

app = typer.Typer(rich_markup_mode="rich", no_args_is_help=True)

SECOND_LOOK_SECONDS = 1.0


@app.callback()
def ipam() -> None:
    """See who has which addresses, and check that the records agree."""


@app.command()
def show(
    show_blocks: Annotated[bool, typer.Option("--show-blocks", help="A row for each block of a pool, too.")] = False,
    ip: Annotated[str | None, typer.Option("--ip", metavar="ADDRESS", help="Who has this address.")] = None,
    show_borrowed: Annotated[
        bool, typer.Option("--show-borrowed", help="Addresses that nodes have from blocks of others.")
    ] = False,
    show_configuration: Annotated[
        bool, typer.Option("--show-configuration", help="The settings that bind all nodes.")
    ] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Show how full pools are, who has an address, or who borrows from whom.

    Addresses of tunnels count as in use, as those of pods do.

    [dim]$[/dim] felixctl ipam show --show-blocks
    [dim]$[/dim] felixctl ipam show --ip 10.65.84.128
    """
    print_out(reading(url, _question(show_blocks, ip, show_borrowed, show_configuration)))


@app.command()
def check(
    show_all_ips: Annotated[
        bool, typer.Option("--show-all-ips", help="Name each address, who was given it and who uses it.")
    ] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Compare IPAM's records with what pods and nodes really use.

    What does not agree is looked at twice, a second apart, since pods come and go meanwhile. Ends with 1 if
    problems are found.

    [dim]$[/dim] felixctl ipam check && echo all well
    """
    records, found = reading(url, _checked)
    print_out(report(records, found, all_addresses=show_all_ips))
    if found.count:
        raise typer.Exit(FAILED)


async def _checked(store: Store) -> tuple[Records, Problems]:
    first = problems(records := await _records(store))
    if not first.count:
        return records, first
    await asyncio.sleep(SECOND_LOOK_SECONDS)
    records = await _records(store)
    return records, first.standing(problems(records))


async def _records(store: Store) -> Records:
    return Records(
        blocks=await store.list(IPAMBlock),
        pools=await store.list(IPPool),
        nodes=await store.list(Node),
        endpoints=await store.list(WorkloadEndpoint),
        handles=await store.list(IPAMHandle),
    )


def _question(blocks: bool, ip: str | None, borrowed: bool, configuration: bool) -> Callable[[Store], Awaitable[str]]:
    """Return what answers the one thing that was asked."""
    if sum((ip is not None, borrowed, configuration)) > 1:
        raise CommandError("ipam show: --ip, --show-borrowed and --show-configuration exclude each other", MISUSED)
    if ip is not None:
        return lambda store: _owner(store, ip)
    if borrowed:
        return _borrowed
    if configuration:
        return _configuration
    return lambda store: _usage(store, blocks)


async def _usage(store: Store, show_blocks: bool) -> str:
    return usage.usage(await store.list(IPPool), await store.list(IPAMBlock), show_blocks=show_blocks)


async def _owner(store: Store, text: str) -> str:
    try:
        address = fields.address(text)
    except ValueError as error:
        raise CommandError(f"ipam show --ip: {error}", MISUSED) from None
    return usage.owner(address, await store.list(IPAMBlock))


async def _borrowed(store: Store) -> str:
    return usage.borrowed(await store.list(IPAMBlock))


async def _configuration(store: Store) -> str:
    try:
        return usage.configuration(await store.get(IPAMConfig, "default"))
    except NotFound:
        return usage.configuration(None)
