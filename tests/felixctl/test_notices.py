"""What is accepted and not obeyed is printed by the commands that write it, and by `get -o yaml`."""

from __future__ import annotations

import yaml

from datastore.kinds.bgp import BGPPeer
from datastore.kinds.pools import IPPool
from felixctl import notices
from tests.felixctl.command import Felixctl
from tests.felixctl.resources.examples import PEER, pool

FILTERED = PEER.rstrip() + "\n  filters: [reject-all]\n"


def test_each_notice_is_a_line_that_names_object_and_field() -> None:
    peer = BGPPeer.make("tor-1", peer_ip="192.0.2.200", filters=["reject-all"], next_hop_mode="Keep")
    lines = notices.as_lines([peer]).splitlines()
    assert {line.split(": ")[1] for line in lines} == {
        'BGPPeer "tor-1" spec.filters',
        'BGPPeer "tor-1" spec.nextHopMode',
    }
    assert notices.as_comments([peer]) == "".join(f"# {line}\n" for line in lines)


def test_a_resource_that_is_obeyed_in_full_has_none() -> None:
    assert notices.as_lines([BGPPeer.make("tor-1", peer_ip="192.0.2.200", as_number=65001)]) == ""


def test_a_selector_of_namespaces_is_obeyed_where_the_datastore_has_them() -> None:
    reds = IPPool.make("reds", cidr="10.0.0.0/16", namespaceSelector="has(red)", allowedUses=["Workload"])
    assert "only a datastore on Kubernetes has labels of namespaces" in notices.as_lines([reds])
    assert notices.as_lines([reds], has_namespaces=True) == notices.as_comments([reds], has_namespaces=True) == ""


def test_what_was_written_and_is_not_obeyed_is_printed_on_stderr_with_status_0(felixctl: Felixctl) -> None:
    changed = FILTERED + "  keepOriginalNextHop: true\n"
    for verb, text in (("create", FILTERED), ("apply", changed), ("replace", FILTERED)):
        ended = felixctl(verb, "-f", "-", stdin=text)
        assert ended.status == 0
        assert 'notice: BGPPeer "tor-1" spec.filters: ' in ended.err
        assert "notice" not in ended.out


NODE = "{apiVersion: projectcalico.org/v3, kind: Node, metadata: {name: n1, labels: {rack: a}}}\n"


def test_a_peer_that_means_no_node_is_named_where_there_are_nodes(felixctl: Felixctl) -> None:
    misspelt = PEER.rstrip() + "\n  nodeSelector: rack == 'aa'\n"
    assert felixctl("create", "-f", "-", stdin=misspelt).err == ""
    felixctl("apply", "-f", "-", stdin=NODE)
    for arguments in (("--dry-run",), ()):
        ended = felixctl("apply", *arguments, "-f", "-", stdin=misspelt + "  keepaliveTime: 10s\n")
        assert ended.status == 0
        assert 'notice: BGPPeer "tor-1" spec.nodeSelector: no node has labels that match;' in ended.err
    assert felixctl("apply", "-f", "-", stdin=PEER.rstrip() + "\n  nodeSelector: rack == 'a'\n").err == ""
    patched = felixctl("patch", "bgppeer", "tor-1", "-p", "{spec: {nodeSelector: rack == 'aa'}}")
    assert "no node has labels that match" in patched.err


def test_a_dry_run_prints_the_notices_of_what_would_be_written(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=PEER)
    ended = felixctl("apply", "--dry-run", "-f", "-", stdin=FILTERED)
    assert (ended.status, ended.out) == (0, 'would update BGPPeer "tor-1"\n')
    assert ended.err.startswith('notice: BGPPeer "tor-1" spec.filters: ')


def test_a_patch_prints_what_of_the_patched_resource_is_not_obeyed(felixctl: Felixctl) -> None:
    assert felixctl("apply", "-f", "-", stdin=PEER).err == ""
    ended = felixctl("patch", "bgppeer", "tor-1", "-p", '{"spec": {"filters": ["reject-all"]}}')
    assert (ended.status, ended.err.count("notice: ")) == (0, 1)


def test_a_resource_that_is_as_the_file_says_already_is_not_written_and_gives_no_notice(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=FILTERED)
    assert felixctl("apply", "-f", "-", stdin=FILTERED).err == ""


def test_get_as_yaml_shows_notices_as_comments_that_apply_ignores(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=FILTERED + "---" + pool("a", "10.1.0.0/16"))
    printed = felixctl("get", "bgppeer", "tor-1", "-o", "yaml").out
    comment, rest = printed.split("\n", 1)
    assert comment.startswith('# notice: BGPPeer "tor-1" spec.filters: ')
    assert yaml.safe_load(rest)["spec"]["filters"] == ["reject-all"]
    assert felixctl("apply", "-f", "-", stdin=printed).status == 0
    assert "#" not in felixctl("get", "ippool", "a", "-o", "yaml").out


def test_a_list_as_yaml_shows_the_notices_of_those_that_were_chosen(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=FILTERED)
    assert felixctl("get", "bgppeers", "-o", "yaml").out.startswith("# notice: ")
    assert felixctl("get", "bgppeers", "-l", "rack=a", "-o", "yaml").out.startswith("apiVersion: ")
