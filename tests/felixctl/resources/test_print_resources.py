"""Resources as the store reads them, printed by the kind."""

from __future__ import annotations

from tests.felixctl.command import Felixctl
from tests.felixctl.golden import printed
from tests.felixctl.resources.examples import PEER, pool


def test_several_kinds_are_one_document_or_a_table_each(felixctl: Felixctl) -> None:
    text = pool("a", "10.1.0.0/16") + "---" + PEER
    felixctl("apply", "-f", "-", stdin=text)
    names = felixctl("get", "-f", "-", "-o", "jsonpath={[*].metadata.name}", stdin=text).out
    tables = felixctl("get", "-f", "-", stdin=text).out
    assert names.split()[0] == "a" and len(names.split()) == 2
    assert tables.count("NAME") == 2


def test_what_is_named_keeps_its_order_and_a_list_has_that_of_its_kind(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=printed("cli/after-add-nodes.yaml"))
    assert felixctl("get", "nodes", "node-3", "node-1").out.split() == ["NAME", "node-3", "node-1"]
    assert felixctl("get", "nodes", "-o", "name").out.split() == ["node/node-1", "node/node-2", "node/node-3"]
