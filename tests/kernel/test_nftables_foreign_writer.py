"""Rules of ours in a chain of iptables, in a real kernel and with iptables itself as the other program."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, closing

import pytest

from kernel.netns import inside
from kernel.nftables_foreign_chain import MARK, ForeignChain
from kernel.nftables_foreign_writer import ForeignChainWriter
from kernel.nftables_steps import accept, comes_by, count, leaves_by
from kernel.nftables_table import Program
from tests.kernel.netns import Namespace, namespace

CHAINS = (ForeignChain(2, "filter", "FORWARD"), ForeignChain(10, "filter", "FORWARD"))
OURS = (
    Program((*comes_by("cali*"), *count(), *accept()), f"{MARK}from pods"),
    Program((*leaves_by("cali*"), *count(), *accept()), f"{MARK}to pods"),
)
SHOWN = [
    '-A FORWARD -i cali+ -m comment --comment "felix-py: from pods" -j ACCEPT',
    '-A FORWARD -o cali+ -m comment --comment "felix-py: to pods" -j ACCEPT',
]
TOOLS = ("iptables-nft", "ip6tables-nft")


@pytest.fixture
def here() -> Iterator[Namespace]:
    with namespace("foreign") as made:
        yield made


@pytest.fixture
def writer(here: Namespace) -> Iterator[ForeignChainWriter]:
    with inside(here.descriptor):
        made = ForeignChainWriter(CHAINS)
    with closing(made):
        yield made


def rules(here: Namespace, tool: str = "iptables-nft") -> list[str]:
    return [line for line in here.run(tool, "-S", "FORWARD").splitlines() if line.startswith("-A")]


def test_a_chain_that_is_not_there_is_not_made(here: Namespace, writer: ForeignChainWriter) -> None:
    assert not writer.bring_in_line(OURS)
    assert here.run("nft", "list", "ruleset") == ""


@pytest.mark.parametrize("tool", TOOLS)
def test_they_are_there_while_the_chain_drops_and_iptables_reads_them(
    here: Namespace, writer: ForeignChainWriter, tool: str
) -> None:
    here.run(tool, "-A", "FORWARD", "-i", "docker0", "-j", "ACCEPT")
    assert not writer.bring_in_line(OURS), "its policy accepts"
    here.run(tool, "-P", "FORWARD", "DROP")
    assert writer.bring_in_line(OURS)
    assert rules(here, tool) == ["-A FORWARD -i docker0 -j ACCEPT", *SHOWN]
    assert not writer.bring_in_line(OURS)
    here.run(tool, "-I", "FORWARD", "-s", "198.51.100.1" if tool == TOOLS[0] else "2001:db8::1", "-j", "DROP")
    assert not writer.bring_in_line(OURS), "rules of others are none of ours"
    here.run(tool, "-P", "FORWARD", "ACCEPT")
    assert writer.bring_in_line(OURS)
    assert len(rules(here, tool)) == 2
    assert not writer.bring_in_line(None)


def test_none_are_wanted_any_more(here: Namespace, writer: ForeignChainWriter) -> None:
    here.run("iptables-nft", "-P", "FORWARD", "DROP")
    writer.bring_in_line(OURS)
    assert writer.bring_in_line(None)
    assert rules(here) == []


def test_those_of_another_version_make_way(here: Namespace, writer: ForeignChainWriter) -> None:
    here.run("iptables-nft", "-P", "FORWARD", "DROP")
    before = (OURS[0], Program((*leaves_by("eth0"), *count(), *accept()), OURS[1].comment))
    for wanted in (before, OURS[:1], (*OURS, before[1]), OURS):
        assert writer.bring_in_line(wanted)
        assert not writer.bring_in_line(wanted)
    assert rules(here) == SHOWN


def test_without_repair_they_come_and_go_with_what_the_chain_does_and_are_not_put_back(here: Namespace) -> None:
    with inside(here.descriptor):
        made = ForeignChainWriter(CHAINS, repair=False)
    with closing(made) as writer:
        assert not writer.bring_in_line(OURS)
        for policy, shown in (("DROP", SHOWN), ("ACCEPT", []), ("DROP", SHOWN)):
            here.run("iptables-nft", "-P", "FORWARD", policy)
            writer.bring_in_line(OURS)
            assert rules(here) == shown
        here.run("iptables-nft", "-F", "FORWARD")
        assert not writer.bring_in_line(OURS)
        assert rules(here) == []
        assert writer.bring_in_line(OURS[:1]), "other rules are stated"
        here.run("nft", "flush", "ruleset")
        assert not writer.bring_in_line(OURS[:1])
        here.run("iptables-nft", "-P", "FORWARD", "DROP")
        assert writer.bring_in_line(OURS[:1]), "it is another chain"


@pytest.mark.parametrize(
    "change",
    [
        ("iptables-nft", "-F", "FORWARD"),
        ("iptables-nft", "-D", "FORWARD", "1"),
        ("nft", "flush", "ruleset"),
        ("iptables-nft", "-P", "FORWARD", "ACCEPT"),
    ],
    ids=" ".join,
)
async def test_a_change_of_the_chain_is_heard_of(
    here: Namespace, writer: ForeignChainWriter, change: tuple[str, ...]
) -> None:
    here.run("iptables-nft", "-P", "FORWARD", "DROP")
    writer.bring_in_line(OURS)
    async with aclosing(writer.changed()) as changes:
        heard = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        here.run(*change)
        await asyncio.wait_for(heard, 10)
    here.run("iptables-nft", "-P", "FORWARD", "DROP")
    writer.bring_in_line(OURS)
    assert rules(here) == SHOWN


async def test_of_other_chains_nothing_is_heard(here: Namespace, writer: ForeignChainWriter) -> None:
    here.run("iptables-nft", "-P", "FORWARD", "DROP")
    writer.bring_in_line(OURS)
    async with aclosing(writer.changed()) as changes:
        heard = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        here.run("iptables-nft", "-N", "OWN")
        here.run("iptables-nft", "-A", "OWN", "-j", "DROP")
        here.run("iptables-nft", "-P", "INPUT", "DROP")
        here.run("nft", "add", "table", "inet", "filter")
        here.run("nft", "add", "chain", "inet", "filter", "FORWARD")
        for _ in range(3):
            await asyncio.sleep(0)
        assert not heard.done()
        here.run("iptables-nft", "-F", "FORWARD")
        await asyncio.wait_for(heard, 10)


def test_rules_that_were_saved_and_restored_by_iptables_are_still_ours(
    here: Namespace, writer: ForeignChainWriter
) -> None:
    here.run("iptables-nft", "-P", "FORWARD", "DROP")
    writer.bring_in_line(OURS)
    saved = here.run("iptables-nft-save")
    here.run("sh", "-c", f"printf '%s' '{saved}' | iptables-nft-restore")
    writer.bring_in_line(OURS)
    assert rules(here) == SHOWN
