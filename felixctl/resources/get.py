"""`felixctl get`: print resources as tables, YAML, JSON or by a template."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Annotated, NamedTuple

import typer

from datastore.cas import found_or_none
from datastore.defaults import DEFAULT_AS_NUMBER, DEFAULT_URL
from datastore.kinds.bgp import BGPConfiguration
from datastore.record import Resource
from datastore.resources import KINDS
from datastore.selector import Selector, SelectorError
from datastore.store import Interest, Store
from datastore.url import has_namespaces
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
    if files:
        asked = _named_in(files, recursive, namespace, skip_unsupported)
    else:
        asked = [_named(noun_named(kind or ""), names or (), namespace)]
    with _misuse_of(asked):
        name, template = formats.checked(output)
        selector = selection.chosen(labels or "")
    within = None if all_namespaces else namespace or DEFAULT_NAMESPACE
    answers = reading(url, lambda store: _answers(store, asked, within))
    layout = Layout(name, template, all_namespaces or namespace is not None, answers.cluster_as)
    chosen = [_chosen(one, found, selector) for one, found in zip(asked, answers.found, strict=True)]
    with _misuse_of(asked):
        text = _printed(asked, chosen, layout)
    show((_notices(chain(*chosen), url) if name == "yaml" else "") + text)


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


class Answers(NamedTuple):
    """The objects for each kind asked for, and the AS number of nodes that have none of their own."""

    found: list[Sequence[Resource]]
    cluster_as: int


def _named(noun: Noun, names: Sequence[str], namespace: str | None) -> Asked:
    return Asked(noun, [key_of(noun, name, namespace) for name in names])


def _named_in(files: Sequence[str], recursive: bool, namespace: str | None, skip_unsupported: bool) -> list[Asked]:
    """Return what files name, kind by kind, in their order."""
    contents = read_manifests(files, recursive, namespace, skip_unsupported=skip_unsupported)
    if contents.mistakes:
        raise CommandError(contents.mistakes)
    warn(skipped(contents))
    by_noun: dict[str, list[ObjectKey]] = {}
    for one in contents.manifests:
        by_noun.setdefault(one.key.noun.kind, []).append(one.key)
    return [Asked(found[0].noun, found) for found in by_noun.values()]


@contextmanager
def _misuse_of(asked: Sequence[Asked]) -> Iterator[None]:
    try:
        yield
    except (formats.FormatError, SelectorError) as error:
        what = ", ".join(one.noun.plural for one in asked)
        raise CommandError(f"get {what}: {error}", MISUSED) from None


def _printed(asked: Sequence[Asked], chosen: Sequence[Sequence[Shown]], layout: Layout) -> str:
    """Return what is printed: table by table, or as one document whatever the kinds."""
    if len(asked) > 1 and layout.name in ("yaml", "json", "jsonpath"):
        return _rendered(asked[0], list(chain(*chosen)), layout)
    return "".join(_rendered(one, shown, layout) for one, shown in zip(asked, chosen, strict=True))


def _rendered(asked: Asked, chosen: Sequence[Shown], layout: Layout) -> str:
    noun, views = asked.noun, [shown.view for shown in chosen]
    whole = (views[0] if len(views) == 1 else views) if asked.keys else view.listed(noun.kind, views)
    name, template, namespaces, cluster_as = layout
    return formats.rendered(name, template, noun, views, whole, namespaces=namespaces, cluster_as=cluster_as)


class Shown(NamedTuple):
    """A resource, and the form of it that is shown."""

    resource: Resource
    view: Json


def _chosen(asked: Asked, found: Iterable[Resource], selector: Selector) -> list[Shown]:
    """Return what the labels choose: in the order asked for, or in that of the kind."""
    shown = (Shown(resource, view.of(resource)) for resource in found)
    chosen = [one for one in shown if selector.matches(one.view["metadata"].get("labels") or {})]
    return chosen if asked.keys else sorted(chosen, key=lambda one: kinds.order(asked.noun, one.view))


def _notices(chosen: Iterable[Shown], url: str) -> str:
    from felixctl.resources import notices  # imported late: the rules of every kind come with it

    return notices.as_comments((shown.resource for shown in chosen), has_namespaces=has_namespaces(url))


async def _answers(store: Store, asked: Sequence[Asked], namespace: str | None) -> Answers:
    found = [await _found(store, one, namespace) for one in asked]
    configuration = await found_or_none(store.get(BGPConfiguration, "default"))
    return Answers(found, configuration.as_number if configuration else DEFAULT_AS_NUMBER)


async def _found(store: Store, asked: Asked, namespace: str | None) -> Sequence[Resource]:
    model = KINDS[asked.noun.stored_kind]
    if asked.keys:
        return [await store.get(model, key.name, key.namespace) for key in asked.keys]
    # The store itself says which records it cannot read.
    return (await store.list(Interest(model, namespace=namespace if asked.noun.namespaced else None))).objects
