"""What becomes of packets of pods on hosts whose iptables drop, with our rules in place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from felix_py.packet_filter.forward_accept import CHAINS, accepting
from felix_py.packet_path.kernel_facts import packet_filters
from kernel.netns import inside
from kernel.nftables_foreign_writer import ForeignChainWriter
from net.packet_filter import FORWARDED, Packet
from net.prefix import pack
from tests.kernel.netns import Namespace, namespace

A, B = pack("10.65.1.1"), pack("10.65.2.1")
THERE, BACK = Packet(A, B, "cali1", "eth0"), Packet(B, A, "eth0", "cali1", is_answer=True)
TRANSIT = Packet(pack("192.0.2.1"), pack("203.0.113.9"), "eth1", "eth0")


@pytest.fixture
def host() -> Iterator[Namespace]:
    with namespace("accepts") as made:
        made.run("iptables-nft", "-P", "FORWARD", "DROP")
        yield made


def accept_on(host: Namespace, *prefixes: str) -> None:
    with inside(host.descriptor), closing(ForeignChainWriter(CHAINS)) as writer:
        writer.bring_in_line(accepting(*(prefixes or ("cali",))))


def passes(host: Namespace, packet: Packet) -> bool:
    with inside(host.descriptor):
        return packet_filters({}).outcome(FORWARDED, packet).dropped is None


def test_pods_pass_a_policy_that_drops_and_nothing_else_does(host: Namespace) -> None:
    assert not passes(host, THERE)
    accept_on(host)
    assert [passes(host, packet) for packet in (THERE, BACK, TRANSIT)] == [True, True, False]


def test_a_rule_that_drops_is_obeyed(host: Namespace) -> None:
    host.run("iptables-nft", "-N", "DOCKER-USER")
    host.run("iptables-nft", "-A", "FORWARD", "-j", "DOCKER-USER")
    host.run("iptables-nft", "-A", "DOCKER-USER", "-d", "10.65.2.0/26", "-j", "DROP")
    accept_on(host)
    assert [passes(host, packet) for packet in (THERE, BACK)] == [False, True]


def test_devices_of_pods_are_those_of_the_setting(host: Namespace) -> None:
    accept_on(host, "pod")
    assert [passes(host, packet) for packet in (THERE, Packet(A, B, "pod1", "eth0"))] == [False, True]


def test_devices_of_pods_from_before_the_setting_changed_pass_as_well(host: Namespace) -> None:
    accept_on(host, "pod", "cali")
    assert [passes(host, packet) for packet in (THERE, BACK, Packet(A, B, "pod1", "eth0"), TRANSIT)] == [
        *(True, True, True, False)
    ]
