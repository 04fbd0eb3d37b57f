"""`felixctl apply, create, replace, delete, patch, label`: change resources as calicoctl's users do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from datastore.defaults import DEFAULT_URL
from datastore.kinds.node import Node
from datastore.merge_patch import merged
from datastore.record import Resource
from datastore.url import has_namespaces
from felixctl.completion import complete_kinds, complete_names
from felixctl.connection import previewing, writing
from felixctl.errors import MISUSED, CommandError, bounded
from felixctl.host_settings import DEFAULT_RUN_DIR
from felixctl.ipam.local_agent import sign_of_life
from felixctl.late_progress import late_progress
from felixctl.options import RunDir, Url
from felixctl.resources import patches, plan
from felixctl.resources.apply import Done, carry_out, change, preview, removal, remove
from felixctl.resources.arguments import (
    DryRun,
    Files,
    Kind,
    Name,
    Namespace,
    Recursive,
    SkipEmpty,
    SkipUnsupported,
    noun_named,
)
from felixctl.resources.documents import MalformedDocumentError, yaml_value
from felixctl.resources.files import read_manifests, skipped
from felixctl.resources.manifests import FileContents, ObjectKey, key_of
from felixctl.resources.plan import Decision
from felixctl.resources.view import Json
from felixctl.terminal import show, warn
from net.printable import one_line

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def apply(
    files: Files = None,
    recursive: Recursive = False,
    skip_empty: SkipEmpty = False,
    namespace: Namespace = None,
    dry_run: DryRun = False,
    skip_unsupported: SkipUnsupported = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Make the datastore match a file: create resources that are new, change the others.

    Everything is checked first: if any resource is wrong, all mistakes are reported and [b]nothing[/b] is written. A
    resource with a [b]resourceVersion[/b] is written only if it has not been changed since. Fields that
    felix-py does not obey are written and reported, and so are those that a file does not decide, such as
    [b]status[/b].

    [dim]$[/dim] felixctl apply -f pools.yaml --dry-run
    [dim]$[/dim] felixctl apply -f pools.yaml
    [dim]$[/dim] felixctl get bgppeers -o yaml | sed s/65001/65002/ | felixctl apply -f -
    """
    read = partial(
        read_manifests, files, recursive, namespace, skip_unsupported=skip_unsupported, skip_empty=skip_empty
    )
    _write("applied", read, url, plan.applied, dry_run=dry_run)


