"""`felixctl datastore`: stop the assignment of addresses while their records are repaired."""

from __future__ import annotations

import typer

from datastore.cas import ATTEMPTS
from datastore.defaults import DEFAULT_URL
from datastore.errors import Conflict, NotFound
from datastore.kinds.cluster import ClusterInformation
from datastore.store import Store
from felixctl.connection import writing
from felixctl.errors import CommandError
from felixctl.options import Url
from felixctl.terminal import show

app = typer.Typer(add_completion=False, rich_markup_mode="rich", no_args_is_help=True)
migrate = typer.Typer(help="Where calicoctl has lock and unlock.", no_args_is_help=True)
app.add_typer(migrate, name="migrate", hidden=True)


@app.callback()
def datastore() -> None:
    """Lock the datastore while address records are repaired, and unlock it.

    [dim]$[/dim] felixctl datastore lock
    [dim]$[/dim] felixctl ipam check -o leaks.json; felixctl ipam release --from-report leaks.json
    [dim]$[/dim] felixctl datastore unlock
    """


def lock(url: Url = DEFAULT_URL) -> None:
    """Lock the datastore: no address is assigned until it is unlocked.

    Running pods are not affected, and pods can be deleted. A pod that starts meanwhile is refused with CNI's error 11,
    try again later, and its runtime tries again.

    [dim]$[/dim] felixctl datastore lock
    """
    show("Datastore locked.\n" if writing(url, lambda store: _set(store, False)) else "It is locked already.\n")


def unlock(url: Url = DEFAULT_URL) -> None:
    """Unlock the datastore: addresses are assigned again.

    [dim]$[/dim] felixctl datastore unlock
    """
    show("Datastore unlocked.\n" if writing(url, lambda store: _set(store, True)) else "It is not locked.\n")


for group in (app, migrate):
    group.command()(lock)
    group.command()(unlock)


async def _set(store: Store, ready: bool) -> bool:
    """Write whether the datastore is ready; False if it was so already."""
    what = "unlock the datastore" if ready else "lock the datastore"
    for _ in range(ATTEMPTS):
        try:
            now = await store.get(ClusterInformation, "default")
            if now.spec.datastore_ready is ready:
                return False
            await store.update(now.with_spec(datastore_ready=ready))
        except NotFound:
            raise CommandError(
                f'{what}: there is no ClusterInformation "default", which the first agent creates;'
                " without it no address is assigned"
            ) from None
        except Conflict:
            continue
        return True
    raise CommandError(f"{what}: lost {ATTEMPTS} races in a row; try again")
