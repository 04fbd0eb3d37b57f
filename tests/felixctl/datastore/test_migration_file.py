"""The text of an export: three sections, each read back as it was written."""

from __future__ import annotations

import pytest

from datastore.kinds.cluster import ClusterInformation
from datastore.record import Resource
from felixctl.datastore.ipam_section import IpamState
from felixctl.datastore.migration_file import KINDS, read_migration, written
from felixctl.errors import RejectedError
from felixctl.resources.kinds import NOUNS
from tests.felixctl.datastore.clusters import one_of_each

ELSEWHERE = {"ClusterInformation", "IPAMConfiguration", "BlockAffinity", "IPAMBlock", "IPAMHandle", "WorkloadEndpoint"}
CLUSTER = ClusterInformation.make("default", cluster_guid="0123", datastore_ready=False)


def text() -> str:
    by_kind: dict[str, list[Resource]] = {}
    for one in one_of_each():
        by_kind.setdefault(one.KIND, []).append(one)
    return written(by_kind, CLUSTER, IpamState())


def test_every_kind_has_its_place_in_an_export() -> None:
    assert {noun.kind for noun in NOUNS} == {*KINDS, *ELSEWHERE}


def test_resources_come_first_in_calicoctls_order_then_the_cluster_then_ipam() -> None:
    first, second, third = text().split("===\n")
    assert [line.split()[1] for line in first.splitlines() if line.startswith("kind: ")] == [f"{k}List" for k in KINDS]
    assert '"clusterGUID": "0123"' in second
    assert third.startswith("{")


def test_what_was_written_is_read_back() -> None:
    found = read_migration(text(), "f")
    assert found.cluster.spec.cluster_guid == "0123"
    assert {one.key.noun.kind for one in found.resources} == set(KINDS)
    assert read_migration(text().replace("\n", "\r\n"), "f").resources == found.resources, "as an editor may save it"


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (text()[:2000], "has 1 of the three sections"),
        (text()[:-20], "may have been cut short"),
        (
            text().replace('"clusterGUID": "0123"', '"clusterGUID": ""'),
            "no ClusterInformation default with a clusterGUID",
        ),
        (text().replace("kind: Tier\n", "kind: Tear\n"), "resource kind 'Tear' is not known"),
        (
            "apiVersion: projectcalico.org/v3\nkind: IPAMConfiguration\nmetadata: {name: default}\n---\n" + text(),
            "no place",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_named_with_its_place(broken: str, sentence: str) -> None:
    with pytest.raises(RejectedError) as refused:
        read_migration(broken, "f.yaml")
    assert sentence in str(refused.value)
    assert "f.yaml" in str(refused.value)
