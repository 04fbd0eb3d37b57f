"""Transactions and events of nftables in a real kernel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from kernel.message import CREATE, text
from kernel.netlink import KernelError
from kernel.netns import inside
from kernel.nftables_connection import NftablesConnection
from kernel.nftables_table import DELETE_TABLE, NEW_TABLE, Request, table_of
from tests.kernel.netns import Namespace, namespace


@pytest.fixture
def here() -> Iterator[Namespace]:
    with namespace("connection") as made:
        yield made


@pytest.fixture
def connection(here: Namespace) -> Iterator[NftablesConnection]:
    with inside(here.descriptor):
        made = NftablesConnection(lambda event: table_of(event.body) == "one")
    with closing(made):
        yield made


def test_a_transaction_takes_effect_whole_or_not_at_all(here: Namespace, connection: NftablesConnection) -> None:
    made, none = Request(NEW_TABLE, CREATE, text(1, "one")), Request(DELETE_TABLE, 0, text(1, "none"))
    with pytest.raises(KernelError, match=r"^write it: .*ENOENT"):
        connection.commit([made, none], "write it")
    assert here.run("nft", "list", "ruleset") == ""
    connection.commit([made], "write it")
    assert "table inet one" in here.run("nft", "list", "ruleset")


def test_changes_by_others_of_what_concerns_are_heard_once(here: Namespace, connection: NftablesConnection) -> None:
    connection.commit([Request(NEW_TABLE, CREATE, text(1, "one"))], "write it")
    here.run("nft", "add", "table", "inet", "two")
    assert not connection.was_changed()
    here.run("nft", "delete", "table", "inet", "one")
    assert connection.was_changed()
    assert not connection.was_changed()
