"""The chains of nftables, set up by nft and by iptables-nft."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kernel.netlink import KernelError
from kernel.netns import inside
from kernel.nftables import read_nftables
from net.packet_filter import Chain, Packet
from net.prefix import pack
from tests.kernel.netns import Namespace, namespace


def nft(here: Namespace, script: str) -> None:
    subprocess.run(["ip", "netns", "exec", here.name, "nft", "-f", "-"], input=script, text=True, check=True)


def read(here: Namespace) -> dict[str, Chain]:
    with inside(here.descriptor):
        return {f"{chain.table} {chain.name}": chain for chain in read_nftables({1: "lo"})}


def test_an_empty_ruleset_has_no_chains() -> None:
    with namespace("nft") as here:
        assert read(here) == {}


def test_attached_chains_are_read_with_those_they_lead_to_and_no_others() -> None:
    with namespace("nft") as here:
        nft(
            here,
            "table inet f {\n chain forward {\n type filter hook forward priority 5\n policy drop\n jump own\n }\n"
            " chain own {\n drop\n }\n chain idle {\n drop\n }\n"
            " chain nat {\n type nat hook postrouting priority 100\n masquerade\n }\n}\n"
            "table arp a {\n chain in {\n type filter hook input priority 0\n drop\n }\n}\n",
        )
        found = read(here)
    assert sorted(found) == ["inet f forward", "inet f own"]
    forward = found["inet f forward"]
    assert (forward.hook, forward.priority, forward.drops, forward.versions) == ("forward", 5, True, (4, 6))


def test_of_what_translates_only_that_is_read_which_a_packet_is_known_to_come_to() -> None:
    with namespace("nft") as here:
        nft(
            here,
            "table inet f {\n chain pod {\n dnat ip to 192.0.2.9\n }\n chain service {\n drop\n }\n"
            " chain both {\n accept\n }\n chain unknown {\n drop\n }\n"
            " chain pre {\n type nat hook prerouting priority -100\n ip daddr 10.65.2.1 jump pod\n"
            " ip daddr 10.96.0.1 jump service\n ip daddr 10.96.0.1 jump both\n fib daddr type local jump unknown\n }\n"
            " chain forward {\n type filter hook forward priority 0\n jump both\n }\n}\n",
        )
        with inside(here.descriptor):
            packet = Packet(pack("10.65.1.1"), pack("10.65.2.1"), None, None)
            names = {chain.name for chain in read_nftables({}, nat=True, translated=packet)}
            assert names == {"pre", "pod", "forward", "both"}
            assert {chain.name for chain in read_nftables({}, nat=True)} == {*names, "service", "unknown"}


def test_a_new_destination_is_told_from_a_new_source() -> None:
    with namespace("nft") as here:
        nft(
            here,
            "table ip t {\n chain pre {\n type nat hook prerouting priority -100\n dnat to 192.0.2.9\n }\n"
            " chain post {\n type nat hook postrouting priority 100\n snat to 192.0.2.9\n }\n}\n",
        )
        with inside(here.descriptor):
            found = {chain.name: chain.rules for chain in read_nftables({}, nat=True)}
    assert {name: [(str(rule), rule.redirects) for rule in rules] for name, rules in found.items()} == {
        "pre": [("accept (dnat)", True)],
        "post": [("accept (snat)", False)],
    }


def test_chains_of_devices_are_read_with_the_devices_they_see() -> None:
    with namespace("nft") as here:
        here.ip("link add eth0 type veth peer name eth1")
        nft(
            here,
            "table netdev f {\n"
            " chain one {\n type filter hook ingress device eth0 priority 5\n policy drop\n }\n"
            " chain several {\n type filter hook ingress devices = { eth0, eth1 } priority 0\n }\n"
            " chain out {\n type filter hook egress device eth1 priority 0\n }\n}\n"
            "table inet f {\n chain in {\n type filter hook ingress device eth0 priority 0\n }\n}\n",
        )
        found = read(here)
    assert {name: (chain.hook, chain.devices) for name, chain in found.items()} == {
        "netdev f one": ("ingress", ("eth0",)),
        "netdev f several": ("ingress", ("eth0", "eth1")),
        "netdev f out": ("egress", ("eth1",)),
        "inet f in": ("ingress", ("eth0",)),
    }
    assert found["netdev f one"].drops and found["netdev f one"].priority == 5


def test_iptables_nft_writes_chains_like_any_other() -> None:
    with namespace("nft") as here:
        here.run("iptables-nft", "-P", "FORWARD", "DROP")
        assert read(here)["ip filter FORWARD"].drops


def test_who_may_not_read_them_gets_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "no")

    monkeypatch.setattr("kernel.nftables.NetlinkSocket", refuse)
    with pytest.raises(KernelError, match=r"read nftables: .*\(EPERM\)"):
        read_nftables({})


def test_a_module_that_is_not_loaded_is_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "nf_tables.ko.xz").touch()
    monkeypatch.setattr("kernel.nftables.LOADED", tmp_path / "none")
    monkeypatch.setattr("kernel.nftables.MODULES", tmp_path)
    with namespace("nft") as here:
        nft(here, "table ip f {\n chain in {\n type filter hook input priority 0\n drop\n }\n}\n")
        assert read(here) == {}
        (tmp_path / "none").touch()
        assert list(read(here)) == ["ip f in"]
