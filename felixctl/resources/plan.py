"""From what a user wrote to the writes on the datastore: which objects are meant, what is wrong, and the steps.

Pure. Everything is checked before anything is written, and all mistakes are reported together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

from datastore.errors import Invalid
from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.ipam import IPAMBlock
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool, forbidden_changes, misfitting_blocks, overlap, overlapping_pools
from datastore.names import name_faults
from datastore.record import Resource
from datastore.resources import KINDS
from datastore.store import Create, Delete, Update, Write
from felixctl.errors import RejectedError
from felixctl.resources import view
from felixctl.resources.documents import Document
from felixctl.resources.kinds import Noun, UnknownKindError, noun_of_kind
from felixctl.resources.view import Json
from ipam.block import allocations
from ipam.surroundings import cluster_networks, overlaps

R = TypeVar("R", bound=Resource)
S = TypeVar("S")
T = TypeVar("T")

DEFAULT_NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """Which object is meant: its kind, namespace and name."""

    noun: Noun
    name: str
    namespace: str | None

    @property
    def model(self) -> type[Resource]:
        return KINDS[self.noun.stored_kind]

    def __str__(self) -> str:
        within = f" of namespace {self.namespace}" if self.namespace else ""
        return f'{self.noun.kind} "{self.name}"{within}'


@dataclass(frozen=True, slots=True)
class Manifest:
    """One resource as written in a file, and the place in it."""

    key: ObjectKey
    written: Mapping[str, Any]
    place: str


Existing = Mapping[ObjectKey, Resource]


@dataclass(frozen=True, slots=True)
class ClusterState:
    """What of the cluster a change is checked against."""

    existing: Existing
    pools: Sequence[IPPool] = ()
    blocks: Sequence[IPAMBlock] = ()
    nodes: Sequence[Node] = ()
    bgp: Sequence[BGPConfiguration] = ()


def key_of(noun: Noun, name: str, namespace: str | None) -> ObjectKey:
    """Return the object that a command line names; the namespace is ignored for kinds that have none."""
    return ObjectKey(noun, name, (namespace or DEFAULT_NAMESPACE) if noun.namespaced else None)


def manifests_in(documents: Iterable[Document], namespace: str | None = None) -> list[Manifest]:
    """Return the resource in each document. Raises RejectedError: one is no resource, or not for users to write."""
    found = _results(documents, lambda document: _manifest(document, namespace))
    twice = (f"{one.place}: {one.key} is given twice" for one in _repeated(found))
    _reject_if(twice)
    return found


def _manifest(document: Document, namespace: str | None) -> Manifest:
    match document.body:
        case {"apiVersion": str(version), "kind": str(kind), "metadata": {"name": str(name)} as metadata}:
            pass
        case {"apiVersion": str(), "kind": str()}:
            raise RejectedError([f"{document.place}: metadata.name is missing"])
        case _:
            raise RejectedError([f"{document.place}: apiVersion and kind are missing, so this is no resource"])
    try:
        noun = noun_of_kind(kind)
    except UnknownKindError as error:
        raise RejectedError([f"{document.place}: {error}"]) from None
    if version not in (known := _versions(noun)):
        raise RejectedError([f"{document.place}: apiVersion {version!r} is not known for {kind}: use {known[0]}"])
    if noun.written_by:
        raise RejectedError([f'{document.place}: {kind} "{name}" is written by {noun.written_by} only'])
    _reject_if(
        f"{document.place}: metadata.{field} of {kind} {name!r} is not a mapping of texts to texts"
        for field in ("labels", "annotations")
        if not _is_texts(metadata.get(field))
    )
    named = metadata.get("namespace") if isinstance(metadata.get("namespace"), str) else namespace
    key = key_of(noun, name, named)
    return Manifest(key, _in_namespace(document.body, key), document.place)


def _is_texts(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, dict) and all(isinstance(text, str) for pair in value.items() for text in pair)


def _versions(noun: Noun) -> tuple[str, ...]:
    match noun.kind:
        case "Node":
            return (view.SHOWN, view.CORE)
        case "WorkloadEndpoint":
            return (view.SHOWN,)
        case _:
            return (view.SHOWN, view.STORED)


def _in_namespace(body: Json, key: ObjectKey) -> Json:
    return {**body, "metadata": {**body["metadata"], "namespace": key.namespace}} if key.namespace else body


def _repeated(found: Iterable[Manifest]) -> Iterator[Manifest]:
    seen: set[ObjectKey] = set()
    for one in found:
        if one.key in seen:
            yield one
        seen.add(one.key)


def resource(one: Manifest, old: Resource | None) -> Resource:
    """Return the record of what was written, in place of `old`. Raises RejectedError."""
    try:
        new = one.key.model.read(view.stored(one.written, old.to_json() if old else None))
    except Invalid as error:
        raise RejectedError([f"{one.place}: {error}"]) from None
    if old is None:
        _reject_if(f"{one.place}: {one.key}: {fault}" for fault in name_faults(one.key.name, one.key.namespace))
    _reject_if(f"{one.place}: {one.key}: {_unknown_field(new, path)}" for path in new.unknown_fields())
    _reject_if(f"{one.place}: {sentence}" for sentence in (forbidden_changes(old, new) if old else ()))
    _reject_if(
        f"{one.place}: {sentence}" for sentence in (_malformed_annotations(new) if isinstance(new, Node) else ())
    )
    return new


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


def _unknown_field(new: Resource, path: str) -> str:
    known = [field.alias or name for name, field in type(new).SPEC.model_fields.items()]
    near = get_close_matches(path.rpartition(".")[2], known, n=1)
    return f"there is no field {path}" + (f"; did you mean {near[0]}?" if near else "")


def applied(items: Sequence[Manifest], state: ClusterState) -> list[Write]:
    """Return the writes that make each object what was written; none for an object that is so already."""
    steps = [step for step in _results(items, lambda one: _step(one, state)) if step]
    _reject_if(_cluster_problems(steps, state))
    return list(steps)


def _step(one: Manifest, state: ClusterState) -> Create | Update | None:
    old = state.existing.get(one.key)
    new = resource(one, old)
    if old is None:
        return Create(new)
    return None if new.to_json() == old.to_json() else Update(new)


def created(items: Sequence[Manifest], state: ClusterState, *, skip_existing: bool = False) -> list[Write]:
    """Return the writes that create objects. Raises RejectedError: one of them exists."""
    present = [one for one in items if one.key in state.existing]
    if not skip_existing:
        _reject_if(f"{one.place}: {one.key} exists already; use apply or replace to change it" for one in present)
    return applied([one for one in items if one not in present], state)


def replaced(items: Sequence[Manifest], state: ClusterState) -> list[Write]:
    """Return the writes that change objects. Raises RejectedError: one of them does not exist."""
    absent = (one for one in items if one.key not in state.existing)
    _reject_if(f"{one.place}: {one.key} does not exist; use apply or create to make it" for one in absent)
    return applied(items, state)


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
    [one] = manifests_in([Document("after this change", dict(changed))], key.namespace)
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


def _results(items: Iterable[S], work: Callable[[S], T]) -> list[T]:
    """Return the work's results. Raises RejectedError with the sentences of all items that were rejected."""
    results, sentences = [], list[str]()
    for item in items:
        try:
            results.append(work(item))
        except RejectedError as error:
            sentences += error.sentences
    _reject_if(sentences)
    return results


def _reject_if(sentences: Iterable[str]) -> None:
    if found := list(sentences):
        raise RejectedError(found)
