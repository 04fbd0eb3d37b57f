"""Print a kind as a table, from as little as it shows: plain records of a file, summaries of pods, else the objects."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from datastore.defaults import DEFAULT_AS_NUMBER
from datastore.sqlite_records import kept_of_all
from felixctl.datastore_choice import existing_file
from felixctl.resources import kinds, view
from felixctl.resources.kinds import Noun
from felixctl.resources.view import Json
from felixctl.tables import plain
from felixctl.terminal import show

if TYPE_CHECKING:  # only pods of an API server are read as summaries
    from datastore.summaries import EndpointSummary

CLUSTERS_AS_IN = "BGPConfiguration"


class TableRow(NamedTuple):
    """A row of a table, and what the table is sorted by."""

    order: tuple[str | float, ...]
    cells: tuple[str, ...]


def print_table(url: str, noun: Noun, within: str | None, *, wide: bool, namespaces: bool) -> None:
    """Raises CommandError. within: the namespace of kinds that have one; None: all of them."""
    path = existing_file(url)
    text = _of_file(path, noun, within if noun.namespaced else None, wide, namespaces) if path else None
    if text is None and noun.kind == "WorkloadEndpoint" and within is None and not wide and _is_api_server(url):
        text = _of_pods(url, noun, namespaces)
    if text is not None:
        show(text)
        return
    from felixctl.resources.print_resources import Asked, print_resources  # imported late: pydantic comes with it

    print_resources(url, [Asked(noun, ())], within, "wide" if wide else "ps", namespaces=namespaces)


def _is_api_server(url: str) -> bool:
    """Raises CommandError: no store is named."""
    from datastore.url import KubernetesApi
    from felixctl.connection import chosen

    return isinstance(chosen(url), KubernetesApi)


def _of_file(path: Path, noun: Noun, namespace: str | None, wide: bool, namespaces: bool) -> str | None:
    """Return the table; None: the store is to be asked."""
    if noun.kind == "Node" and wide and kept_of_all(path, CLUSTERS_AS_IN, None, lambda record: record) != []:
        return None
    columns = kinds.columns(noun, wide=wide, namespaces=namespaces)

    def row(record: Json) -> TableRow:
        shown = view.shown({**record, "kind": noun.stored_kind})
        return TableRow(kinds.order(noun, shown), kinds.row(columns, shown, DEFAULT_AS_NUMBER))

    rows = kept_of_all(path, noun.stored_kind, namespace, row)
    return None if rows is None else plain(kinds.headings(columns), (one.cells for one in sorted(rows)))


def _of_pods(url: str, noun: Noun, namespaces: bool) -> str:
    """Return the table of all pods, which an API server sends as quickly as nothing else. Raises CommandError."""
    from datastore.summaries import ENDPOINTS
    from felixctl.connection import reading

    found = reading(url, lambda store: store.summarize(ENDPOINTS)).objects
    columns = kinds.columns(noun, wide=False, namespaces=namespaces)
    views = sorted(map(shown_summary, found), key=partial(kinds.order, noun))
    return plain(kinds.headings(columns), (kinds.row(columns, one, DEFAULT_AS_NUMBER) for one in views))


def shown_summary(endpoint: EndpointSummary) -> Json:
    """Return what the short table shows of a pod's endpoint."""
    spec = endpoint.spec
    return {
        "metadata": {"name": endpoint.name, "namespace": endpoint.namespace},
        "spec": {
            "pod": spec.pod,
            "node": spec.node,
            "ipNetworks": [f"{address}/{address.max_prefixlen}" for address in endpoint.addresses],
            "interfaceName": spec.interface_name,
        },
    }
