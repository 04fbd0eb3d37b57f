"""`felixctl datastore`: stop the assignment of addresses, and take a cluster along to another datastore."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from datastore.cas import ATTEMPTS
from datastore.defaults import DEFAULT_URL
from datastore.errors import Conflict, NotFound
from datastore.kinds.cluster import IMPORT_MARK, ClusterInformation
from datastore.store import Store
from datastore.url import has_namespaces
from felixctl.connection import previewing, reading, writing
from felixctl.datastore.migration_file import Migration, read_migration
from felixctl.errors import CommandError, RejectedError, bounded
from felixctl.options import Url
from felixctl.resources.arguments import DryRun
from felixctl.resources.files import text_of
from felixctl.terminal import show, warn
from net.printable import one_line

app = typer.Typer(add_completion=False, rich_markup_mode="rich", no_args_is_help=True)
migrate = typer.Typer(rich_markup_mode="rich", no_args_is_help=True)
app.add_typer(migrate, name="migrate")


@app.callback()
def datastore() -> None:
    """Lock and unlock the datastore, and migrate to another one.

    [dim]$[/dim] felixctl datastore lock
    [dim]$[/dim] felixctl ipam check -o leaks.json; felixctl ipam release --from-report leaks.json
    [dim]$[/dim] felixctl datastore unlock
    """


@migrate.callback()
def migrate_group() -> None:
    """Migrate to another datastore: from SQLite to Kubernetes or back, or from Calico on etcd.

    Lock and export the old datastore, import into the new one before an agent uses it, restart the agents with the new
    one, and unlock it.

    [dim]$[/dim] felixctl datastore migrate lock
    [dim]$[/dim] felixctl datastore migrate export > cluster.yaml
    [dim]$[/dim] felixctl datastore migrate import -f cluster.yaml --datastore kubernetes://
    [dim]$[/dim] felixctl datastore migrate unlock --datastore kubernetes://
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


@migrate.command()
def export(url: Url = DEFAULT_URL) -> None:
    """Print all that the datastore has of the cluster, as calicoctl's export does, for import.

    The datastore must be locked. The export leaves out Secrets and what each datastore assigns itself (revisions, uids,
    times); it includes workload endpoints, for a datastore without pods.

    [dim]$[/dim] felixctl datastore migrate export > cluster.yaml
    """
    from felixctl.datastore.migrate import export_text  # imported late: to lock needs none of it

    show(reading(url, export_text))


@migrate.command("import")
def import_(
    file: Annotated[
        str, typer.Option("-f", "--filename", metavar="FILE", help="What export printed; [b]-[/b]: standard input.")
    ],
    dry_run: DryRun = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Write what export printed, felixctl's or calicoctl's, into an empty datastore, and leave that locked.

    On Kubernetes the definitions must be installed. Nodes and pods are the cluster's own there: records of nodes and
    endpoints without a Node or Pod of that name are listed and left out. If the import ends half way, run it again with
    the same file: what is there already is compared with the file, and the rest is written. Until everything is there,
    the datastore cannot be unlocked.

    [dim]$[/dim] felixctl datastore migrate import -f cluster.yaml --datastore kubernetes://
    """
    from felixctl import notices
    from felixctl.datastore import migrate as work  # imported late: to lock needs none of it

    migration, on_kubernetes = _read(file), has_namespaces(url)
    if dry_run:
        plan = previewing(url, lambda store: work.import_plan(store, migration, on_kubernetes=on_kubernetes))
        warn("".join(f"notice: {one_line(sentence)}\n" for sentence in bounded(plan.told)))
        show(f"would write {len(plan.writes) + bool(plan.begin)} objects\n")
        return
    done = writing(url, lambda store: work.import_into(store, migration, on_kubernetes=on_kubernetes))
    warn("".join(f"notice: {one_line(sentence)}\n" for sentence in bounded(done.told)))
    warn(notices.as_lines(done.written, has_namespaces=on_kubernetes))
    if done.written:
        show(
            f"Successfully imported {len(done.written)} resource(s). The datastore is locked: start the agents with it,"
            " and then felixctl datastore migrate unlock\n"
        )
    else:
        show("All of it is there already. Nothing was written.\n")


def _read(file: str) -> Migration:
    name = "standard input" if file == "-" else file
    try:
        text = text_of(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
        return read_migration(text, name)
    except OSError as error:
        raise CommandError(f"read {name}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise CommandError(f"read {name}: it is not {error.encoding.upper()} text") from None
    except RejectedError as error:
        raise CommandError((*error.sentences, "nothing was written")) from None


for group in (app, migrate):
    group.command()(lock)
    group.command()(unlock)


async def _set(store: Store, ready: bool) -> bool:
    """Write whether the datastore is ready; False if it was so already."""
    what = "unlock the datastore" if ready else "lock the datastore"
    for _ in range(ATTEMPTS):
        try:
            now = await store.get(ClusterInformation, "default")
            if ready and now.is_incomplete:
                raise CommandError(
                    f"{what}: an import into it is not complete, so addresses in use would be assigned again; import"
                    " the same file again, or, if it is given up, delete what was imported and the annotation"
                    f" {IMPORT_MARK}"
                )
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
