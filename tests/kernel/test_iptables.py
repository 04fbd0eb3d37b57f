"""The tables of iptables-legacy, set up by iptables-legacy itself."""

from __future__ import annotations

import sys

import pytest

from kernel.iptables import read_iptables
from kernel.netlink import KernelError
from kernel.netns import inside
from tests.kernel.netns import Namespace, namespace


def read(here: Namespace) -> list[str]:
    with inside(here.descriptor):
        found = read_iptables()
    return [
        f"{chain.tool} {chain.table} {chain.name} {chain.hook or '-'}{' DROP' if chain.drops else ''}"
        for chain in found
    ]


def test_only_tables_that_exist_are_read_and_reading_makes_none() -> None:
    with namespace("legacy") as here:
        assert read(here) == []
        assert read(here) == []
        here.run("iptables-legacy", "-P", "FORWARD", "DROP")
        assert read(here) == [
            "iptables-legacy filter INPUT input",
            "iptables-legacy filter FORWARD forward DROP",
            "iptables-legacy filter OUTPUT output",
        ]


def test_both_families_and_every_table_that_may_drop_are_read() -> None:
    with namespace("legacy") as here:
        here.run("ip6tables-legacy", "-N", "OWN")
        here.run("iptables-legacy", "-t", "raw", "-P", "OUTPUT", "DROP")
        here.run("iptables-legacy", "-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE")
        found = read(here)
        assert "iptables-legacy raw OUTPUT output DROP" in found
        assert "ip6tables-legacy filter OWN -" in found
        assert not any(" nat " in line for line in found), "it may change addresses, and drops nothing"


def test_a_table_that_translates_is_read_where_it_is_asked_for() -> None:
    with namespace("legacy") as here:
        here.run("iptables-legacy", "-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE")
        with inside(here.descriptor):
            [leaving] = [chain for chain in read_iptables(nat=True) if chain.name == "POSTROUTING"]
            assert read_iptables() == []
    assert (leaving.table, leaving.priority, [str(rule) for rule in leaving.rules]) == (
        "nat",
        100,
        ["accept (MASQUERADE)"],
    )


def test_reading_takes_no_capability_for_raw_sockets() -> None:
    code = "from kernel.iptables import read_iptables; print(len(read_iptables()))"
    with namespace("legacy") as here:
        here.run("iptables-legacy", "-P", "FORWARD", "DROP")
        dropped = here.run("capsh", "--drop=cap_net_raw", "--", "-c", f'"{sys.executable}" -c "{code}"')
    assert dropped.strip() == "3"


def test_what_may_not_be_read_is_an_error_that_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("names")
    monkeypatch.setattr("kernel.iptables.NAMES", {4: folder, 6: folder})
    with pytest.raises(KernelError, match="EISDIR"):
        read_iptables()
