"""Print a kind as a table, from as little as it shows: plain records of a file, summaries of pods, else the objects."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from datastore.defaults import DEFAULT_AS_NUMBER
from datastore.sqlite_records import PlainRecords, kept_of_all, read_plainly
from felixctl.datastore_choice import existing_file
from felixctl.lean_imports import expect_pydantic, load_msgspec
from felixctl.resources import kinds, view
from felixctl.resources.columns import Column
from felixctl.resources.kinds import Noun
from felixctl.resources.view import Json
from felixctl.tables import plain
from felixctl.terminal import show, warn

if TYPE_CHECKING:  # only pods of an API server are read as summaries
    from datastore.summaries import EndpointSummary

CLUSTERS_AS_IN = "BGPConfiguration"
MANY_ENDPOINTS = 1500
"""Of so many, decoding and looking at each takes longer than the import of a quicker decoder."""


class TableRow(NamedTuple):
    """A row of a table, and what the table is sorted by."""

    order: tuple[str | float, ...]
    cells: tuple[str, ...]


def print_table(url: str, noun: Noun, within: str | None, *, wide: bool, namespaces: bool) -> None:
    """Raises CommandError. within: the namespace of kinds that have one; None: all of them."""
    path = existing_file(url)
    text = _of_file(path, noun, within if noun.namespaced else None, wide, namespaces) if path else None
    if text is None and noun.kind == "WorkloadEndpoint" and within is None and not wide and _is_api_server(url):
        expect_pydantic()
        text = _of_pods(url, noun, namespaces)
    if text is not None:
        show(text)
        return
    expect_pydantic()
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

    def cells(records: PlainRecords) -> list[tuple[str, ...]]:
        if noun.kind == "WorkloadEndpoint" and not wide and records.count(noun.stored_kind) >= MANY_ENDPOINTS:
            return _endpoint_cells(records, namespace, namespaces)
        return _cells(records, noun, columns, namespace)

    found = read_plainly(path, cells)
    return None if found is None else plain(kinds.headings(columns), found)


def _cells(
    records: PlainRecords, noun: Noun, columns: Sequence[Column], namespace: str | None
) -> list[tuple[str, ...]]:
    def row(record: Json) -> TableRow:
        shown = view.shown({**record, "kind": noun.stored_kind})
        return TableRow(kinds.order(noun, shown), kinds.row(columns, shown, DEFAULT_AS_NUMBER))

    return [one.cells for one in sorted(records.kept(noun.stored_kind, row, namespace))]


def _endpoint_cells(records: PlainRecords, namespace: str | None, namespaces: bool) -> list[tuple[str, ...]]:
    load_msgspec()
    from datastore.summaries import ENDPOINTS, endpoint_row

    rows = sorted(records.all(ENDPOINTS.kind_name, endpoint_row, namespace))
    if namespaces:
        return [(one.namespace, one.pod, one.node, one.networks, one.interface) for one in rows]
    return [(one.pod, one.node, one.networks, one.interface) for one in rows]


def _of_pods(url: str, noun: Noun, namespaces: bool) -> str:
    """Return the table of all pods, which an API server sends as quickly as nothing else. Raises CommandError."""
    from datastore.summaries import ENDPOINTS
    from felixctl.connection import reading

    found = reading(url, lambda store: store.summarize(ENDPOINTS))
    warn("".join(f"{record.reason}; it is left out\n" for record in found.unreadable))
    columns = kinds.columns(noun, wide=False, namespaces=namespaces)
    views = sorted(map(shown_summary, found.objects), key=partial(kinds.order, noun))
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
