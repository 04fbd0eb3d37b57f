"""`get` prints what calicoctl prints of the same records: every table and every YAML that was captured."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from datastore.kube.uids import mirrored
from felixctl import tables
from felixctl.resources import kinds, view
from felixctl.resources.documents import to_json, to_yaml
from tests.felixctl.golden import TextDates, printed, records

CRS = {
    "nodes": "crs/nodes.yaml",
    "bgpconfig": "crs/bgpconfigurations.yaml",
    "bgppeers": "crs/bgppeers.yaml",
    "clusterinfo": "crs/clusterinformations.yaml",
    "ippools": "crs/ippools.yaml",
    "felixconfig": "startup/felixconfigurations.yaml",
    "tiers": "startup/tiers.yaml",
}


EMPTY = ("bgpfilter", "ipreservations", "kubecontrollersconfig", "gnp", "heps")


def views(word: str, path: str | None) -> list[dict[str, Any]]:
    """Return what is shown of custom resources: the store that reads them turns their UIDs around, but no Node's."""
    noun = kinds.noun(word)
    found = [view.shown(record) for record in (records(path) if path else [])]
    for seen in found:
        if seen["kind"] != "Node":
            seen["metadata"]["uid"] = mirrored(seen["metadata"]["uid"])
    return sorted(found, key=lambda seen: kinds.order(noun, seen))


def endpoints() -> list[dict[str, Any]]:
    """Return the endpoints that calicoctl printed: there is no record of them, they are made from pods."""
    printed_list = yaml.load(printed("cli/after-add-workloadendpoints.yaml"), Loader=TextDates)
    noun = kinds.noun("wep")
    return sorted(map(view.shown, printed_list["items"]), key=lambda seen: kinds.order(noun, seen))


@pytest.mark.parametrize(
    ("word", "path", "table"),
    [
        *((word, CRS[word], f"cli/table-{word}") for word in CRS),
        *((word, None, f"cli/table-{word}") for word in EMPTY),
        ("nodes", "crs/nodes.yaml", "cli/after-add-nodes"),
    ],
)
@pytest.mark.parametrize("wide", [False, True])
def test_tables_are_calicoctls(word: str, path: str | None, table: str, wide: bool) -> None:
    rows = kinds.table(kinds.noun(word), views(word, path), wide=wide)
    assert tables.plain(*rows) == printed(f"{table}-wide.txt" if wide else f"{table}.txt")


@pytest.mark.parametrize("wide", [False, True])
def test_endpoint_tables_are_calicoctls(wide: bool) -> None:
    rows = kinds.table(kinds.noun("wep"), endpoints(), wide=wide)
    suffix = "-wide" if wide else ""
    assert tables.plain(*rows) == printed(f"cli/after-add-workloadendpoints{suffix}.txt")


def test_the_pools_of_a_fresh_cluster_print_as_calicoctls() -> None:
    rows = kinds.table(kinds.noun("ippool"), views("ippool", "startup/ippools.yaml"), wide=True)
    assert tables.plain(*rows) == printed("startup/table-ippools.txt")


def test_the_nodes_of_a_bgp_cluster_print_as_calicoctls() -> None:
    rows = kinds.table(kinds.noun("node"), views("node", "node/noencap-nodes.yaml"), wide=True)
    assert tables.plain(*rows) == printed("node/nodes-wide.txt")


def comparable(text: str) -> str:
    """Return printed YAML without what the captured records lack: the list's revision and managedFields."""
    value = yaml.load(text, Loader=TextDates)
    for item in value.get("items", [value]):
        item["metadata"].pop("managedFields", None)
    if "items" in value:
        value["metadata"] = {}
    return to_yaml(value)


@pytest.mark.parametrize(
    ("word", "path", "yaml_path"),
    [
        ("bgpconfig", "crs/bgpconfigurations.yaml", "cli/get-bgpconfig.yaml"),
        ("bgppeer", "crs/bgppeers.yaml", "cli/get-bgppeer.yaml"),
        ("clusterinfo", "crs/clusterinformations.yaml", "cli/get-clusterinfo.yaml"),
        ("ippool", "crs/ippools.yaml", "cli/get-ippool.yaml"),
        ("nodes", "crs/nodes.yaml", "cli/after-add-nodes.yaml"),
    ],
)
def test_yaml_is_calicoctls(word: str, path: str, yaml_path: str) -> None:
    listed = view.listed(kinds.noun(word).kind, views(word, path))
    assert to_yaml(listed) == comparable(printed(yaml_path))


def test_yaml_of_one_node_is_calicoctls() -> None:
    [node] = views("node", "crs/node-with-tunnel-address.yaml")
    assert to_yaml(node) == printed("cli/get-node-with-tunnel-address.yaml")


def test_yaml_of_endpoints_is_calicoctls() -> None:
    listed = view.listed("WorkloadEndpoint", endpoints())
    assert to_yaml(listed) == comparable(printed("cli/after-add-workloadendpoints.yaml"))


def test_json_is_calicoctls() -> None:
    ours = json.loads(to_json(view.listed("IPPool", views("ippool", "crs/ippools.yaml"))))
    assert to_yaml(ours) == comparable(printed("cli/get-ippool.json"))
    assert list(ours["items"][0]) == list(json.loads(printed("cli/get-ippool.json"))["items"][0])
