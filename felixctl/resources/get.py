"""`felixctl get`: print resources as tables, YAML, JSON or by a template."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, NamedTuple

import typer

from datastore.cas import found_or_none
from datastore.defaults import DEFAULT_AS_NUMBER, DEFAULT_URL
from datastore.kinds.bgp import BGPConfiguration
from datastore.record import Resource
from datastore.resources import KINDS
from datastore.selector import Selector, SelectorError
from datastore.store import Interest, Store
from felixctl.completion import complete_formats, complete_kinds
from felixctl.connection import reading
from felixctl.errors import MISUSED, CommandError
from felixctl.options import Url
from felixctl.resources import formats, kinds, selection, view
from felixctl.resources.arguments import AllNamespaces, Files, Names, Namespace, Recursive, SkipUnsupported, noun_named
from felixctl.resources.files import read_manifests, skipped
from felixctl.resources.kinds import Noun
from felixctl.resources.manifests import DEFAULT_NAMESPACE, ObjectKey, key_of
from felixctl.resources.view import Json
from felixctl.terminal import show, warn

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def get(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="What to get, with names or all.", autocompletion=complete_kinds),
    ] = None,
    names: Names = None,
    files: Files = None,
    recursive: Recursive = False,
    skip_unsupported: SkipUnsupported = False,
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="FORMAT",
            help="ps (the short table), wide, yaml, json, name, jsonpath=TEMPLATE, custom-columns=COLUMNS.",
            autocompletion=complete_formats,
        ),
    ] = "ps",
    labels: Annotated[
        str | None,
        typer.Option(
            "-l", "--selector", metavar="LABELS", help="Only those with these labels: [b]rack=a,!old[/b] or has(rack)."
        ),
    ] = None,
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Print resources: as a table, whole, or just the fields you name.

    What [b]-o yaml[/b] prints can be changed and given to [b]apply -f[/b].

    [b]-o jsonpath[/b] takes templates as kubectl does; see docs/calicoctl.md for how much of them.

    [b]-o custom-columns[/b] takes columns of the table (NAME,CIDR) and fields (SIZE:.spec.blockSize).

    [dim]$[/dim] felixctl get nodes -o wide
    [dim]$[/dim] felixctl get ippool default-ipv4-ippool -o yaml
    [dim]$[/dim] felixctl get wep -A -l app=web
    [dim]$[/dim] felixctl get -f peers.yaml -o yaml  [dim]# what the datastore has of what a file names[/dim]
    [dim]$[/dim] felixctl get nodes -o jsonpath='{range .items\\[*]}{.metadata.name}{"\\n"}{end}'
    [dim]$[/dim] felixctl get ippools -o custom-columns=NAME,CIDR,SIZE:.spec.blockSize
    """
    if bool(kind) == bool(files):
        raise CommandError("get what? Give a kind, or -f FILE (see felixctl get --help)", MISUSED)
    if labels and (names or files):
        raise CommandError("get: names and -l exclude each other", MISUSED)
    namespace_meant = namespace or DEFAULT_NAMESPACE
    if files:
        batch = read_manifests(files, recursive, namespace, skip_unsupported=skip_unsupported)
        if batch.mistakes:
            raise CommandError(batch.mistakes)
        warn(skipped(batch))
        asked = _grouped(one.key for one in batch.manifests)
    else:
        noun = noun_named(kind or "")
        asked = [Asked(noun, [key_of(noun, name, namespace_meant) for name in names or ()])]
    try:
        name, template = formats.checked(output)
        selector = selection.chosen(labels or "")
    except (formats.FormatError, SelectorError) as error:
        what = ", ".join(one.noun.plural for one in asked)
        raise CommandError(f"get {what}: {error}", MISUSED) from None
    within = None if all_namespaces else namespace_meant
    answers, cluster_as = reading(url, lambda store: _answers(store, asked, within))
    listed = [(one, _in_order(one, _chosen(found, selector))) for one, found in zip(asked, answers, strict=True)]
    layout = Layout(name, template, all_namespaces or namespace is not None, cluster_as)
    everything = [shown for _, chosen in listed for shown in chosen]
    if len(listed) > 1 and name in ("yaml", "json", "jsonpath"):
        listed = [(asked[0], everything)]
    text = "".join(_rendered(one, chosen, layout) for one, chosen in listed)
    show((_notices(everything) if name == "yaml" else "") + text)


class Asked(NamedTuple):
    """Objects of one kind by name; without names, all of them."""

    noun: Noun
    keys: Sequence[ObjectKey]


class Layout(NamedTuple):
    """How resources are printed."""

    name: str
    template: str
    namespaces: bool
    cluster_as: int


def _grouped(keys: Iterable[ObjectKey]) -> list[Asked]:
    """Return what a file names, kind by kind, in the file's order."""
    by_noun: dict[str, list[ObjectKey]] = {}
    for key in keys:
        by_noun.setdefault(key.noun.kind, []).append(key)
    return [Asked(found[0].noun, found) for found in by_noun.values()]


def _in_order(asked: Asked, chosen: list[Shown]) -> list[Shown]:
    return chosen if asked.keys else sorted(chosen, key=lambda shown: kinds.order(asked.noun, shown.view))


def _rendered(asked: Asked, chosen: Sequence[Shown], layout: Layout) -> str:
    noun, views = asked.noun, [shown.view for shown in chosen]
    whole = (views[0] if len(views) == 1 else views) if asked.keys else view.listed(noun.kind, views)
    name, template, namespaces, cluster_as = layout
    try:
        return formats.rendered(name, template, noun, views, whole, namespaces=namespaces, cluster_as=cluster_as)
    except formats.FormatError as error:
        raise CommandError(f"get {noun.plural}: {error}", MISUSED) from None


class Shown(NamedTuple):
    """A resource, and the form of it that is shown."""

    resource: Resource
    view: Json


def _chosen(found: Iterable[Resource], selector: Selector) -> list[Shown]:
    shown = (Shown(resource, view.of(resource)) for resource in found)
    return [one for one in shown if selector.matches(one.view["metadata"].get("labels") or {})]


def _notices(chosen: Iterable[Shown]) -> str:
    from felixctl.resources import notices  # imported late: the rules of every kind come with it

    return notices.as_comments(shown.resource for shown in chosen)


async def _answers(store: Store, asked: Sequence[Asked], namespace: str | None) -> tuple[list[list[Resource]], int]:
    """Return the objects for each kind, and the AS number of nodes that have none of their own."""
    found = [await _found(store, one, namespace) for one in asked]
    configuration = await found_or_none(store.get(BGPConfiguration, "default"))
    return found, configuration.as_number if configuration else DEFAULT_AS_NUMBER


async def _found(store: Store, asked: Asked, namespace: str | None) -> list[Resource]:
    model = KINDS[asked.noun.stored_kind]
    if asked.keys:
        return [await store.get(model, key.name, key.namespace) for key in asked.keys]
    within = namespace if asked.noun.namespaced else None
    return list((await store.list(Interest(model, namespace=within))).objects)
