"""What an import writes into a datastore, and whether it may: nothing but what the file says may be there already.

Pure. An import that ended half way is begun again with the same file: ClusterInformation is written first, locked and
marked, and the mark is removed last; in between, what is there is compared with the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from datastore.errors import Invalid
from datastore.kinds.cluster import IMPORT_MARK, ClusterInformation
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.names import name_faults
from datastore.record import Resource
from datastore.store import Create, Update
from datastore.watch import Key, key_for, key_of
from felixctl.datastore.ipam_section import portable
from felixctl.datastore.migration_file import Migration
from felixctl.errors import RejectedError
from felixctl.resources import contents, view
from felixctl.resources.manifests import Manifest
from felixctl.resources.plan import kubernetes_labels

INCOMPLETE = "incomplete"
CLUSTER = key_for(ClusterInformation, "default", None)


class Target(Struct, frozen=True):
    """The datastore that is imported into, as it is."""

    present: Mapping[Key, Resource]
    """All of the kinds that an export has, Nodes and endpoints included."""
    namespaces: frozenset[str] | None = None
    """Kubernetes' own; None: this datastore has none, and Nodes and endpoints are records as others are."""

    @property
    def on_kubernetes(self) -> bool:
        return self.namespaces is not None


class ImportPlan(Struct, frozen=True):
    """The writes that are missing; none: the file's contents are there."""

    begin: ClusterInformation | None
    """What is created before all else; None: it is there."""
    writes: tuple[Create | Update, ...]
    """In any order, but for the order of kinds."""
    ends: bool
    """Whether the mark is removed afterwards."""
    told: tuple[str, ...] = ()
    """A sentence for each thing of the file that is not written as it stands there."""


def planned(migration: Migration, target: Target) -> ImportPlan:
    """Return what is still to be written. Raises RejectedError: this file may not be imported here, and why."""
    wanted, nodes, told, mistakes = _wanted(migration, target)
    reject_if(mistakes)
    here = target.present.get(CLUSTER)
    missing = [one for key, one in wanted.items() if key not in target.present]
    differing = [key for key, one in wanted.items() if key in target.present and is_other(target.present[key], one)]
    foreign = [key for key in target.present if key not in wanted and _counts(key, target)]
    if here is None:
        reject_if(_occupied(target, [key for key in target.present if _counts(key, target)]))
        begin = migration.cluster.with_spec(datastore_ready=False)
        marked = begin.with_metadata(annotations={**begin.metadata.annotations, IMPORT_MARK: INCOMPLETE})
        return ImportPlan(marked, (*map(Create, missing), *nodes), True, tuple(told))
    assert isinstance(here, ClusterInformation)
    same = here.spec.cluster_guid == migration.cluster.spec.cluster_guid
    if not here.is_incomplete:
        if same and not missing and not differing:
            return ImportPlan(None, (), False)
        reject_if(_occupied(target, [CLUSTER, *(key for key in target.present if _counts(key, target))]))
    reject_if(_not_to_be_continued(here, differing, foreign, same=same))
    return ImportPlan(None, (*map(Create, missing), *nodes), True, tuple(told))


def completed(cluster: ClusterInformation) -> ClusterInformation:
    """Return it without the mark, wherever libcalico may have put that."""
    record = cluster.to_json()
    seen = view.shown({**record, "kind": ClusterInformation.KIND})
    left = {key: text for key, text in (seen["metadata"].get("annotations") or {}).items() if key != IMPORT_MARK}
    return ClusterInformation.read(view.stored({**seen, "metadata": {**seen["metadata"], "annotations": left}}, record))


def reject_if(sentences: Iterable[str]) -> None:
    if found := list(sentences):
        raise RejectedError(found)


def _wanted(
    migration: Migration, target: Target
) -> tuple[dict[Key, Resource], list[Create | Update], list[str], list[str]]:
    """Return what is to be there, the writes of Nodes, what is told, and what is wrong."""
    wanted: dict[Key, Resource] = {}
    nodes: list[Create | Update] = []
    told: list[str] = []
    mistakes: list[str] = []
    for one in migration.resources:
        old = target.present.get(key_for(one.key.model, one.key.name, one.key.namespace))
        try:
            new = one.key.model.read(
                view.stored(portable(contents.cleaned(one.written)), old.to_json() if old else None)
            )
        except Invalid as error:
            mistakes.append(f"{one.place}: {error}")
            continue
        mistakes += (f"{one.place}: {one.key}: {fault}" for fault in _faults(one, target))
        if fields := [field for field in contents.not_taken(one, new, old) if field not in _MADE_OF_OTHERS]:
            told.append(f"{one.key}: {', '.join(fields)}: the datastore or an agent sets this; it is left out")
        if isinstance(new, Node):
            step, said = _node(one, new, old, target)
            nodes += [step] if step else []
            told += said
        else:
            wanted[key_of(new)] = new
    wanted |= {key_of(one): one for one in migration.ipam.records}
    if target.on_kubernetes:
        told += _without_pods(migration, target)
    else:
        wanted |= {key_of(one): one for one in migration.ipam.endpoints}
    return wanted, nodes, told, mistakes


