"""A node whose address or Node goes is found out, put right or said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from datastore.errors import Unavailable
from datastore.kinds.node import CLAIM, HOST, Node
from felix_py.agent import Agent
from felix_py.host.autodetect import AutodetectionError
from felix_py.node.node_claim import QUESTION, HostMark
from felix_py.node.own_node import OwnNode
from kernel.events import AddressChanged
from kernel.link_codec import InterfaceAddress
from net.prefix import pack
from tests.felix_py.fake_node import BLOCK, FakeNode, affinity, node, pool
from tests.felix_py.fakes import ADDRESS, until

HERE, ELSEWHERE = HostMark("disk-1", "boot-1"), HostMark("disk-2", "boot-2")
MOVED = InterfaceAddress(2, pack("192.0.2.11"), 24, 2, 0)


async def test_an_address_that_moves_is_written_to_the_node_and_the_next_hop_follows(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    written: list[str] = []

    async def write() -> None:
        written.append("node")
        one.store.put(node("n1", "192.0.2.11/24"))

    async with one.running() as agent:
        own = OwnNode(agent, write, HERE, one.own_node_changes)
        await own.look()
        await until(lambda: BLOCK in one.peers.announced)
        one.kernel.report(AddressChanged(ADDRESS, gone=True), AddressChanged(MOVED))
        await until(lambda: agent.host.has(MOVED.address))
        await own.look()
        assert not written, "an address that comes back at once has not moved"
        await own.look()
        assert (written, agent.progress.identity) == (
            ["node"],
            "the node's address 192.0.2.1 is on no device of this host",
        )
        await until(lambda: one.peers.announced[BLOCK].next_hop == MOVED.address)
        await own.look()
        assert not agent.progress.identity


@asynccontextmanager
async def after_its_deletion(
    one: FakeNode, write: Callable[[Agent], Awaitable[None]]
) -> AsyncIterator[tuple[Agent, OwnNode]]:
    """Yield a node's agent, and what has found out that the Node was deleted and called `write`."""
    async with one.running() as agent:
        own = OwnNode(agent, partial(write, agent), HERE, one.own_node_changes)
        one.store.remove(node())
        await until(lambda: not agent.snapshot.nodes)
        await own.look()
        await own.look()
        yield agent, own


async def test_a_node_that_was_deleted_is_written_anew(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)

    async def write(_: Agent) -> None:
        one.store.put(node())

    async with after_its_deletion(one, write) as (agent, _):
        await until(lambda: agent.snapshot.nodes)


async def test_a_node_that_was_made_anew_without_our_annotations_gets_them_back(tmp_path: Path) -> None:
    """As a kubelet makes it: while it is away nobody else can."""
    one = FakeNode(tmp_path)

    async def write(agent: Agent) -> None:
        if not agent.snapshot.nodes:
            raise Unavailable("on Kubernetes its kubelet creates it, and has not done so yet")
        one.store.put(node())

    async with after_its_deletion(one, write) as (agent, own):
        one.store.put(Node.make("n1"))
        await until(lambda: agent.snapshot.nodes)
        await own.look()  # one is enough
        assert agent.progress.identity.startswith("the Node n1 has no IPv4 address any more")
        await until(lambda: own.wrong() == "")
        await own.look()
        assert not agent.progress.identity


@pytest.mark.parametrize(
    ("setting", "follows"),
    [("autodetect", True), ("192.0.2.1", True), ("192.0.2.1/24", False), ("", False)],
)
async def test_a_subnet_that_grows_is_written_to_the_node_unless_its_length_was_given(
    tmp_path: Path, setting: str, follows: bool
) -> None:
    one = FakeNode(tmp_path, IP=setting)
    wider = InterfaceAddress(2, ADDRESS.address, 22, 2, 0)
    async with one.running() as agent:
        own = OwnNode(agent, agent.ready, HERE, one.own_node_changes)
        assert not own.wrong()
        one.kernel.report(AddressChanged(ADDRESS, gone=True), AddressChanged(wider))
        await until(lambda: [each.length for each in agent.host.addresses] == [22])
        said = "the node's address 192.0.2.1/24 has the length /22 on this host"
        assert own.wrong() == (said if follows else "")


