"""`felixctl ipam`: who has which addresses, and whether the records agree."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Annotated

import typer

from datastore.cas import found_or_none
from datastore.defaults import DEFAULT_URL
from datastore.errors import Invalid
from datastore.kinds.ipam import IPAMBlock, IPAMConfig
from datastore.kinds.pools import IPPool
from datastore.store import Store
from felixctl.connection import reading, writing
from felixctl.errors import MISUSED, CommandError
from felixctl.ipam import usage
from felixctl.ipam.arguments import address_option
from felixctl.ipam.check_command import check
from felixctl.ipam.release import release
from felixctl.ipam.split import split
from felixctl.options import Url
from felixctl.terminal import show as print_out
from felixctl.terminal import warn

app = typer.Typer(add_completion=False, rich_markup_mode="rich", no_args_is_help=True)


class Switch(StrEnum):
    """A setting that is on or off, written as calicoctl's users do: `--strictaffinity=true`."""

    TRUE = "true"
    FALSE = "false"


class Persistence(StrEnum):
    """Whether virtual machines keep their addresses: for KubeVirt; felix-py does not obey it."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


@app.callback()
def ipam() -> None:
    """Show who has which addresses, and check that the records agree.

    [dim]$[/dim] felixctl ipam show --show-blocks           [dim]# how full pools and blocks are[/dim]
    [dim]$[/dim] felixctl ipam show --ip 10.65.84.128       [dim]# who has it[/dim]
    [dim]$[/dim] felixctl ipam check --fix                  [dim]# find what is wrong, repair what is safe[/dim]
    """


@app.command()
def show(
    show_blocks: Annotated[bool, typer.Option("--show-blocks", help="Add a row for each block.")] = False,
    ip: Annotated[str | None, typer.Option("--ip", metavar="ADDRESS", help="Show who has this address.")] = None,
    show_borrowed: Annotated[
        bool, typer.Option("--show-borrowed", help="List addresses that nodes borrow from others' blocks.")
    ] = False,
    show_configuration: Annotated[bool, typer.Option("--show-configuration", help="Show the IPAM settings.")] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Show how full pools are, who has an address, or who borrows from whom.

    Addresses of tunnels count as in use, as those of pods do.

    [dim]$[/dim] felixctl ipam show --show-blocks
    [dim]$[/dim] felixctl ipam show --ip 10.65.84.128
    """
    print_out(reading(url, _question(show_blocks, ip, show_borrowed, show_configuration)))


app.command()(check)
app.command()(release)
app.command()(split)


@app.command()
def configure(
    strict_affinity: Annotated[
        Switch | None,
        typer.Option("--strictaffinity", help="Whether nodes are forbidden to borrow from each other's blocks."),
    ] = None,
    max_blocks: Annotated[int | None, typer.Option("--max-blocks-per-host", help="0: the default limit of 20.")] = None,
    cooldown: Annotated[
        int | None,
        typer.Option("--ip-cooldown-seconds", help="How long a released address is not assigned again."),
    ] = None,
    persistence: Annotated[
        Persistence | None,
        typer.Option("--kubevirt-ip-persistence", help="Whether KubeVirt virtual machines keep their addresses."),
    ] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Change the settings of all nodes; see them with [b]ipam show --show-configuration[/b].

    [dim]$[/dim] felixctl ipam configure --strictaffinity=true --max-blocks-per-host 4
    """
    strict = None if strict_affinity is None else strict_affinity is Switch.TRUE
    chosen = {
        "strictAffinity": strict,
        "maxBlocksPerHost": max_blocks,
        "ipCooldownSeconds": cooldown,
        "kubeVirtVMAddressPersistence": persistence and str(persistence),
    }
    spec = {field: value for field, value in chosen.items() if value is not None}
    if not spec:
        raise CommandError("ipam configure: nothing to change; see felixctl ipam configure --help", MISUSED)
    written = writing(url, lambda store: _configure(store, spec))
    print_out("".join(f"Successfully set {field} to: {_text(value)}\n" for field, value in spec.items()))
    from felixctl import notices  # imported late: the rules of every kind come with it

    warn(notices.as_lines([written]))


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


async def _configure(store: Store, changes: Mapping[str, object]) -> IPAMConfig:
    old = await found_or_none(store.get(IPAMConfig, "default"))
    if old is None:
        usual = IPAMConfig.make("default", strict_affinity=False, auto_allocate_blocks=True)
        return await store.create(_with(usual, changes))
    return await store.update(_with(old, changes))


def _with(config: IPAMConfig, changes: Mapping[str, object]) -> IPAMConfig:
    """Raises Invalid."""
    record = config.to_json()
    changed = IPAMConfig.read({**record, "spec": {**record["spec"], **changes}})
    if changed.fault and not config.fault:
        raise Invalid(f'IPAMConfig "{config.name}": {changed.fault}')
    if changed.limits_borrowers and not changes.keys().isdisjoint({"strictAffinity", "maxBlocksPerHost"}):
        limit = f"maxBlocksPerHost {changed.spec.max_blocks_per_host}"
        raise Invalid(
            f'IPAMConfig "{config.name}": {limit} needs strictAffinity true, as a node at its limit borrows nothing all'
            " the same; give --strictaffinity=true, or --max-blocks-per-host=0 for no limit but the usual one"
        )
    return changed


def _question(blocks: bool, ip: str | None, borrowed: bool, configuration: bool) -> Callable[[Store], Awaitable[str]]:
    """Return the reading that the options ask for."""
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
    pools, blocks = await store.list(IPPool), await store.list(IPAMBlock)
    return usage.usage(pools.objects, blocks.objects, show_blocks=show_blocks)


async def _owner(store: Store, text: str) -> str:
    return usage.owner(address_option(text, "ipam show"), (await store.list(IPAMBlock)).objects)


async def _borrowed(store: Store) -> str:
    return usage.borrowed((await store.list(IPAMBlock)).objects)


async def _configuration(store: Store) -> str:
    return usage.configuration(await found_or_none(store.get(IPAMConfig, "default")))
