"""A table in a real kernel: written, repaired, and nothing beside it touched."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator
from contextlib import closing

import pytest
from msgspec.structs import replace

from kernel.netlink import KernelError
from kernel.netns import inside
from kernel.nftables_steps import count, is_family, is_in, masquerade
from kernel.nftables_table import AddressSet, AttachedChain, Expression, OwnTable, Program
from kernel.nftables_writer import NftablesWriter
from net.packet_filter import Hook
from net.prefix import pack
from tests.kernel.netns import Namespace, namespace
from tests.kernel.test_nftables import nft

POOLS = AddressSet("pools", 4, frozenset([(pack("10.65.0.0"), pack("10.65.255.255"))]))
STEPS = (*is_family(4), *is_in("source", POOLS), *count(), *masquerade())
TABLE = OwnTable((POOLS,), (AttachedChain("out", "nat", Hook.POSTROUTING, 100, (Program(STEPS, "why"),)),))


@pytest.fixture
def here() -> Iterator[Namespace]:
    with namespace("writer") as made:
        yield made


@pytest.fixture
def writer(here: Namespace) -> Iterator[NftablesWriter]:
    with inside(here.descriptor):
        made = NftablesWriter("own")
    with closing(made):
        yield made


def shown(here: Namespace) -> str:
    return here.run("nft", "--stateless", "list", "ruleset")


def test_a_table_is_there_once_written_and_gone_once_it_is_not_wanted(here: Namespace, writer: NftablesWriter) -> None:
    assert not writer.bring_in_line(None)
    assert writer.bring_in_line(TABLE)
    assert "elements = { 10.65.0.0/16 }" in shown(here)
    assert 'ip saddr @pools counter masquerade fully-random comment "why"' in shown(here)
    assert not writer.bring_in_line(TABLE)
    assert writer.bring_in_line(None)
    assert shown(here) == ""


def test_networks_side_by_side_are_two_elements_and_each_can_go(here: Namespace, writer: NftablesWriter) -> None:
    low, high = (pack("10.65.0.0"), pack("10.65.127.255")), (pack("10.65.128.0"), pack("10.65.255.255"))
    for elements in ([low, high], [low], [high], [low, high], []):
        table = replace(TABLE, sets=(replace(POOLS, elements=frozenset(elements)),))
        assert writer.bring_in_line(table)
        with inside(here.descriptor), closing(NftablesWriter("own")) as reader:
            assert not reader.bring_in_line(table)


@pytest.mark.parametrize(
    "change",
    [
        "flush ruleset",
        "delete table inet own",
        "flush chain inet own out",
        "add rule inet own out accept",
        "delete element inet own pools { 10.65.0.0/16 }",
        "add element inet own pools { 10.66.0.0/16 }",
        "add set inet own more { type ipv4_addr\n }",
        "add table inet own { flags dormant\n }",
        "chain inet own out { policy drop\n }",
    ],
)
async def test_what_others_change_is_seen_and_put_right(here: Namespace, writer: NftablesWriter, change: str) -> None:
    writer.bring_in_line(TABLE)
    wanted = shown(here)
    async with asyncio.timeout(20):
        changes = writer.changed()
        nft(here, change + "\n")
        await anext(changes)
        await changes.aclose()
    assert writer.bring_in_line(TABLE)
    assert shown(here) == wanted


def test_what_it_wrote_is_what_it_reads(here: Namespace, writer: NftablesWriter) -> None:
    writer.bring_in_line(TABLE)
    with inside(here.descriptor):
        another = NftablesWriter("own")
    with closing(another):
        assert not another.bring_in_line(TABLE)


async def test_its_own_changes_are_no_news(here: Namespace, writer: NftablesWriter) -> None:
    changes = writer.changed()
    waiting = asyncio.ensure_future(anext(changes))
    for elements in (POOLS.elements, frozenset[tuple[bytes, bytes]]()):
        writer.bring_in_line(replace(TABLE, sets=(replace(POOLS, elements=elements),)))
    nft(here, "table inet other {\n}\n")
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    nft(here, "flush ruleset\n")
    await asyncio.wait_for(waiting, 20)
    await changes.aclose()


def test_many_changes_of_others_at_once_are_put_right(here: Namespace, writer: NftablesWriter) -> None:
    writer.bring_in_line(TABLE)
    nft(here, "".join(f"add element inet own pools {{ 10.{n}.0.0/16 }}\n" for n in range(66, 166)))
    assert writer.bring_in_line(TABLE)
    nft(here, "flush ruleset\n")
    assert writer.bring_in_line(replace(TABLE, sets=(replace(POOLS, elements=frozenset()),)))
    assert "elements" not in shown(here)


def test_what_is_beside_it_is_left_as_it_is(here: Namespace, writer: NftablesWriter) -> None:
    nft(here, "table ip own {\n set pools {\n type ipv4_addr\n }\n}\ntable inet other {\n chain out {\n }\n}\n")
    before = shown(here)
    writer.bring_in_line(TABLE)
    writer.bring_in_line(None)
    assert shown(here) == before


def test_what_the_kernel_refuses_changes_nothing_and_says_so(here: Namespace, writer: NftablesWriter) -> None:
    writer.bring_in_line(TABLE)
    before = shown(here)
    odd = AttachedChain("more", "filter", Hook.INPUT, 0, (Program((Expression("nonesuch"),), "odd"),))
    with pytest.raises(KernelError, match=r"write table inet own of nftables: .*\(ENOENT\)") as refused:
        writer.bring_in_line(replace(TABLE, chains=(*TABLE.chains, odd)))
    assert refused.value.errno == errno.ENOENT
    assert shown(here) == before
    assert not writer.bring_in_line(TABLE)


def test_a_kernel_without_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPROTONOSUPPORT, "no")

    monkeypatch.setattr("kernel.nftables_connection.NetlinkSocket", refuse)
    with pytest.raises(KernelError, match=r"open nftables: .*\(EPROTONOSUPPORT\)"):
        NftablesWriter("own")