@app.command()
def create(
    files: Files = None,
    recursive: Recursive = False,
    skip_empty: SkipEmpty = False,
    namespace: Namespace = None,
    dry_run: DryRun = False,
    skip_exists: Annotated[bool, typer.Option("--skip-exists", help="Leave existing resources as they are.")] = False,
    skip_unsupported: SkipUnsupported = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Create resources from a file; fails if one exists already.

    [dim]$[/dim] felixctl create -f peer.yaml
    """
    read = partial(
        read_manifests, files, recursive, namespace, skip_unsupported=skip_unsupported, skip_empty=skip_empty
    )
    _write("created", read, url, partial(plan.created, skip_existing=skip_exists), dry_run=dry_run)


@app.command()
def replace(
    files: Files = None,
    recursive: Recursive = False,
    skip_empty: SkipEmpty = False,
    namespace: Namespace = None,
    dry_run: DryRun = False,
    skip_unsupported: SkipUnsupported = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Change existing resources as a file describes them; fails if one does not exist.

    [dim]$[/dim] felixctl replace -f peer.yaml
    """
    read = partial(
        read_manifests, files, recursive, namespace, skip_unsupported=skip_unsupported, skip_empty=skip_empty
    )
    _write("replaced", read, url, plan.replaced, dry_run=dry_run)


@app.command()
def delete(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="The kind of resource.", autocompletion=complete_kinds),
    ] = None,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", autocompletion=complete_names)] = None,
    files: Files = None,
    recursive: Recursive = False,
    skip_empty: SkipEmpty = False,
    namespace: Namespace = None,
    dry_run: DryRun = False,
    skip_missing: Annotated[
        bool, typer.Option("-s", "--skip-not-exists", help="Ignore resources that do not exist.")
    ] = False,
    skip_unsupported: SkipUnsupported = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also delete a pool whose addresses are in use, or a node that is alive.")
    ] = False,
    release: Annotated[
        bool,
        typer.Option(
            "--release", help="Also release the endpoints, addresses and blocks of a node that is gone for good."
        ),
    ] = False,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    url: Url = DEFAULT_URL,
) -> None:
    """Delete resources by name, or those that a file lists.

    If one of them does not exist, nothing is deleted. With [b]--dry-run[/b] all checks are made and the resources are
    listed.

    A pool is disabled first, and its blocks are released. While its addresses are in use this is refused, because it
    would cut pods off; [b]--force[/b] does it all the same.

    A node that is alive, as this machine's agent knows from its BGP session, is refused too. The empty blocks of a node
    are released with it; what else it holds is listed, and released by [b]--release[/b].

    [dim]$[/dim] felixctl delete bgppeer tor-1
    [dim]$[/dim] felixctl delete node n3 --release
    [dim]$[/dim] felixctl delete -f pools.yaml
    """
    if bool(kind) == bool(files) or bool(kind) != bool(names):
        raise CommandError("delete what? Give a kind and names, or -f FILE (see felixctl delete --help)", MISUSED)
    if kind:
        keys = [key_of(noun_named(kind), name, namespace) for name in names or ()]
    else:
        with late_progress() as tell:
            batch = read_manifests(
                files, recursive, namespace, skip_unsupported=skip_unsupported, skip_empty=skip_empty, tell=tell
            )
        keys = [one.key for one in batch.manifests]
        warn(skipped(batch))
        if batch.mistakes:
            raise CommandError((*batch.mistakes, "nothing was deleted"))
    if release and not any(key.model is Node for key in keys):
        raise CommandError("delete: --release is for nodes", MISUSED)
    alive = partial(sign_of_life, run_dir=run_dir)
    if dry_run:
        planned = previewing(
            url, lambda store: removal(store, keys, skip_missing=skip_missing, force=force, sign_of_life=alive)
        )
        show(plan.would_do(planned.steps, len(planned.steps)))
        show("".join(f"would delete {one_line(str(key))}, which cannot be read\n" for key in planned.unread))
        return
    with late_progress() as tell:
        removed = writing(
            url,
            lambda store: remove(
                store, keys, skip_missing=skip_missing, force=force, release=release, sign_of_life=alive, tell=tell
            ),
        )
    show(plan.result("deleted", removed.keys))
    show("".join(f"  {one_line(sentence)}\n" for sentence in removed.done))
    show("".join(f"Left: {one_line(sentence)}\n" for sentence in removed.left))


class PatchType(StrEnum):
    """The kinds of patch that calicoctl knows."""

    STRATEGIC = "strategic"
    JSON = "json"
    MERGE = "merge"


