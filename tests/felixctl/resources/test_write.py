"""`felixctl apply, create, replace, delete, patch, label`: everything is checked before anything is written."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import yaml

import datastore
from datastore.kinds.ipam import IPAMBlock
from datastore.kinds.pools import IPPool
from felixctl import late_progress
from tests.felixctl.command import Felixctl
from tests.felixctl.golden import printed, records
from tests.felixctl.resources.examples import PEER, pool, pools


def test_applied_resources_are_there_to_get(felixctl: Felixctl) -> None:
    ended = felixctl("apply", "-f", "-", stdin=pool("a", "10.1.0.0/16") + "---" + PEER)
    assert (ended.status, ended.out, ended.err) == (0, "Successfully applied 2 resource(s)\n", "")
    assert "192.0.2.200" in felixctl("get", "bgppeer").out
    assert pools(felixctl) == ["ippool/a"]


@pytest.mark.parametrize("option", [[], ["--dry-run"]])
def test_a_long_write_says_on_a_terminal_how_far_it_is(
    felixctl: Felixctl, monkeypatch: pytest.MonkeyPatch, option: list[str]
) -> None:
    monkeypatch.setattr(late_progress, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    ended = felixctl("apply", "-f", "-", *option, stdin=pool("a", "10.1.0.0/16") + "---" + PEER)
    assert ended.status == 0
    assert "0 resources read from standard input" in ended.err
    assert ("2 resources are checked" if option else "2 resources are written, all at once") in ended.err


def test_what_was_printed_can_be_applied_again(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=pool("a", "10.1.0.0/16") + "---" + pool("b", "10.2.0.0/16"))
    as_yaml = felixctl("get", "ippools", "-o", "yaml").out
    as_json = felixctl("get", "ippools", "-o", "json").out
    for text in (as_yaml, as_json):
        ended = felixctl("apply", "-f", "-", stdin=text)
        assert ended.out == "Successfully applied 2 'IPPool' resource(s)\n"
    assert felixctl("get", "ippools", "-o", "yaml").out == as_yaml, "what is so already is not written again"


def test_calicoctls_own_yaml_applies_and_prints_as_it_was(felixctl: Felixctl) -> None:
    for path in ("cli/get-bgppeer.yaml", "cli/get-ippool.yaml", "cli/after-add-nodes.yaml", "cli/get-bgpconfig.yaml"):
        assert felixctl("apply", "-f", "-", stdin=printed(path)).status == 0
    assert felixctl("get", "bgppeers").out == printed("cli/table-bgppeers.txt")
    assert felixctl("get", "ippools", "-o", "wide").out == printed("cli/table-ippools-wide.txt")
    assert felixctl("get", "nodes", "-o", "wide").out == printed("cli/table-nodes-wide.txt")
    node = yaml.safe_load(felixctl("get", "node", "node-2", "-o", "yaml").out)
    calicos = yaml.safe_load(printed("cli/get-node-with-tunnel-address.yaml"))
    assert node["spec"] == calicos["spec"]
    assert node["metadata"]["labels"] == calicos["metadata"]["labels"]


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("a: b: c", "read standard input, line 9, column 5: mapping values are not allowed here"),
        ("- 3", "found 3 where a resource should be"),
        ("a: 1\na: 2", "key 'a' is given twice"),
        ("spec: {}", "apiVersion and kind are missing"),
        ("", "read standard input: there is no resource in it"),
        (PEER.replace("BGPPeer", "BGPPear"), "resource kind 'BGPPear' is not known: did you mean 'BGPPeer'?"),
        (PEER.replace("v3", "v4"), "apiVersion 'projectcalico.org/v4' is not known for BGPPeer"),
        (PEER.replace("name: tor-1", "labels: {}"), "metadata.name is missing"),
        (PEER.replace("192.0.2.200", "10.0.0.999"), '"10.0.0.999" is not an IP address'),
        (PEER.replace("peerIP", "peerIp"), "there is no field spec.peerIp; did you mean peerIP?"),
        (PEER + "---" + PEER, 'BGPPeer "tor-1" is given twice'),
        (pool("c", "10.9.0.0/16") + "---" + pool("d", "10.9.8.0/24"), "overlaps 10.9.0.0/16"),
        (pool("c", "10.0.8.0/24"), 'overlaps 10.0.0.0/16 of IPPool "old"'),
        (pool("c", "127.0.0.0/16"), 'IPPool "c": cidr 127.0.0.0/16 overlaps 127.0.0.0/8'),
        (pool("c", "10.9.0.0/28"), "smaller than one block"),
        (pool("c", "10.9.0.1/16"), "10.9.0.1/16"),
        (pool("c", "fd00::/64", "  ipipMode: Always\n"), "IPv4 only"),
        (pool("old", "10.3.0.0/16"), "cidr can't change from 10.0.0.0/16 to 10.3.0.0/16"),
        (
            "apiVersion: projectcalico.org/v3\nkind: BlockAffinity\nmetadata: {name: n}\n",
            "is written by IPAM only",
        ),
        (
            "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: n}\nspec: {bgp: {ipv4Address: 1.2.3}}\n",
            'IPv4Address "1.2.3" is not an IPv4 address',
        ),
    ],
)
def test_bad_input_is_a_clear_sentence_and_nothing_is_written(felixctl: Felixctl, written: str, sentence: str) -> None:
    felixctl("apply", "-f", "-", stdin=pool("old", "10.0.0.0/16"))
    ended = felixctl("apply", "-f", "-", stdin=pool("good", "10.77.0.0/16") + "---\n" + written if written else "")
    assert ended.status == 1
    assert sentence in ended.err
    assert "nothing was written" in ended.err
    assert ended.out == ""
    assert pools(felixctl) == ["ippool/old"]


def test_all_mistakes_are_reported_together(felixctl: Felixctl) -> None:
    ended = felixctl("apply", "-f", "-", stdin=pool("c", "10.9.0.0/28") + "---" + PEER.replace("200", "999"))
    assert 'IPPool "c"' in ended.err
    assert 'BGPPeer "tor-1"' in ended.err


def test_two_nodes_of_one_address_are_refused(felixctl: Felixctl) -> None:
    node = (
        "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: %s}\nspec: {bgp: {ipv4Address: 192.0.2.1/24}}\n"
    )
    felixctl("apply", "-f", "-", stdin=node % "n1")
    ended = felixctl("apply", "-f", "-", stdin=node % "n2")
    assert (ended.status, 'address 192.0.2.1 is that of Node "n1"' in ended.err) == (1, True)


def test_a_pool_must_fit_the_blocks_that_exist(felixctl: Felixctl, tmp_path: Path) -> None:
    async def with_block() -> None:
        store = datastore.open(f"sqlite://{tmp_path}/cluster.db")
        await store.create(IPAMBlock.read(records("crs/ipamblocks.yaml")[0]))
        await store.close()

    asyncio.run(with_block())
    ended = felixctl("apply", "-f", "-", stdin=pool("c", "10.65.0.0/16", "  blockSize: 28\n"))
    assert (ended.status, "10.65.247.0/26" in ended.err) == (1, True)


def test_a_stale_copy_is_refused(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=PEER)
    copy = felixctl("get", "bgppeer", "tor-1", "-o", "yaml").out
    felixctl("patch", "bgppeer", "tor-1", "-p", '{"spec": {"asNumber": 65002}}')
    ended = felixctl("apply", "-f", "-", stdin=copy.replace("65001", "65003"))
    assert ended.status == 1
    assert "65002" in felixctl("get", "bgppeer", "tor-1").out


def test_create_refuses_what_exists_and_replace_what_does_not(felixctl: Felixctl) -> None:
    assert felixctl("replace", "-f", "-", stdin=PEER).status == 1
    assert felixctl("create", "-f", "-", stdin=PEER).out == "Successfully created 1 'BGPPeer' resource(s)\n"
    assert "exists already" in felixctl("create", "-f", "-", stdin=PEER).err
    assert felixctl("create", "-f", "-", "--skip-exists", stdin=PEER).status == 0
    assert felixctl("replace", "-f", "-", stdin=PEER).out == "Successfully replaced 1 'BGPPeer' resource(s)\n"


def test_delete_is_all_or_nothing(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=pool("a", "10.1.0.0/16") + "---" + pool("b", "10.2.0.0/16"))
    ended = felixctl("delete", "ippool", "a", "c")
    assert (ended.status, 'IPPool "c": it does not exist' in ended.err) == (1, True)
    assert pools(felixctl) == ["ippool/a", "ippool/b"]
    assert felixctl("delete", "ippool", "a", "c", "-s").out == "Successfully deleted 1 'IPPool' resource(s)\n"
    assert felixctl("delete", "-f", "-", stdin=pool("b", "10.2.0.0/16")).status == 0
    assert pools(felixctl) == []


def test_labels_are_set_changed_and_removed(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=printed("cli/get-node.yaml"))
    assert felixctl("label", "node", "node-1", "rack=a").status == 0
    assert "--overwrite" in felixctl("label", "node", "node-1", "rack=b").err
    assert felixctl("label", "node", "node-1", "rack=b", "--overwrite").status == 0
    assert json.loads(felixctl("get", "node", "node-1", "-o", "json").out)["metadata"]["labels"]["rack"] == "b"
    assert felixctl("label", "node", "node-1", "rack", "--remove").status == 0
    assert "rack" not in json.loads(felixctl("get", "node", "node-1", "-o", "json").out)["metadata"]["labels"]


def test_a_label_that_kubernetes_would_not_take_is_refused(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=pool("b", "10.2.0.0/16"))
    refused = felixctl("label", "ippool", "b", "rack a=b")
    assert refused.status == 1
    assert 'IPPool "b": metadata.labels "rack a" is no key of a label' in refused.err


def test_a_patch_changes_and_removes_fields(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=pool("a", "10.1.0.0/16", "  natOutgoing: true\n"))
    ended = felixctl("patch", "ippool", "a", "-p", '{"spec": {"natOutgoing": null, "disabled": true}}')
    assert ended.out == "Successfully patched 1 'IPPool' resource\n"
    spec = json.loads(felixctl("get", "ippool", "a", "-o", "json").out)["spec"]
    assert spec == {"cidr": "10.1.0.0/16", "disabled": True}
    assert "can't change" in felixctl("patch", "ippool", "a", "-p", '{"spec": {"cidr": "10.3.0.0/16"}}').err


def test_the_pool_as_stored_is_a_record_calico_reads(felixctl: Felixctl, tmp_path: Path) -> None:
    felixctl("apply", "-f", "-", stdin=pool("a", "10.1.0.0/16"))

    async def stored() -> dict[str, object]:
        store = datastore.open(f"sqlite://{tmp_path}/cluster.db")
        try:
            return (await store.get(IPPool, "a")).to_json()
        finally:
            await store.close()

    record = asyncio.run(stored())
    assert (record["apiVersion"], record["kind"]) == ("crd.projectcalico.org/v1", "IPPool")
    assert record["spec"] == {"cidr": "10.1.0.0/16"}


def test_a_dry_run_checks_and_prints_and_writes_nothing(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=PEER + "---" + pool("a", "10.1.0.0/16"))
    written = PEER + "---" + pool("a", "10.1.0.0/16", "  disabled: true\n") + "---" + pool("b", "10.2.0.0/16")
    ended = felixctl("apply", "--dry-run", "-f", "-", stdin=written)
    assert ended.out == 'would update IPPool "a"\nwould create IPPool "b"\n1 of 3 need no change\n'
    assert pools(felixctl) == ["ippool/a"]
    assert felixctl("apply", "--dry-run", "-f", "-", stdin=pool("c", "10.1.0.0/24")).status == 1


def test_create_and_replace_have_a_dry_run_with_their_own_rules(felixctl: Felixctl) -> None:
    assert felixctl("replace", "--dry-run", "-f", "-", stdin=PEER).status == 1
    assert felixctl("create", "--dry-run", "-f", "-", stdin=PEER).out == 'would create BGPPeer "tor-1"\n'
    assert felixctl("get", "bgppeer", "tor-1").status == 1
    felixctl("create", "-f", "-", stdin=PEER)
    assert "exists already" in felixctl("create", "--dry-run", "-f", "-", stdin=PEER).err
    skipped = felixctl("create", "--dry-run", "--skip-exists", "-f", "-", stdin=PEER)
    assert (skipped.status, skipped.out) == (0, "1 of 1 need no change\n")
    changed = felixctl("replace", "--dry-run", "-f", "-", stdin=PEER.replace("65001", "65002"))
    assert changed.out == 'would update BGPPeer "tor-1"\n'
    assert "65001" in felixctl("get", "bgppeer").out


def test_delete_has_a_dry_run_that_makes_its_checks(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=pool("a", "10.1.0.0/16") + "---" + pool("b", "10.2.0.0/16"))
    assert (
        felixctl("delete", "ippool", "a", "b", "--dry-run").out == 'would delete IPPool "a"\nwould delete IPPool "b"\n'
    )
    assert 'IPPool "c": it does not exist' in felixctl("delete", "ippool", "a", "c", "--dry-run").err
    assert felixctl("delete", "--dry-run", "-s", "-f", "-", stdin=pool("c", "10.3.0.0/16")).out == ""
    assert pools(felixctl) == ["ippool/a", "ippool/b"]


def test_the_command_takes_both_kinds_of_patch(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=PEER)
    patch = ("patch", "bgppeer", "tor-1")
    ended = felixctl(*patch, "-t", "json", "-p", '[{"op": "replace", "path": "/spec/asNumber", "value": 65009}]')
    assert ended.out == "Successfully patched 1 'BGPPeer' resource\n"
    assert "65009" in felixctl("get", "bgppeer").out
    assert felixctl(*patch, "-t", "strategic", "-p", "spec: {asNumber: 65010}").status == 0
    assert "65010" in felixctl("get", "bgppeer").out
    assert felixctl(*patch, "-t", "json", "-p", "{}").status == 2
    assert felixctl(*patch, "-p", "[]").status == 2
    assert felixctl(*patch, "-p", "{").status == 2
    ended = felixctl(*patch, "-t", "json", "-p", '[{"op": "remove", "path": "/spec/nothing"}]')
    assert (ended.status, "nothing was written" in ended.err) == (1, True)


PROFILE = "apiVersion: projectcalico.org/v3\nkind: Profile\nmetadata: {name: kns.web}\n"
AFFINITY = "apiVersion: projectcalico.org/v3\nkind: BlockAffinity\nmetadata: {name: n}\n"
OTHERS = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: p}\n"


@pytest.mark.parametrize("verb", ["apply", "create"])
def test_kinds_that_are_not_supported_are_left_out_if_wished_and_named(felixctl: Felixctl, verb: str) -> None:
    text = "---\n".join((PROFILE, PEER, AFFINITY, OTHERS))
    refused = felixctl(verb, "-f", "-", stdin=text + "---" + pool("a", "10.0.0.0/28"))
    assert refused.err.count("--skip-unsupported leaves it out") == 3
    assert "smaller than one block" in refused.err, "the mistakes of the others are told with them"
    ended = felixctl(verb, "-f", "-", "--skip-unsupported", stdin=text)
    assert (ended.status, ended.out.endswith("1 'BGPPeer' resource(s)\n")) == (0, True)
    assert [line.split(": ")[0] for line in ended.err.splitlines()] == ["skipped"] * 3
    deleted = felixctl("delete", "-f", "-", "--skip-unsupported", stdin=text)
    assert deleted.out == "Successfully deleted 1 'BGPPeer' resource(s)\n"


def test_files_without_a_resource_are_no_error_if_wished(felixctl: Felixctl) -> None:
    assert felixctl("apply", "-f", "-", stdin="# nothing").status == 1
    ended = felixctl("apply", "-f", "-", "--skip-empty", stdin="# nothing")
    assert (ended.status, ended.out) == (0, "Successfully applied 0 resource(s)\n")


def test_a_dry_run_tells_the_conflict_that_apply_would(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=PEER)
    copy = felixctl("get", "bgppeer", "tor-1", "-o", "yaml").out
    felixctl("patch", "bgppeer", "tor-1", "-p", '{"spec": {"asNumber": 65002}}')
    told = felixctl("apply", "--dry-run", "-f", "-", stdin=copy)
    assert (told.status, "was changed since this copy was read" in told.err, told.out) == (1, True, "")
    assert felixctl("apply", "-f", "-", stdin=copy).err == told.err
    without = "\n".join(line for line in copy.splitlines() if "resourceVersion" not in line)
    assert felixctl("apply", "-f", "-", stdin=without).status == 0


def test_a_dry_run_says_what_would_be_created_with_the_datastore_and_creates_none(
    felixctl: Felixctl, tmp_path: Path
) -> None:
    ended = felixctl("apply", "--dry-run", "-f", "-", stdin=PEER)
    assert (ended.status, ended.out) == (0, 'would create BGPPeer "tor-1"\n')
    assert "'Profile' of Calico is not supported" in felixctl("apply", "--dry-run", "-f", "-", stdin=PROFILE).err
    assert not (tmp_path / "cluster.db").exists()


def test_mistakes_in_files_are_told_though_the_datastore_cannot_be_opened(felixctl: Felixctl, tmp_path: Path) -> None:
    (tmp_path / "cluster.db").write_text("this is no database at all, but a letter\n" * 100)
    ended = felixctl("apply", "-f", "-", stdin=PROFILE + "---" + PEER)
    assert "'Profile' of Calico is not supported" in ended.err
    assert "cluster.db" in ended.err


def test_what_a_file_does_not_decide_is_a_notice(felixctl: Felixctl) -> None:
    ended = felixctl("apply", "-f", "-", stdin=PEER.replace("name: tor-1", "name: tor-1\n  uid: u") + "status: {a: 1}")
    assert ended.status == 0
    assert 'notice: BGPPeer "tor-1": metadata.uid, status: the datastore or an agent sets this' in ended.err


def test_a_keepalive_time_that_no_session_can_have_is_refused(felixctl: Felixctl) -> None:
    ended = felixctl("apply", "-f", "-", stdin=PEER + "  keepaliveTime: 6h5m\n")
    assert (ended.status, "three of them are the hold time" in ended.err) == (1, True)
    felixctl("apply", "-f", "-", stdin=PEER)
    patch = felixctl("patch", "bgppeer", "tor-1", "-p", '{"spec": {"keepaliveTime": "10h"}}')
    assert (patch.status, "keepaliveTime 10h is not between 1s and 21845s" in patch.err) == (1, True)
