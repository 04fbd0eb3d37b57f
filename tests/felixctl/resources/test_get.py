"""`felixctl get`, on a datastore."""

from __future__ import annotations

import json

import pytest

from tests.felixctl.command import Felixctl
from tests.felixctl.golden import printed
from tests.felixctl.resources.examples import PEER, pool


def test_the_command_prints_in_these_formats(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=printed("cli/after-add-nodes.yaml"))
    assert felixctl("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}").out == "node-1 node-2 node-3"
    assert felixctl("get", "node", "node-2", "-o", "jsonpath={.metadata.name}").out == "node-2"
    wide = felixctl("get", "nodes", "-o", "custom-columns=NAME,ASN,IPV4,IPV6").out
    assert wide == felixctl("get", "nodes", "-o", "wide").out
    felixctl("label", "node", "node-2", "rack=a")
    assert felixctl("get", "nodes", "-l", "rack=a", "-o", "name").out == "node/node-2\n"
    assert felixctl("get", "nodes", "-l", "rack=", "-o", "name").out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["-o", "custom-columns=NOPE"],
        ["-o", "jsonpath={.a"],
        ["-l", "a b"],
        ["node-1", "-l", "a"],
        ["-o", "go-template=x"],
    ],
)
def test_a_misused_format_or_selector_ends_with_2(felixctl: Felixctl, arguments: list[str]) -> None:
    felixctl("apply", "-f", "-", stdin=printed("cli/after-add-nodes.yaml"))
    ended = felixctl("get", "nodes", *arguments)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("felixctl: get")


def test_a_node_without_as_shows_the_clusters(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=printed("cli/get-node.yaml"))
    felixctl("apply", "-f", "-", stdin=printed("cli/get-bgpconfig.yaml").replace("64512", "64999"))
    assert "(64999)" in felixctl("get", "nodes", "-o", "wide").out


def test_an_unknown_kind_ends_as_calicoctl_does(felixctl: Felixctl) -> None:
    assert printed("cli/get-bad-kind.txt") == ""
    ended = felixctl("get", "nodez")
    assert (ended.status, ended.out, ended.err) == (
        1,
        "",
        "felixctl: resource kind 'nodez' is not known: did you mean 'node'?\n",
    )


@pytest.mark.parametrize("word", ["profile", "Profiles"])
def test_a_kind_of_calicos_alone_is_said_to_be_that(felixctl: Felixctl, word: str) -> None:
    ended = felixctl("get", word)
    assert (ended.status, ended.err) == (1, f"felixctl: resource kind '{word}' of Calico is not supported\n")


def test_a_missing_object_ends_as_calicoctl_does(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=PEER)
    ended = felixctl("get", "node", "node-9")
    assert (ended.status, ended.out, "node-9" in ended.err) == (1, "", True)


def test_a_namespace_is_a_column_only_when_asked_for(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=printed("cli/after-add-workloadendpoints.yaml"))
    assert felixctl("get", "wep").out == printed("cli/after-add-workloadendpoints.txt")
    assert felixctl("get", "wep", "-o", "wide").out == printed("cli/after-add-workloadendpoints-wide.txt")
    assert felixctl("get", "wep", "-A").out.startswith("NAMESPACE   WORKLOAD")
    assert felixctl("get", "wep", "-n", "other").out.count("\n") == 2


def test_what_a_file_names_is_printed_kind_by_kind(felixctl: Felixctl) -> None:
    text = pool("b", "10.2.0.0/16") + "---" + PEER + "---" + pool("a", "10.1.0.0/16")
    felixctl("apply", "-f", "-", stdin=text + "---" + pool("c", "10.3.0.0/16"))
    ended = felixctl("get", "-f", "-", "-o", "name", stdin=text)
    assert (ended.status, ended.out) == (0, "ippool/b\nippool/a\nbgppeer/tor-1\n")
    tables = felixctl("get", "-f", "-", stdin=text).out
    assert [line.split()[0] for line in tables.splitlines() if line] == ["NAME", "b", "a", "NAME", "tor-1"]
    found = json.loads(felixctl("get", "-f", "-", "-o", "json", stdin=text).out)
    assert [one["kind"] for one in found] == ["IPPool", "IPPool", "BGPPeer"]
    assert json.loads(felixctl("get", "-f", "-", "-o", "json", stdin=PEER).out)["kind"] == "BGPPeer"


def test_what_a_file_names_and_the_datastore_has_not_is_named(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=PEER)
    ended = felixctl("get", "-f", "-", stdin=pool("b", "10.2.0.0/16"))
    assert (ended.status, ended.out, 'IPPool "b"' in ended.err) == (1, "", True)


@pytest.mark.parametrize("arguments", [[], ["nodes", "-f", "-"], ["-f", "-", "-l", "a"]])
def test_a_kind_or_a_file_is_named_and_not_both(felixctl: Felixctl, arguments: list[str]) -> None:
    assert felixctl("get", *arguments, stdin=PEER).status == 2