@app.command()
def patch(
    kind: Kind,
    name: Name,
    patch: Annotated[str, typer.Option("-p", "--patch", help="What to change, as JSON or YAML.")],
    patch_type: Annotated[
        PatchType,
        typer.Option("-t", "--type", help="json: RFC 6902. For these kinds the two others are the same: RFC 7396."),
    ] = PatchType.STRATEGIC,
    namespace: Namespace = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Change some fields of a resource: by a mapping in which null removes a field, or by a list of operations.

    [dim]$[/dim] felixctl patch ippool default-ipv4-ippool -p '{"spec": {"natOutgoing": false}}'
    [dim]$[/dim] felixctl patch node n1 -t json -p '\\[{"op": "remove", "path": "/spec/bgp/asNumber"}]'
    """
    key = key_of(noun_named(kind), name, namespace)
    try:
        parsed = yaml_value(patch)
    except MalformedDocumentError as error:
        raise CommandError(f"patch {key}: the patch is neither JSON nor YAML ({error})", MISUSED) from None
    match patch_type, parsed:
        case PatchType.JSON, list():
            patched = _edit(url, key, lambda seen: patches.operated(seen, parsed))
        case ((PatchType.MERGE | PatchType.STRATEGIC), dict()):
            patched = _edit(url, key, lambda seen: merged(seen, parsed))
        case _:
            expected = "a list of operations" if patch_type is PatchType.JSON else "one mapping"
            raise CommandError(f"patch {key}: with --type {patch_type} the patch is {expected}", MISUSED)
    show(f"Successfully patched 1 '{key.noun.kind}' resource\n")
    _show_notices(patched.written, patched.not_taken, url)


@app.command()
def label(
    kind: Kind,
    name: Name,
    labels: Annotated[list[str], typer.Argument(metavar="KEY=VALUE", help="With --remove, keys alone.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Allow changing the value of an existing label.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove these labels.")] = False,
    namespace: Namespace = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Set or remove labels of a resource.

    [dim]$[/dim] felixctl label node n1 rack=a route-reflector=true
    [dim]$[/dim] felixctl label node n1 rack --remove
    """
    key = key_of(noun_named(kind), name, namespace)
    values = {word.partition("=")[0]: None if remove else word.partition("=")[2] for word in labels}
    if not remove and (bare := [word for word in labels if "=" not in word]):
        raise CommandError(f"label {key}: {', '.join(bare)} has no value; write KEY=VALUE, or --remove", MISUSED)
    _edit(url, key, lambda seen: patches.labelled(seen, values, overwrite=overwrite))
    show(f"Successfully {'removed' if remove else 'set'} label(s) of 1 '{key.noun.kind}' resource\n")


def _write(verb: str, read: Callable[..., FileContents], url: str, decide: Decision, *, dry_run: bool) -> None:
    with late_progress() as tell:
        batch = read(tell=tell)
    on_kubernetes = has_namespaces(url)
    with _mistakes_of(batch), late_progress() as tell:
        if dry_run:
            planned = previewing(
                url, lambda store: preview(store, batch, decide, on_kubernetes=on_kubernetes, tell=tell)
            )
        else:
            done = writing(url, lambda store: carry_out(store, batch, decide, on_kubernetes=on_kubernetes, tell=tell))
    if dry_run:
        show(plan.would_do(planned.steps, len(batch.manifests)))
        _show_notices([step.resource for step in planned.steps], planned.not_taken, url)
    else:
        show(plan.result(verb, [one.key for one in batch.manifests]))
        _show_notices(done.written, done.not_taken, url)


@contextmanager
def _mistakes_of(batch: FileContents) -> Iterator[None]:
    """Name what was left out of the files; their mistakes are told even if the datastore cannot be reached."""
    warn(skipped(batch))
    try:
        yield
    except CommandError as error:
        untold = [mistake for mistake in batch.mistakes if mistake not in error.sentences]
        raise CommandError((*untold, *error.sentences), error.status) from None


def _edit(url: str, key: ObjectKey, edit: Callable[[Json], Json]) -> Done:
    if key.noun.written_by:
        raise CommandError(f"{key} is written by {key.noun.written_by} only")
    return writing(url, lambda store: change(store, key, edit))


def _show_notices(written: Sequence[Resource], not_taken: Sequence[str], url: str) -> None:
    """Print what of the written resources is not obeyed. That is no error: the command ends with 0."""
    from felixctl import notices  # imported late: the rules of every kind come with it

    told = "".join(f"notice: {one_line(sentence)}\n" for sentence in bounded(not_taken))
    warn(told + notices.as_lines(written, has_namespaces=has_namespaces(url)))
