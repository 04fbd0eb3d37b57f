"""Steps of rules, as nft itself reads them."""

from __future__ import annotations

from contextlib import closing

import pytest

from kernel import nftables_steps as steps
from kernel.netns import inside
from kernel.nftables_table import AddressSet, AttachedChain, Expression, OwnTable, Program
from kernel.nftables_writer import NftablesWriter
from net.packet_filter import Hook
from net.prefix import pack
from tests.kernel.netns import namespace

V4 = AddressSet("some_v4", 4, frozenset())
V6 = AddressSet("some_v6", 16, frozenset())


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (
            (*steps.is_family(4), *steps.is_in("source", V4), *steps.masquerade()),
            "ip saddr @some_v4 masquerade fully-random",
        ),
        (
            (*steps.is_family(16), *steps.is_in("destination", V6, inside=False), *steps.masquerade()),
            "ip6 daddr != @some_v6 masquerade fully-random",
        ),
        ((*steps.leaves_by("eth0"), *steps.masquerade()), 'oifname "eth0" masquerade fully-random'),
        ((*steps.leaves_by("eth*"), *steps.masquerade()), 'oifname "eth*" masquerade fully-random'),
        (
            (*steps.is_protocol(6), *steps.masquerade((1024, 65535))),
            "meta l4proto tcp masquerade to :1024-65535 fully-random",
        ),
        (
            (*steps.is_family(4), *steps.source_nat(pack("192.0.2.9"))),
            "meta nfproto ipv4 snat ip to 192.0.2.9 fully-random",
        ),
        (
            (*steps.is_family(16), *steps.is_protocol(17), *steps.source_nat(pack("fd00::9"), (5, 6))),
            "meta nfproto ipv6 meta l4proto udp snat ip6 to [fd00::9]:5-6 fully-random",
        ),
        (
            (*steps.from_own_address(of_out_device=True), *steps.from_own_address(of_out_device=False), *steps.count()),
            "fib saddr . oif type != local fib saddr type local counter",
        ),
    ],
)
def test_nft_reads_a_rule_as_it_is_meant_and_the_kernel_holds_it_as_it_was_written(
    written: tuple[Expression, ...], shown: str
) -> None:
    chain = AttachedChain("out", "nat", Hook.POSTROUTING, 100, (Program(written, "why"),))
    table = OwnTable((V4, V6), (chain,))
    with namespace("steps") as here:
        with inside(here.descriptor):
            writer, reader = NftablesWriter("own"), NftablesWriter("own")
        with closing(writer), closing(reader):
            assert writer.bring_in_line(table)
            assert not reader.bring_in_line(table)
        assert f'\t\t{shown} comment "why"\n' in here.run("nft", "--stateless", "list", "ruleset")
