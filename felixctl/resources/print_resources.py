"""Print resources that the store reads: as tables, whole, or by a template."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import NamedTuple

from datastore.cas import found_or_none
from datastore.defaults import DEFAULT_AS_NUMBER
from datastore.kinds.bgp import BGPConfiguration
from datastore.record import Resource
from datastore.resources import KINDS
from datastore.selector import Selector, SelectorError
from datastore.store import Interest, Store
from datastore.url import has_namespaces
from felixctl.connection import reading
from felixctl.errors import MISUSED, CommandError
from felixctl.resources import formats, kinds, selection, view
from felixctl.resources.kinds import Noun
from felixctl.resources.manifests import ObjectKey
from felixctl.resources.view import Json
from felixctl.terminal import show


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


def print_resources(
    url: str, asked: Sequence[Asked], within: str | None, output: str, labels: str = "", *, namespaces: bool
) -> None:
    """Print what is asked for in a format. Raises CommandError.

    within: the namespace of what has one and is asked for without names; None: all of them. output, labels: as the
    options `-o` and `-l` have them. namespaces: whether a table shows them.
    """
    with _misuse_of(asked):
        name, template = formats.checked(output)
        selector = selection.chosen(labels)
    answers = reading(url, lambda store: _answers(store, asked, within))
    layout = Layout(name, template, namespaces, answers.cluster_as)
    chosen = [_chosen(one, found, selector) for one, found in zip(asked, answers.found, strict=True)]
    with _misuse_of(asked):
        text = _printed(asked, chosen, layout)
    show((_notices(chain(*chosen), url) if name == "yaml" else "") + text)


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
    from felixctl import notices  # imported late: the rules of every kind come with it

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
