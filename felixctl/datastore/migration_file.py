"""The text of `datastore migrate export`, which calicoctl's import reads, and of calicoctl's, which this one reads.

Three sections with a line `===` between them: resources as YAML, a list for each kind; ClusterInformation as JSON; the
records of IPAM as JSON.

Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from datastore.errors import Invalid
from datastore.kinds.cluster import ClusterInformation
from datastore.record import Resource
from felixctl.datastore.ipam_section import IpamState, portable, read_section, section
from felixctl.errors import RejectedError
from felixctl.resources import view
from felixctl.resources.documents import read, to_json, to_yaml
from felixctl.resources.manifests import Manifest, manifests_in

SEPARATOR = "==="
KINDS = (
    *("IPPool", "BGPPeer", "Tier", "GlobalNetworkPolicy", "StagedGlobalNetworkPolicy", "GlobalNetworkSet"),
    *("HostEndpoint", "KubeControllersConfiguration", "NetworkPolicy", "StagedNetworkPolicy"),
    *("StagedKubernetesNetworkPolicy", "NetworkSet", "Node", "BGPConfiguration", "FelixConfiguration"),
    *("IPReservation", "BGPFilter"),
    "CalicoNodeStatus",
)
"""What the first section has, in calicoctl's order; what it leaves out, last."""


class Migration(Struct, frozen=True):
    """What a file says: resources as they are written in it, the cluster that they are of, and IPAM's records."""

    resources: Sequence[Manifest]
    cluster: ClusterInformation
    ipam: IpamState


def written(resources: Mapping[str, Iterable[Resource]], cluster: ClusterInformation, ipam: IpamState) -> str:
    """Return the text of an export: the resources by kind, their cluster and IPAM's records."""
    lists = (view.listed(kind, [portable(view.of(one)) for one in resources.get(kind, ())]) for kind in KINDS)
    return (
        "".join(f"{to_yaml(listed)}---\n" for listed in lists)
        + f"{SEPARATOR}\n{to_json(portable(view.of(cluster)))}"
        + f"{SEPARATOR}\n{to_json(section(ipam))}"
    )


def read_migration(text: str, name: str) -> Migration:
    """Return what an export says. `name` is what messages call it. Raises RejectedError: all that is wrong with it."""
    first, *others = _sections(text)
    if len(others) != 2:
        raise RejectedError(
            [
                f"read {name}: it has {len(others) + 1} of the three sections that an export has (lines of {SEPARATOR}"
                " between them): it is none, or was cut short; export again"
            ]
        )
    reading = read(first, name)
    batch = manifests_in(reading.documents)
    mistakes = [*reading.mistakes, *batch.mistakes]
    mistakes += (f"{one.place}: {one.key} has no place in the first section" for one in batch.manifests if _is_out(one))
    cluster, ipam = None, IpamState()
    try:
        cluster = _cluster(json.loads(others[0]))
    except (ValueError, RecursionError, Invalid) as error:
        mistakes.append(f"read {name}, section of ClusterInformation: {error}")
    try:
        ipam = read_section(json.loads(others[1]))
    except (ValueError, RecursionError) as error:
        mistakes.append(f"read {name}, section of IPAM: {error}; it may have been cut short")
    except RejectedError as error:
        mistakes += (f"read {name}, section of {sentence}" for sentence in error.sentences)
    if mistakes or cluster is None:
        raise RejectedError(mistakes)
    return Migration(batch.manifests, cluster, ipam)


def _sections(text: str) -> list[str]:
    sections: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line.rstrip("\r") == SEPARATOR:
            sections.append([])
        else:
            sections[-1].append(line)
    return ["\n".join(lines) for lines in sections]


def _is_out(one: Manifest) -> bool:
    return one.key.noun.kind not in KINDS


def _cluster(value: Any) -> ClusterInformation:
    """Return the one named default. Raises Invalid."""
    match value:
        case {"kind": "ClusterInformation", "metadata": {"name": "default"}, "spec": {"clusterGUID": str(guid)}} if (
            guid
        ):
            return ClusterInformation.read(view.stored(value))
        case _:
            raise Invalid("it holds no ClusterInformation default with a clusterGUID")
