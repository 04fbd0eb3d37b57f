"""The report that `ipam check -o` writes and `ipam release --from-report` reads: calicoctl's, field by field.

Pure. An address is leaked if all given reports call it so, they are about the same cluster, and nothing was assigned
in between: the datastore was locked when they were written, and still is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

from msgspec import Struct

from datastore import fields
from datastore.kinds.cluster import ClusterInformation
from felixctl.ipam.records import IpamRecords
from ipam.batch import Release
from ipam.block import Allocation
from ipam.names import WINDOWS_HANDLE, affine_host

Json = dict[str, Any]


class ReportError(Exception):
    """The text is no report; the message names it."""


class Report(Struct, frozen=True):
    """What a release needs of a report."""

    place: str
    version: str
    cluster: str
    revision: str
    locked: bool
    leaked: frozenset[Release]
    handles: frozenset[str]


def written(records: IpamRecords, cluster: ClusterInformation | None, version: str) -> Json:
    """Return the report on these records."""
    owners = {block.network: affine_host(block.spec.affinity) for block in records.blocks}
    found: dict[str, list[Json]] = {}
    for one in records.allocations:
        found.setdefault(str(one.address), []).append(_entry(one, owners[one.block], records))
    return {
        "version": version,
        "clusterGUID": (cluster and cluster.spec.cluster_guid) or "",
        "datastoreLocked": cluster is not None and not cluster.spec.datastore_ready,
        "clusterInformationRevision": (cluster and cluster.revision) or "",
        "clusterType": (cluster and cluster.spec.cluster_type) or "",
        "allocations": found,
        "leakedHandles": [handle.spec.handle_id for handle in records.leaks.handles],
    }


def _entry(one: Allocation, owner: str | None, records: IpamRecords) -> Json:
    attributes = one.attributes
    node = attributes.get("node") or owner
    user = "Reserved for Windows" if one.handle == WINDOWS_HANDLE else records.in_use.get(one.address)
    entry: Json = {
        "ip": str(one.address),
        "handle": one.handle,
        "sequenceNumber": one.sequence,
        "pod": attributes.get("pod"),
        "namespace": attributes.get("namespace"),
        "node": node,
        "type": attributes.get("type"),
        "creationTimestamp": attributes.get("timestamp"),
        "inUse": user is not None,
        "borrowed": (node or None) != owner or None,
        "owners": [user] if user else [],
    }
    return {key: value for key, value in entry.items() if value is not None}


def read(text: str, place: str) -> Report:
    """Parse a report. Raises ReportError."""
    try:
        found = json.loads(text)
        return Report(
            place,
            _text(found["version"]),
            _text(found["clusterGUID"]),
            _text(found["clusterInformationRevision"]),
            found["datastoreLocked"] is True,
            frozenset(_leaked(found["allocations"] or {})),
            frozenset(map(_text, found["leakedHandles"] or ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ReportError(
            f"read {place}: it is no report of `ipam check -o` ({type(error).__name__}: {error})"
        ) from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is not text")
    return value


def _leaked(allocations: Mapping[str, Sequence[Json]]) -> Iterator[Release]:
    for entries in allocations.values():
        for entry in entries:
            if entry["inUse"] is False:
                sequence = entry.get("sequenceNumber")
                yield Release(
                    fields.address(entry["ip"]), entry.get("handle"), None if sequence is None else int(sequence)
                )


def objections(
    reports: Sequence[Report], cluster: ClusterInformation | None, version: str, *, force: bool
) -> Iterator[str]:
    """Yield why nothing may be released by these reports. `force` waives all but the cluster they are about."""
    guid = cluster.spec.cluster_guid if cluster else None
    revision = cluster.revision if cluster else None
    for report in reports:
        if not guid or report.cluster != guid:
            here = guid or "one without GUID"
            yield f"{report.place} is about cluster {report.cluster or '<none>'}, and this is {here}"
        if not force and report.version != version:
            yield f"{report.place} is from version {report.version}, and this is {version}; --force uses it anyway"
        if not force and report.revision != revision:
            yield (
                f"{report.place} was written before the datastore was locked or unlocked last: lock it, check again"
                " with -o, or --force"
            )
    if not force and (cluster is None or cluster.spec.datastore_ready):
        yield "the datastore is not locked, so addresses are assigned meanwhile: felixctl datastore lock, or --force"


def leaked_in_all(reports: Sequence[Report]) -> tuple[list[Release], list[str]]:
    """Return the addresses and handles that every report calls leaked."""
    releases = reduce(frozenset.__and__, (report.leaked for report in reports))
    handles = reduce(frozenset.__and__, (report.handles for report in reports))
    return sorted(releases, key=lambda one: (one.address.version, int(one.address))), sorted(handles)