def with_internal(*addresses: str) -> Node:
    known = [{"type": "InternalIP", "address": address} for address in addresses]
    return Node.read({**node().to_json(), "status": {"addresses": known}})


@pytest.mark.parametrize(
    ("settings", "follows"),
    [
        ({"IP": "autodetect", "IP_AUTODETECTION_METHOD": "kubernetes-internal-ip"}, True),
        ({"IP": "autodetect"}, False),
        ({"IP_AUTODETECTION_METHOD": "kubernetes-internal-ip"}, False),
    ],
    ids=["followed", "another method", "the Node's is kept"],
)
async def test_an_internal_ip_that_changes_is_followed_though_the_old_address_is_still_there(
    tmp_path: Path, settings: dict[str, str], follows: bool
) -> None:
    one = FakeNode(tmp_path, with_internal("192.0.2.1"), pool(), affinity(), routes=(), **settings)
    async with one.running() as agent:
        own = OwnNode(agent, agent.ready, HERE, one.own_node_changes)
        assert not own.wrong()
        one.store.put(with_internal("192.0.2.11"))
        await until(lambda: str(agent.snapshot.nodes["n1"].internal_addresses[0]) == "192.0.2.11")
        assert not own.wrong(), "the host does not have it yet"
        one.kernel.report(AddressChanged(MOVED))
        await until(lambda: agent.host.has(MOVED.address))
        said = "the node's address 192.0.2.1/24 is no InternalIP of its Node any more, and 192.0.2.11 is one"
        assert own.wrong() == (said if follows else "")
        one.store.put(with_internal("192.0.2.11", "192.0.2.1"))
        await until(lambda: len(agent.snapshot.nodes["n1"].internal_addresses) == 2)
        assert not own.wrong()


