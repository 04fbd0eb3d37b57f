"""From what a user wrote to the writes on the datastore: which objects are meant, what is wrong, and the steps.

Pure. Everything is checked before anything is written, and all mistakes are reported together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from datastore.errors import Invalid
from datastore.kinds.bgp import BGPConfiguration, BGPPeer
from datastore.kinds.ipam import IPAMBlock
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool, forbidden_changes, misfitting_blocks, overlapping_pools
from datastore.kinds.refusals import refusals
from datastore.names import label_faults, name_faults
from datastore.pool_rules import overlap
from datastore.record import Resource
from datastore.store import Create, Delete, Update, Write
from felixctl.errors import RejectedError
from felixctl.resources import contents, view
from felixctl.resources.documents import Document
from felixctl.resources.manifests import FileContents, Manifest, ObjectKey, manifests_in
from ipam.block import allocations
from ipam.surroundings import cluster_networks, overlaps

R = TypeVar("R", bound=Resource)

Existing = Mapping[ObjectKey, Resource]


class ClusterState(Struct, frozen=True):
    """What of the cluster a change is checked against.

    namespaces: those of the Namespaces that are meant which are there; None: the datastore has none, nor Nodes that are
    Kubernetes' to make.
    """

    existing: Existing
    pools: Sequence[IPPool] = ()
    blocks: Sequence[IPAMBlock] = ()
    nodes: Sequence[Node] = ()
    bgp: Sequence[BGPConfiguration] = ()
    namespaces: frozenset[str] | None = None


Decision = Callable[[Sequence[Manifest], ClusterState], list[Write]]


def resource(one: Manifest, old: Resource | None) -> Resource:
    """Return the record of what was written, in place of `old`. Raises RejectedError."""
    sentences = [f"{one.key}: {mistake}" for mistake in contents.mistakes(one)]
    try:
        new = one.key.model.read(view.stored(contents.cleaned(one.written), old.to_json() if old else None))
    except Invalid as error:
        sentences.append(str(error))
    else:
        sentences += [f"{one.key}: {_unknown_field(new, path)}" for path in new.unknown_fields()]
        if old is None:
            sentences += (f"{one.key}: {fault}" for fault in name_faults(one.key.name, one.key.namespace))
            sentences += refusals(new)
        else:
            sentences += forbidden_changes(old, new)
            known = set(refusals(old))
            sentences += (sentence for sentence in refusals(new) if sentence not in known)
        sentences += (f"{one.key}: {fault}" for fault in label_faults(_new_labels(one, old)))
        if isinstance(new, Node):
            sentences += _malformed_annotations(new)
            sentences += kubernetes_labels(one, new)
    _reject_if(f"{one.place}: {sentence}" for sentence in sentences)
    return new


def _new_labels(one: Manifest, old: Resource | None) -> dict[str, str]:
    """Return the labels that were written and are not there. Those that are stored already are left alone."""
    written: dict[str, str] = contents.cleaned(one.written)["metadata"].get("labels") or {}
    return {key: value for key, value in written.items() if old is None or old.labels.get(key) != value}


def _malformed_annotations(node: Node) -> Iterator[str]:
    """Yield a sentence for each value that every reader of this node takes for absent because it is malformed."""
    for name, read_back, meaning in (
        ("IPv4Address", node.ipv4, "an IPv4 address such as 192.0.2.1/24"),
        ("IPv6Address", node.ipv6, "an IPv6 address such as 2001:db8::1/64"),
        ("ASNumber", node.as_number, "an AS number such as 64512"),
        ("RouteReflectorClusterID", node.cluster_id, "an IPv4 address such as 244.0.0.1"),
    ):
        written = node.metadata.annotations.get(f"projectcalico.org/{name}")
        if written and read_back is None:
            yield f'Node "{node.name}": {name} "{written}" is not {meaning}'


def kubernetes_labels(one: Manifest, node: Node) -> Iterator[str]:
    """Yield a sentence for each label that Kubernetes has another value for: its own wins for every reader."""
    for label, value in (contents.cleaned(one.written)["metadata"].get("labels") or {}).items():
        if (kept := node.labels.get(label)) != value:
            yield f'{one.key}: label {label} is "{kept}" in Kubernetes, and stays so: change it by kubectl'


def _unknown_field(new: Resource, path: str) -> str:
    known = [field.alias or name for name, field in type(new).SPEC.model_fields.items()]
    within, _, key = path.rpartition(".")
    return next(contents.unknown_keys([key], known, f"{within}."), f"there is no field {path}")


def decided(batch: FileContents, state: ClusterState, decide: Decision) -> list[Write]:
    """Return the writes that are decided on. Raises RejectedError, with the mistakes in the files first."""
    try:
        steps = decide(batch.manifests, state)
    except RejectedError as error:
        raise RejectedError((*batch.mistakes, *error.sentences)) from None
    _reject_if(batch.mistakes)
    return steps


def applied(items: Sequence[Manifest], state: ClusterState, objections: Iterable[str] = ()) -> list[Write]:
    """Return the writes that make each object what was written; none for an object that is so already.

    Raises RejectedError: with `objections` first, then what is wrong with the objects, then between them.
    """
    sentences = list(objections)
    steps: list[Create | Update] = []
    for one in items:
        try:
            step = _step(one, state)
        except RejectedError as error:
            sentences += error.sentences
        else:
            steps += [step] if step else []
    _reject_if((*sentences, *_cluster_problems(steps, state)))
    return list(steps)


def _step(one: Manifest, state: ClusterState) -> Create | Update | None:
    old = state.existing.get(one.key)
    new = resource(one, old)
    if old is None:
        _reject_if(f"{one.place}: {one.key}: {why}" for why in _lacking_of_kubernetes(one.key, state.namespaces))
        return Create(new)
    if new.with_metadata(resource_version=old.revision).to_json() == old.to_json():
        return None
    if new.revision != old.revision:
        raise RejectedError(
            [
                f"{one.place}: {one.key} was changed since this copy was read, at revision {new.revision}; it is at"
                f" {old.revision} now: read it again, or leave metadata.resourceVersion out to overwrite what is there"
            ]
        )
    return Update(new)


def _lacking_of_kubernetes(key: ObjectKey, namespaces: Collection[str] | None) -> Iterator[str]:
    """Yield what has to be there before an object can be made."""
    if namespaces is None:
        return
    if key.namespace is not None and key.namespace not in namespaces:
        yield f"there is no Namespace {key.namespace}: create it first"
    if key.model is Node:
        yield "there is no such Node, and on Kubernetes its kubelet makes it"


def created(items: Sequence[Manifest], state: ClusterState, *, skip_existing: bool = False) -> list[Write]:
    """Return the writes that create objects. Raises RejectedError: one of them exists."""
    present = [one for one in items if one.key in state.existing]
    new = [one for one in items if one.key not in state.existing]
    objections = (f"{one.place}: {one.key} exists already; use apply or replace to change it" for one in present)
    return applied(new, state, () if skip_existing else objections)


def replaced(items: Sequence[Manifest], state: ClusterState) -> list[Write]:
    """Return the writes that change objects. Raises RejectedError: one of them does not exist."""
    absent = (one for one in items if one.key not in state.existing)
    return applied(
        items, state, (f"{one.place}: {one.key} does not exist; use apply or create to make it" for one in absent)
    )


def not_taken(items: Iterable[Manifest], state: ClusterState, steps: Iterable[Write]) -> list[str]:
    """Return a sentence for each document that says what only the datastore and the agents say."""
    written = {(type(step.resource), step.resource.namespace, step.resource.name): step.resource for step in steps}
    sentences = []
    for one in items:
        old = state.existing.get(one.key)
        new = written.get((one.key.model, one.key.namespace, one.key.name), old)
        if new is not None and (fields := contents.not_taken(one, new, old)):
            sentences.append(f"{one.key}: {', '.join(fields)}: the datastore or an agent sets this; it stays as it is")
    return sentences


def of_no_node(state: ClusterState, steps: Sequence[Write]) -> list[str]:
    """Return a sentence for each BGPPeer to be written that means none of the nodes, as for a typing error.

    Without any node, as while a cluster is set up, nothing is said.
    """
    peers = [step.resource for step in steps if isinstance(step.resource, BGPPeer)]
    nodes = _after(Node, state.nodes, [step.resource for step in steps])
    if not peers or not nodes:
        return []
    from bgp import session_notices  # imported late: what sessions follow from comes with it

    return [str(notice) for notice in session_notices.of_no_node(nodes, peers)]


def _cluster_problems(steps: Sequence[Create | Update], state: ClusterState) -> Iterator[str]:
    """Yield a sentence for each problem that the cluster would have after the writes and does not have before."""
    written = [step.resource for step in steps]
    yield from _new_problems(overlapping_pools, state.pools, [one for one in written if isinstance(one, IPPool)])
    yield from _new_problems(shared_addresses, state.nodes, [one for one in written if isinstance(one, Node)])
    yield from _new_overlaps(state, written)
    cidrs = [block.network for block in state.blocks]
    made = [step.resource for step in steps if isinstance(step, Create)]
    yield from misfitting_blocks([one for one in made if isinstance(one, IPPool)], cidrs)


def _new_overlaps(state: ClusterState, written: Sequence[Resource]) -> Iterator[str]:
    """Yield where a pool overlaps what it must keep clear of, after the change and not before."""
    before = {(one.pool, one.other) for one in overlaps(state.pools, cluster_networks(state.nodes, state.bgp))}
    pools, nodes = _after(IPPool, state.pools, written), _after(Node, state.nodes, written)
    for one in overlaps(pools, cluster_networks(nodes, _after(BGPConfiguration, state.bgp, written))):
        if (one.pool, one.other) not in before:
            yield str(one)


def _after(kind: type[R], before: Iterable[R], written: Iterable[Resource]) -> Sequence[R]:
    found = {one.name: one for one in before} | {one.name: one for one in written if isinstance(one, kind)}
    return tuple(found.values())


def _new_problems(
    rule: Callable[[Iterable[R]], Iterator[str]], before: Iterable[R], written: Iterable[R]
) -> Iterator[str]:
    """Yield what a rule finds wrong with the objects of a kind after the change and not before."""
    after = {one.name: one for one in before} | {one.name: one for one in written}
    known = set(rule(before))
    return (sentence for sentence in rule(after.values()) if sentence not in known)


def shared_addresses(nodes: Iterable[Node]) -> Iterator[str]:
    """Yield a sentence for each node that has an address of a node before it."""
    owners: dict[object, str] = {}
    for node in nodes:
        for interface in (node.ipv4, node.ipv6):
            if interface is not None and owners.setdefault(interface.ip, node.name) != node.name:
                yield f'Node "{node.name}": address {interface.ip} is that of Node "{owners[interface.ip]}" already'


def edited(key: ObjectKey, changed: Mapping[str, Any], state: ClusterState) -> list[Write]:
    """Return the write of a resource whose view was edited. Raises RejectedError: it is another object now."""
    batch = manifests_in([Document("after this change", dict(changed))])
    _reject_if(batch.mistakes)
    [one] = batch.manifests
    _reject_if([f"{key}: its kind, name and namespace can't change"] if one.key != key else ())
    return applied([one], state)


def deleted(keys: Sequence[ObjectKey], existing: Existing, *, skip_missing: bool = False) -> list[Write]:
    """Return the writes that remove objects. Raises RejectedError: one does not exist, or users may not remove it."""
    _reject_if(f"delete {key}: {key.noun.written_by} creates and removes these" for key in keys if key.noun.written_by)
    if not skip_missing:
        _reject_if(f"delete {key}: it does not exist" for key in keys if key not in existing)
    return [Delete(existing[key]) for key in dict.fromkeys(keys) if key in existing]


def reject_pools_in_use(pools: Iterable[IPPool], blocks: Sequence[IPAMBlock]) -> None:
    """Raise RejectedError if an address of one of these pools is in use."""
    counted = [(pool, _addresses_in_use(pool, blocks)) for pool in pools]
    _reject_if(
        f'delete IPPool "{pool.name}": {used} addresses of {pool.network} are in use; --force cuts their pods off'
        for pool, used in counted
        if used
    )


def _addresses_in_use(pool: IPPool, blocks: Iterable[IPAMBlock]) -> int:
    return sum(len(tuple(allocations(block))) for block in blocks if overlap(block.network, pool.network))


def would_do(steps: Sequence[Write], given: int) -> str:
    """Return what a dry run prints: a line for each write, and how many resources need none."""
    lines = [f"would {_verb(step)} {_named(step.resource)}\n" for step in steps]
    return "".join(lines) + (f"{given - len(steps)} of {given} need no change\n" if len(steps) < given else "")


def _verb(step: Write) -> str:
    return type(step).__name__.lower()


def _named(written: Resource) -> str:
    seen = view.of(written)
    return f'{seen["kind"]} "{seen["metadata"]["name"]}"'


def result(verb: str, keys: Sequence[ObjectKey]) -> str:
    """Return the line that calicoctl ends with; it names the kind if there is only one."""
    kinds = {key.noun.kind for key in keys}
    named = f" '{kinds.pop()}'" if len(kinds) == 1 else ""
    return f"Successfully {verb} {len(keys)}{named} resource(s)\n"


def _reject_if(sentences: Iterable[str]) -> None:
    if found := list(sentences):
        raise RejectedError(found)
