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
from felixctl.completion import complete_formats
from felixctl.connection import reading
from felixctl.errors import MISUSED, CommandError
from felixctl.options import Url
from felixctl.resources import formats, kinds, plan, selection, view
from felixctl.resources.arguments import AllNamespaces, Kind, Names, Namespace, noun_named
from felixctl.resources.kinds import Noun
from felixctl.resources.view import Json
from felixctl.terminal import show

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def get(
    kind: Kind,
    names: Names = None,
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
    [dim]$[/dim] felixctl get nodes -o jsonpath='{range .items\\[*]}{.metadata.name}{"\\n"}{end}'
    [dim]$[/dim] felixctl get ippools -o custom-columns=NAME,CIDR,SIZE:.spec.blockSize
    """
    noun = noun_named(kind)
    if names and labels:
        raise CommandError("get: names and -l exclude each other", MISUSED)
    try:
        name, template = formats.checked(output)
        selector = selection.chosen(labels or "")
    except (formats.FormatError, SelectorError) as error:
        raise CommandError(f"get {noun.plural}: {error}", MISUSED) from None
    within = None if all_namespaces else namespace or plan.DEFAULT_NAMESPACE
    found, cluster_as = reading(url, lambda store: _found(store, noun, names or (), within))
    chosen = _chosen(found, selector)
    if not names:
        chosen.sort(key=lambda shown: kinds.order(noun, shown.view))
    views = [shown.view for shown in chosen]
    whole = views[0] if names and len(views) == 1 else views if names else view.listed(noun.kind, views)
    namespaces = all_namespaces or namespace is not None
    try:
        text = formats.rendered(name, template, noun, views, whole, namespaces=namespaces, cluster_as=cluster_as)
    except formats.FormatError as error:
        raise CommandError(f"get {noun.plural}: {error}", MISUSED) from None
    show((_notices(chosen) if name == "yaml" else "") + text)


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


async def _found(store: Store, noun: Noun, names: Sequence[str], namespace: str | None) -> tuple[list[Resource], int]:
    """Return the objects of these names, or all, and the AS number of nodes that have none of their own."""
    model = KINDS[noun.stored_kind]
    if names:
        keys = [plan.key_of(noun, name, namespace) for name in names]
        found = [await store.get(model, key.name, key.namespace) for key in keys]
    else:
        found = list((await store.list(Interest(model, namespace=namespace if noun.namespaced else None))).objects)
    configuration = await found_or_none(store.get(BGPConfiguration, "default"))
    return found, configuration.as_number if configuration else DEFAULT_AS_NUMBER