_MADE_OF_OTHERS = ("spec.addresses", "spec.orchRefs")
"""Fields of a Node that say what other fields of it say."""


def _faults(one: Manifest, target: Target) -> Iterator[str]:
    yield from contents.mistakes(one)
    yield from name_faults(one.key.name, one.key.namespace)
    namespace = one.key.namespace
    if namespace and target.namespaces is not None and namespace not in target.namespaces:
        yield f"there is no Namespace {namespace}: create it first"


def _node(one: Manifest, new: Node, old: Resource | None, target: Target) -> tuple[Create | Update | None, list[str]]:
    """Return the write of a Node, and what is told of it. On Kubernetes it is its kubelet that creates it."""
    if old is not None:
        told = list(kubernetes_labels(one, new))
        return (None if new.to_json() == old.to_json() else Update(new)), told
    if target.on_kubernetes:
        return None, [f"{one.key}: Kubernetes has no node of this name; it is left out"]
    return Create(new), []


def _without_pods(migration: Migration, target: Target) -> Iterator[str]:
    """Yield a sentence for each endpoint that no pod stands for: what it had stays assigned."""
    for one in migration.ipam.endpoints:
        if key_of(one) not in target.present:
            addresses = ", ".join(map(str, one.addresses)) or "none"
            yield (
                f'WorkloadEndpoint "{one.name}" of namespace {one.namespace}: Kubernetes has no such pod on this node;'
                f" it is left out, and its addresses ({addresses}) stay assigned until they are collected"
            )


def _counts(key: Key, target: Target) -> bool:
    """Whether an object keeps a datastore from being an empty one. Nodes are their agents', and written over."""
    if key.kind == Node.KIND or (target.on_kubernetes and key.kind == WorkloadEndpoint.KIND):
        return False
    return key != CLUSTER


def _occupied(target: Target, keys: Sequence[Key]) -> Iterator[str]:
    if keys:
        yield (
            f"the datastore has resources already ({_named(keys)}), and an import is into an empty one: name another,"
            " or delete them all"
        )


def _not_to_be_continued(
    here: ClusterInformation, differing: Sequence[Key], foreign: Sequence[Key], *, same: bool
) -> Iterator[str]:
    """Yield why the import that is under way is not this one, or can't be continued."""
    if not same:
        yield (
            f"an import into this datastore is not complete, and it is of another cluster ({here.spec.cluster_guid}):"
            " continue it with its own file"
        )
    if here.spec.datastore_ready:
        yield (
            "an import into this datastore is not complete, and it was unlocked since: addresses may have been assigned"
            " that the file does not know; lock it, and delete what was imported"
        )
    if differing:
        yield (
            f"since this import was begun, these have become other than in the file: {_named(differing)}; delete them,"
            " and import again"
        )
    if foreign:
        yield (
            f"since this import was begun, these have come that the file does not have: {_named(foreign)}; delete them,"
            " and import again"
        )


MOST_NAMED = 5


def _named(keys: Sequence[Key]) -> str:
    """Return some of these objects by name, and of the others how many."""
    more = Counter(key.kind for key in keys[MOST_NAMED:])
    return ", ".join((*map(str, keys[:MOST_NAMED]), *(f"{count} more {kind}" for kind, count in more.items())))


def is_other(found: Resource, wanted: Resource) -> bool:
    """Whether a stored object says something else than is wanted. What it does not say at all, it could not keep."""
    return any(kept for _, kept in _differences(_comparable(found), _comparable(wanted), ""))


def not_kept(stored: Resource, wanted: Resource) -> Iterator[str]:
    """Yield a sentence about what the datastore left out of an object that was written."""
    if lost := [path for path, kept in _differences(_comparable(stored), _comparable(wanted), "") if not kept]:
        yield f"{key_of(wanted)}: the datastore does not keep {', '.join(lost)}, which its definition there has not"


def _comparable(resource: Resource) -> dict[str, Any]:
    seen = portable(view.of(resource))
    metadata = {key: value for key, value in seen["metadata"].items() if key not in ("finalizers", "ownerReferences")}
    return {"metadata": metadata, "spec": seen.get("spec") or {}}


def _differences(found: object, wanted: object, path: str) -> Iterator[tuple[str, bool]]:
    """Yield where a stored value is not as wanted, and whether there is one. Defaults that were added are none."""
    match found, wanted:
        case dict(), dict():
            for key, value in wanted.items():
                yield from _differences(found.get(key), value, f"{path}.{key}".lstrip("."))
        case list(), list() if len(found) == len(wanted):
            for at, (one, other) in enumerate(zip(found, wanted, strict=True)):
                yield from _differences(one, other, f"{path}[{at}]")
        case None, _ if wanted in (None, "", {}, []):
            return
        case _ if found != wanted:
            yield path, found is not None