async def test_what_cannot_be_put_right_is_said_once_and_makes_the_node_unready(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = FakeNode(tmp_path)

    async def write() -> None:
        raise AutodetectionError("no device that is up has one that fits")

    async with one.running() as agent:
        own = OwnNode(agent, write, HERE, one.own_node_changes)
        await own.look()
        one.kernel.report(AddressChanged(ADDRESS, gone=True))
        await until(lambda: not agent.host.has(ADDRESS.address))
        for _ in range(4):
            await own.look()
        assert agent.progress.identity.endswith("write it anew: no device that is up has one that fits")
        assert caplog.text.count("192.0.2.1 is on no device") == 1


async def test_an_address_that_never_was_on_the_host_is_as_it_should_be(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    one.kernel.device_addresses = [MOVED]
    async with one.running() as agent:
        assert not OwnNode(agent, agent.ready, HERE, one.own_node_changes).wrong()


async def test_one_familys_address_that_never_was_on_the_host_is_no_fault_of_the_others(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    behind_nat = node("n1", "203.0.113.5/32").with_data(IPv6Address="2001:db8::1/64")
    one.kernel.device_addresses = [InterfaceAddress(2, pack("2001:db8::1"), 64, 10, 0)]
    async with one.running() as agent:
        one.store.put(behind_nat)
        await until(lambda: agent.snapshot.nodes["n1"].ipv6 is not None)
        assert not OwnNode(agent, agent.ready, HERE, one.own_node_changes).wrong()


async def test_another_host_that_starts_as_this_node_is_answered_and_said(tmp_path: Path) -> None:
    claimed = node(**{HOST: str(HERE), CLAIM: f"box-2 {ELSEWHERE} 77"})
    one = FakeNode(tmp_path, claimed, pool(), affinity())
    async with one.running() as agent:
        await OwnNode(agent, agent.ready, HERE, one.own_node_changes).answer_claims()
        assert CLAIM not in (await one.store.get(Node, "n1")).metadata.annotations
        [notice] = agent.notices.all()
        assert str(notice).startswith('Node "n1": the host box-2 was started as this node too')


async def test_a_command_that_asks_whether_it_lives_is_answered_and_nothing_is_said(tmp_path: Path) -> None:
    one = FakeNode(tmp_path, node(**{HOST: str(HERE), CLAIM: f"{QUESTION} 77"}), pool(), affinity())
    async with one.running() as agent:
        await OwnNode(agent, agent.ready, HERE, one.own_node_changes).answer_claims()
        assert CLAIM not in (await one.store.get(Node, "n1")).metadata.annotations
        assert agent.notices.all() == ()


async def test_a_claim_to_a_node_that_is_another_hosts_is_left_to_that_one(tmp_path: Path) -> None:
    one = FakeNode(tmp_path, node(**{HOST: str(ELSEWHERE), CLAIM: f"box-3 {HERE} 77"}), pool(), affinity())
    async with one.running() as agent:
        own = OwnNode(agent, agent.ready, HERE, one.own_node_changes)
        await own.answer_claims()
        assert CLAIM in (await one.store.get(Node, "n1")).metadata.annotations
        assert own.wrong().startswith("the Node n1 is another host's by now")


async def test_it_is_looked_at_when_something_changes_and_again_while_anything_is_in_doubt(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    looks: list[str] = []

    async def write() -> None:
        one.store.put(node("n1", "192.0.2.11/24"))

    class Counted(OwnNode):
        async def look(self) -> None:
            await super().look()
            looks.append(self.wrong())

    async with one.running() as agent:
        own = Counted(agent, write, HERE, one.own_node_changes, look_seconds=0)
        running = asyncio.create_task(own.run())
        await until(lambda: looks and not own.in_doubt)
        at_rest = len(looks)
        for _ in range(50):  # each of which would do for a look without a pause
            await asyncio.sleep(0)
        assert len(looks) == at_rest
        one.kernel.report(AddressChanged(ADDRESS, gone=True), AddressChanged(MOVED))
        await until(lambda: agent.host.has(MOVED.address) and not own.in_doubt)
        assert str(agent.snapshot.nodes["n1"].ipv4) == "192.0.2.11/24"
        assert len(looks) > at_rest
        running.cancel()


async def test_a_claim_is_answered_when_it_comes(tmp_path: Path) -> None:
    one = FakeNode(tmp_path, node(**{HOST: str(HERE)}), pool(), affinity())
    async with one.running() as agent:
        running = asyncio.create_task(OwnNode(agent, agent.ready, HERE, one.own_node_changes).run())
        claim = {"metadata": {"annotations": {CLAIM: f"{QUESTION} {ELSEWHERE} 77"}}}
        one.store.put(await one.store.patch(Node, "n1", claim))
        await until(lambda: not any(CLAIM in each.metadata.annotations for each in one.store.objects.values()))
        running.cancel()


async def test_a_claim_that_could_not_be_answered_is_answered_without_another_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> Node:
        raise Unavailable("patch Node n1: the store is away")

    one = FakeNode(tmp_path, node(**{HOST: str(HERE)}), pool(), affinity())
    async with one.running() as agent:
        own = OwnNode(agent, agent.ready, HERE, one.own_node_changes, look_seconds=0)
        running = asyncio.create_task(own.run())
        claim = {"metadata": {"annotations": {CLAIM: f"{QUESTION} {ELSEWHERE} 77"}}}
        claimed = await one.store.patch(Node, "n1", claim)
        monkeypatch.setattr(one.store, "patch", refuse)
        one.store.put(claimed)
        await until(lambda: own.in_doubt)
        monkeypatch.undo()
        await until(lambda: not any(CLAIM in each.metadata.annotations for each in one.store.objects.values()))
        await until(lambda: not own.in_doubt)
        running.cancel()
