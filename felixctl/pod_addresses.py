"""`felixctl why POD`: which pools a pod gets its addresses from, or why it gets none.

An edge: it reads the datastore's records, has explain.pools judge them, and prints the result.
"""

from __future__ import annotations

import json

import typer

from datastore.cas import found_or_none
from datastore.defaults import DEFAULT_NAMESPACE
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.namespace import Namespace
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.store import Store
from datastore.url import has_namespaces
from explain.ends import Unclear, pods_named
from explain.pools import AddressFacts, about_addresses, used_addresses, verdict_on
from explain.records import PodRecord
from explain.step import Command
from felixctl.cluster_records import read_cluster
from felixctl.connection import reading
from felixctl.errors import FAILED, MISUSED, CommandError
from felixctl.explanation import explained, step_record
from felixctl.options import OutputFormat
from felixctl.terminal import show


def print_addresses(asked: str, url: str, output: OutputFormat) -> None:
    """Print where the addresses of a pod come from; end with 1 if it gets none."""
    try:
        pod, facts = reading(url, lambda store: _read_pod(store, asked, namespaces=has_namespaces(url)))
    except Unclear as error:
        raise CommandError(str(error), status=MISUSED) from None
    steps = about_addresses(facts, pod)
    judged = verdict_on(pod, steps)
    if output is OutputFormat.JSON:
        found = {
            "pod": {"name": pod.title, "node": pod.node, "addresses": pod.addresses},
            "assignable": judged.reachable,
            "verdict": judged.sentence,
            "broken": judged.first and step_record(judged.first, _typed),
            "steps": [step_record(step, _typed) for step in steps],
        }
        show(json.dumps(found, indent=2) + "\n")
    else:
        show(*explained({"records": "in the datastore"}, steps, judged, _typed))
    if not judged.reachable:
        raise typer.Exit(FAILED)


def _typed(command: Command) -> str:
    return command.line


async def _read_pod(store: Store, asked: str, *, namespaces: bool) -> tuple[PodRecord, AddressFacts]:
    """Return a pod, or one of this name that is yet to come, and what its addresses depend on. Raises Unclear."""
    records = await read_cluster(store)
    if ":" in asked or asked.replace(".", "").isdecimal() or asked in records.nodes:
        raise Unclear(f"why {asked}: of a node or an address, name the other end, too")
    namespace, slash, name = asked.rpartition("/")
    if not name or "/" in namespace or (slash and not namespace):
        raise Unclear(f"why {asked or repr(asked)}: a pod is NAMESPACE/NAME or NAME")
    found = pods_named(records, asked) or [PodRecord(namespace or DEFAULT_NAMESPACE, name, "", "", ())]
    pod = found[0]
    node = await found_or_none(store.get(Node, pod.node)) if pod.node else None
    cluster = await found_or_none(store.get(ClusterInformation, "default"))
    facts = AddressFacts(
        pools=(await store.list(IPPool)).objects,
        used=used_addresses(records),
        node_labels=node.labels if node else {},
        namespace=await found_or_none(store.get(Namespace, pod.namespace)) if namespaces else None,
        has_namespaces=namespaces,
        ready=cluster.spec.datastore_ready if cluster else None,
        assigned={text: one for block in records.blocks for text, one in block.assigned.items()},
    )
    return pod, facts
