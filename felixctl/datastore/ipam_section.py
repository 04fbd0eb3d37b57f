"""The records of IPAM as calicoctl's export has them: each by its key in etcd, with what Calico keeps under it.

Pure. `Metadata` and `endpoints` are additions that calicoctl passes over: labels and annotations of a record, and the
workload endpoints of a datastore that has no pods.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from msgspec import Struct

from datastore.errors import Invalid
from datastore.fields import network
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMConfig, IPAMHandle
from datastore.kinds.pods import WorkloadEndpoint
from datastore.record import CRD, Resource
from felixctl.errors import RejectedError
from felixctl.resources import view
from felixctl.resources.view import Json
from ipam.names import affinity_labels, affinity_name, cidr_name, handle_name

R = TypeVar("R", bound=Resource)

CONFIGURATION = "default"
_ROOT = "/calico/ipam/v2"
_BLOCK = re.compile(r"/?calico/ipam/v2/assignment/ipv[46]/block/(?P<cidr>[^/]+)")
_AFFINITY = re.compile(r"/?calico/ipam/v2/(?P<type>@|host|virtual)/(?P<node>[^/]+)/ipv[46]/block/(?P<cidr>[^/]+)")
_HANDLE = re.compile(r"/?calico/ipam/v2/handle/(?P<handle>[^/]+)")
_CONFIG = re.compile(r"/?calico/ipam/v2/config")
_CONFIG_NAMES = {"strictAffinity": "strict_affinity", "autoAllocateBlocks": "auto_allocate_blocks"}
_LISTS = ("allocations", "unallocated", "attributes")


class IpamState(Struct, frozen=True):
    """All that IPAM has written, and the endpoints that the addresses are for."""

    blocks: tuple[IPAMBlock, ...] = ()
    affinities: tuple[BlockAffinity, ...] = ()
    handles: tuple[IPAMHandle, ...] = ()
    config: IPAMConfig | None = None
    endpoints: tuple[WorkloadEndpoint, ...] = ()

    @property
    def records(self) -> tuple[Resource, ...]:
        """What IPAM has written, in the order in which it is read back."""
        return (*self.blocks, *self.affinities, *self.handles, *((self.config,) if self.config else ()))


def section(state: IpamState) -> Json:
    """Return what stands in an export for these records."""
    written: Json = {
        "block_affinities": [_pair(_affinity_key(one), one, _affinity_value(one)) for one in state.affinities],
        "blocks": [_pair(_block_key(one), one, _spec(one)) for one in state.blocks],
        "handles": [_pair(f"{_ROOT}/handle/{one.spec.handle_id}", one, _spec(one)) for one in state.handles],
    }
    if state.config:
        written["config"] = _pair(f"{_ROOT}/config", state.config, _config_value(state.config))
    if state.endpoints:
        written["endpoints"] = [portable(view.of(one)) for one in state.endpoints]
    return written


def portable(seen: Json) -> Json:
    """Return a resource as users read it without what belongs to the datastore that it was read from."""
    metadata = {key: value for key, value in seen["metadata"].items() if key not in _THE_STORES_OWN}
    return {**seen, "metadata": metadata}


_THE_STORES_OWN = (
    *("uid", "resourceVersion", "creationTimestamp", "generation"),
    *("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields"),
)


def _pair(key: str, record: Resource, value: Json) -> Json:
    pair: Json = {"Key": key, "Value": value, "TTL": 0}
    metadata = portable(view.of(record))["metadata"]  # as Calico's clients know it, nothing folded into an annotation
    if metadata.get("name") == _name_at(type(record), key):
        del metadata["name"]
    return {**pair, "Metadata": metadata} if metadata else pair


def _spec(record: Resource) -> Json:
    spec: Json = record.to_json()["spec"]
    return spec


def _block_key(block: IPAMBlock) -> str:
    return f"{_ROOT}/assignment/ipv{block.network.version}/block/{_key_of(block.spec.cidr)}"


def _affinity_key(affinity: BlockAffinity) -> str:
    version = affinity.network.version
    return f"{_ROOT}/{affinity.spec.type}/{affinity.spec.node}/ipv{version}/block/{_key_of(affinity.spec.cidr)}"


def _key_of(cidr: str) -> str:
    return cidr.replace("/", "-")


def _affinity_value(affinity: BlockAffinity) -> Json:
    """Return what Calico keeps under the key, where the flag is a boolean."""
    return {**_spec(affinity), "deleted": affinity.deleted}


def _config_value(config: IPAMConfig) -> Json:
    spec = {"strictAffinity": config.spec.strict_affinity, "autoAllocateBlocks": config.spec.auto_allocate_blocks}
    return {_CONFIG_NAMES.get(key, key): value for key, value in {**spec, **_spec(config)}.items()}


def read_section(body: object) -> IpamState:
    """Return the records that a section stands for. Raises RejectedError: a sentence for each that it cannot be."""
    if not isinstance(body, dict):
        raise RejectedError(["IPAM: it is no JSON object"])
    mistakes: list[str] = []
    config = body.get("config")
    found = IpamState(
        blocks=_all(body.get("blocks"), "blocks", _block, mistakes),
        affinities=_all(body.get("block_affinities"), "block_affinities", _affinity, mistakes),
        handles=_all(body.get("handles"), "handles", _handle, mistakes),
        config=next(iter(_all([config] if config else [], "config", _configuration, mistakes)), None),
        endpoints=_all(body.get("endpoints"), "endpoints", _endpoint, mistakes),
    )
    mistakes += _given_twice((*found.records, *found.endpoints))
    if unknown := sorted(body.keys() - {"blocks", "block_affinities", "handles", "config", "endpoints"}):
        mistakes.append(f"IPAM: {', '.join(unknown)} is not known to this version")
    if mistakes:
        raise RejectedError(mistakes)
    return found


def _all(entries: object, what: str, read: Callable[[Any], R], mistakes: list[str]) -> tuple[R, ...]:
    if not isinstance(entries, list | None):
        mistakes.append(f"IPAM: {what} is no list")
        return ()
    found = []
    for number, entry in enumerate(entries or (), 1):
        try:
            found.append(read(entry))
        except (Invalid, ValueError, TypeError, AttributeError, KeyError) as error:
            mistakes.append(f"IPAM: {what}, number {number}: {error}")
    return tuple(found)


def _given_twice(found: Iterable[Resource]) -> Iterator[str]:
    seen = set()
    for one in found:
        key = (one.KIND, one.namespace, one.name)
        if key in seen:
            yield f'IPAM: {one.KIND} "{one.name}" is given twice'
        seen.add(key)


def _name_at(kind: type[Resource], key: str) -> str:
    """Return the name of the record at a key. Raises ValueError: there is none of this kind."""
    if kind is IPAMBlock:
        return cidr_name(_cidr(_match(_BLOCK, key)))
    if kind is BlockAffinity:
        found = _match(_AFFINITY, key)
        return affinity_name(found["node"], _cidr(found))
    if kind is IPAMHandle:
        return handle_name(_match(_HANDLE, key)["handle"])
    return CONFIGURATION


def _match(pattern: re.Pattern[str], key: object) -> re.Match[str]:
    found = pattern.fullmatch(key) if isinstance(key, str) else None
    if not found:
        raise ValueError(f"{key!r:.80} is no key of Calico's")
    return found


def _cidr(found: re.Match[str]) -> str:
    return str(network("/".join(found["cidr"].rsplit("-", 1))))


def _block(pair: Mapping[str, Any]) -> IPAMBlock:
    value = _without_null(pair["Value"])
    host = value.pop("hostAffinity", None)  # as releases before Calico 2 wrote it
    spec = {
        **({"affinity": f"host:{host}"} if host and "affinity" not in value else {}),
        "strictAffinity": False,
        **{name: [] for name in _LISTS},
        **value,
        "cidr": _cidr(_match(_BLOCK, pair["Key"])),
    }
    return _record(IPAMBlock, pair, spec)


def _affinity(pair: Mapping[str, Any]) -> BlockAffinity:
    found = _match(_AFFINITY, pair["Key"])
    kind, cidr = "virtual" if found["type"] == "@" else found["type"], _cidr(found)
    value = _without_null(pair["Value"])
    own = {"cidr": cidr, "deleted": str(value.get("deleted") is True).lower(), "node": found["node"], "type": kind}
    labels = affinity_labels(found["node"], network(cidr).version, kind)
    return _record(BlockAffinity, pair, {"state": "", **value, **own}, labels)


def _handle(pair: Mapping[str, Any]) -> IPAMHandle:
    value = _without_null(pair["Value"])
    return _record(IPAMHandle, pair, {"block": {}, **value, "handleID": _match(_HANDLE, pair["Key"])["handle"]})


def _configuration(pair: Mapping[str, Any]) -> IPAMConfig:
    _match(_CONFIG, pair["Key"])
    value = _without_null(pair["Value"])
    named = {
        stored: value.pop(name, False) for stored, name in _CONFIG_NAMES.items()
    }  # Calico leaves out what is false
    return _record(IPAMConfig, pair, {**named, **value})


def _endpoint(seen: Mapping[str, Any]) -> WorkloadEndpoint:
    return WorkloadEndpoint.read(view.stored(seen))


def _record(kind: type[R], pair: Mapping[str, Any], spec: Json, labels: Mapping[str, str] | None = None) -> R:
    metadata = {"name": _name_at(kind, pair["Key"]), **(pair.get("Metadata") or {})}
    if labels:
        metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    return kind.read({"apiVersion": CRD, "kind": kind.KIND, "metadata": metadata, "spec": spec})


def _without_null(value: object) -> Any:
    """Return a value without what Go writes for what is not set; in a list, null is an entry like others."""
    match value:
        case dict():
            return {key: _without_null(inner) for key, inner in value.items() if inner is not None}
        case list():
            return [_without_null(inner) for inner in value]
        case _:
            return value
