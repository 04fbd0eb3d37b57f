"""What the agent looks at on its host, over an agent with one pod and one learned block."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bgp.speaker import LocalNode, Neighbour, Speaker
from cni.configurations import BINARY, CONFLIST
from felix_py.packet_path.filter_facts import CalledSession
from felix_py.packet_path.host_watch import HostWatch, called_sessions
from kernel.events import LinkChanged
from kernel.netlink import KernelError
from net.packet_filter import Action, Chain, Condition, Field, Hook, PacketFilters, Rule, device_name
from net.prefix import pack
from tests.felix_py.status.test_agent_status import CALI1, running

DROPPING = PacketFilters((Chain("nft", "ip f", "forward", hook=Hook.FORWARD, drops=True),))

NO_FILTERS = PacketFilters()
LOCAL = LocalNode(64512, pack("192.0.2.1"))


def host(forwards: str, neighbours: str) -> Callable[[Iterable[str]], Mapping[str, str]]:
    """Return what reads sysctls of a host that forwards, "1", or does not, and keeps so many neighbours."""
    return lambda paths: {path: neighbours if "neigh" in path else forwards for path in paths}


forwards = host("1", "1024")


@dataclass
class FakeFilters:
    """The packet filters of a host, which others change."""

    now: PacketFilters = NO_FILTERS

    def __call__(self, devices: Mapping[int, str]) -> PacketFilters:
        return self.now


async def test_a_filter_that_drops_pods_packets_is_logged_once_and_when_it_is_over(
    tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "felix.host")
    filters = FakeFilters(DROPPING)
    async with running(tmp_path) as found:
        watch = HostWatch(found.agent, None, filters, sysctls=forwards)
        await watch.look()
        await watch.look()
        assert len(found.agent.progress.in_the_way) == 1
        assert found.reporter.progress().in_the_way == found.agent.progress.in_the_way
        assert (await found.reporter.status()).progress.in_the_way and found.reporter.counts().warnings == 1
        filters.now = PacketFilters()
        await watch.look()
        assert not found.reporter.progress().in_the_way
    lines = [record.getMessage() for record in caplog.records if record.name == "felix.host"]
    assert [line.partition(":")[0] for line in lines] == [
        "a packet filter drops packets of pods that this node forwards",
        "over",
    ]


async def test_the_pods_own_device_and_the_one_towards_a_learned_block_are_asked_about(tmp_path: Any) -> None:
    names = [device_name(name) or b"" for name in ("cali1", "eth0")]
    devices = zip((Field.IN_DEVICE, Field.OUT_DEVICE), names, strict=True)
    conditions = tuple(Condition(looked_at, ((name, name),)) for looked_at, name in devices)
    chain = Chain("nft", "ip f", "forward", (Rule(conditions, Action.DROP),), Hook.FORWARD)
    async with running(tmp_path) as found:
        await HostWatch(found.agent, None, FakeFilters(PacketFilters((chain,))), sysctls=forwards).look()
        assert len(found.agent.progress.in_the_way) == 1


async def test_a_filter_of_a_device_cuts_off_the_sessions_whose_peers_it_leads_to(tmp_path: Any) -> None:
    session = CalledSession(pack("192.0.2.1"), pack("192.0.2.2"), passive=False)

    def looked_up(device: str | None) -> Any:
        return lambda sessions, names: [*sessions, session._replace(device=device)]

    def refused(*_: object) -> list[CalledSession]:
        raise KernelError("open netlink: too many open files (EMFILE)", 24)

    bgp = Condition(Field.SOURCE_PORT, ((b"\0\xb3", b"\0\xb3"),))
    chain = Chain("nft", "netdev f", "i", (Rule((bgp,), Action.DROP),), Hook.INGRESS, devices=("eth1",))
    filters = FakeFilters(PacketFilters((chain,)))
    async with running(tmp_path) as found:
        for look_up, cut_off in ((looked_up("eth1"), 1), (looked_up("eth0"), 0), (looked_up(None), 0), (refused, 0)):
            await HostWatch(found.agent, None, filters, sysctls=forwards, look_up=look_up).look()
            assert sum("drops BGP" in line for line in map(str, found.agent.progress.in_the_way)) == cut_off


async def test_forwarding_that_was_turned_off_is_said_for_families_that_pods_have(tmp_path: Any) -> None:
    async with running(tmp_path) as found:
        await HostWatch(found.agent, None, FakeFilters(), sysctls=host("0", "1024")).look()
        assert list(map(str, found.agent.progress.in_the_way)) == [
            "this host forwards no packets of pods: net.ipv4.ip_forward is 0; to turn it on:"
            " sysctl -w net.ipv4.ip_forward=1",
        ]


async def test_a_neighbour_table_that_is_too_small_for_pod_and_peer_is_said_until_it_is_larger(tmp_path: Any) -> None:
    async with running(tmp_path) as found:
        for most, warnings in (("1", 1), ("2", 0)):
            await HostWatch(found.agent, None, FakeFilters(), sysctls=host("1", most)).look()
            assert sum("neighbours at most" in str(one) for one in found.agent.progress.in_the_way) == warnings


async def test_filters_that_cannot_be_read_are_said_once(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    filters = FakeFilters(PacketFilters(unread=("read nftables: operation not permitted (EPERM)",)))
    async with running(tmp_path) as found:
        watch = HostWatch(found.agent, None, filters, sysctls=forwards)
        await watch.look()
        await watch.look()
    assert caplog.text.count("what they drop is not known") == 1


async def test_a_configuration_that_comes_first_is_seen_whenever_it_appears(tmp_path: Path) -> None:
    folder = tmp_path / "net.d"
    folder.mkdir()
    (folder / CONFLIST).write_text("{}")
    plugin(tmp_path).touch()
    async with running(tmp_path) as found:
        watching = asyncio.create_task(HostWatch(found.agent, folder, FakeFilters(), 0.001, forwards).run())
        (folder / "05-bridge.conflist").write_text("{}")
        await until(lambda: "05-bridge.conflist" in "".join(map(str, found.agent.progress.in_the_way)))
        (folder / "05-bridge.conflist").unlink()
        await until(lambda: not found.agent.progress.in_the_way)
        watching.cancel()


async def test_our_plugin_is_missed_where_the_runtime_looks_for_it_and_nowhere_else(tmp_path: Path) -> None:
    place = plugin(tmp_path)
    async with running(tmp_path) as found:
        await HostWatch(found.agent, None, FakeFilters(), sysctls=forwards).look()
        assert not found.agent.progress.in_the_way  # this agent installs nothing
        watch = HostWatch(found.agent, tmp_path / "net.d", FakeFilters(), sysctls=forwards)
        await watch.look()
        assert f"the container runtime has no plugin {place}" in "".join(map(str, found.agent.progress.in_the_way))
        place.touch()
        await watch.look()
        assert not found.agent.progress.in_the_way


async def test_a_device_that_is_taken_for_a_pods_is_a_notice_while_it_is_there(tmp_path: Any) -> None:
    async with running(tmp_path) as found:
        agent, watch = found.agent, HostWatch(found.agent, None, FakeFilters(), sysctls=forwards)
        await watch.look()
        [notice] = [one for one in agent.notices.all() if one.name == "FELIX_INTERFACEPREFIX"]
        assert "such as that of cali1" in notice.reason
        found.kernel.report(LinkChanged(CALI1, gone=True))
        await until(lambda: CALI1.index not in agent.host.names)
        await watch.look()
        assert notice not in agent.notices.all()


def plugin(folder: Path) -> Path:
    """Return where the runtime of `running` has our plugin; make its folder."""
    (folder / "bin").mkdir()
    return folder / "bin" / BINARY


def test_who_calls_whom_is_as_the_sessions_are_configured() -> None:
    called = Neighbour("192.0.2.2", "192.0.2.1", 64512, 64512)
    calls = Neighbour("192.0.2.3", "192.0.2.1", 64512, 64512, passive=True)
    outside = Neighbour("192.0.2.9", "192.0.2.1", 64600, 64512, is_node=False, port=1790)
    on_link = Neighbour("fe80::1%eth0", "fe80::2", 64600, 64512)
    speaker = Speaker("n1", pack("192.0.2.1"), (), 1179, (called, calls, outside, on_link), LOCAL)
    own = pack("192.0.2.1")
    assert called_sessions(speaker) == [
        CalledSession(own, pack("192.0.2.2"), passive=False, port=179),
        CalledSession(own, pack("192.0.2.3"), passive=True, port=1179),
        CalledSession(own, pack("192.0.2.9"), passive=False, port=1790, either=True),
    ]
    assert called_sessions(None) == []


async def until(holds: Callable[[], object]) -> None:
    for _ in range(10_000):
        if holds():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("not seen")
