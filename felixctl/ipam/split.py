"""`felixctl ipam split`: one pool becomes several with the same settings; pods are not affected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from datastore import fields
from datastore.defaults import DEFAULT_URL
from datastore.kinds.pools import IPPool
from datastore.store import Create, Delete, Store, Write
from felixctl.connection import writing
from felixctl.errors import MISUSED, CommandError
from felixctl.ipam.read_records import cluster_information
from felixctl.options import Url
from felixctl.terminal import show


def split(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="How many pools to make: 2, 4, 8 …")],
    cidr: Annotated[str | None, typer.Option("--cidr", help="The pool's network.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="The pool's name.")] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Split a pool into equal parts, called split-NAME-0, split-NAME-1 …

    Blocks and addresses stay as they are and belong to the part they lie in. The datastore has to be locked, so
    that no node claims a block in between.

    [dim]$[/dim] felixctl datastore lock
    [dim]$[/dim] felixctl ipam split 2 --name default-ipv4-ippool
    [dim]$[/dim] felixctl datastore unlock
    """
    if (cidr is None) == (name is None):
        raise CommandError("ipam split: give --name or --cidr of the pool", MISUSED)
    parts = writing(url, lambda store: _split(store, number, cidr, name))
    show(f"Successfully split the pool into {', '.join(f'{part.name} {part.spec.cidr}' for part in parts)}\n")


async def _split(store: Store, number: int, cidr: str | None, name: str | None) -> tuple[IPPool, ...]:
    pool = _named((await store.list(IPPool)).objects, cidr, name)
    parts = parts_of(pool, number)
    now = await cluster_information(store)
    if now is None or now.spec.datastore_ready:
        raise CommandError(f'split IPPool "{pool.name}": the datastore is not locked; felixctl datastore lock')
    if store.atomic:
        await store.write(Delete(pool), *map(Create, parts))
        return parts
    disabled = await store.update(pool.with_spec(disabled=True))
    steps: Iterable[Write] = (*map(Create, parts), Delete(disabled))
    await store.write(*steps)
    return parts


def _named(pools: Sequence[IPPool], cidr: str | None, name: str | None) -> IPPool:
    for pool in pools:
        if pool.name == name or pool.spec.cidr == cidr:
            return pool
    raise CommandError(f"split {name or cidr}: there is no such pool; see felixctl get ippools")


def parts_of(pool: IPPool, number: int) -> tuple[IPPool, ...]:
    """Return the pools that take a pool's place. Raises CommandError: it can't be divided so."""
    bits = number.bit_length() - 1
    if number < 2 or number != 1 << bits:
        raise CommandError(f'split IPPool "{pool.name}": {number} is not a power of two from 2 on', MISUSED)
    whole = fields.network(pool.spec.cidr)
    length = whole.prefixlen + bits
    if length > pool.block_size:
        most = 1 << max(0, pool.block_size - whole.prefixlen)
        raise CommandError(
            f'split IPPool "{pool.name}": {number} parts of {whole} would be /{length}, smaller than one block of'
            f" /{pool.block_size}; {f'at most {most} parts' if most > 1 else 'it cannot be split'}"
        )
    spec = pool.to_json()["spec"]
    return tuple(
        IPPool.make(
            f"split-{pool.name}-{index}",
            labels=dict(pool.labels) or None,
            annotations=dict(pool.annotations) or None,
            **{**spec, "cidr": str(part)},
        )
        for index, part in enumerate(whole.subnets(new_prefix=length))
    )
