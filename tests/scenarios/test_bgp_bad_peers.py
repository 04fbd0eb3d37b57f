"""Peers that are dead, wrong or fast, and an agent that does not read.

a 192.0.2.1   b 192.0.2.2   c 192.0.2.3      sidecars on one Ethernet
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from bgp.import_policy import RejectReason
from bgp.protocol import Configure, Hello, Learned, Problem, ReplayEnd, Withdrawn, decode, encode
from bgp.speaker import Attributes, ImportPolicy, LearnedPaths, Speaker
from net.prefix import Prefix, pack
from tests.bgp.fabric import Fabric, Node, address, mesh, node, routes, until


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Fabric]:
    with Fabric(tmp_path, [1, 2, 3]) as made:
        yield made


def single_updates(number: int, count: int) -> dict[Prefix, Attributes]:
    """Return announcements that share no attributes, so that each is an UPDATE of its own."""
    return {
        Prefix.parse(f"10.{66 + n // 256}.{n % 256}.0/26"): Attributes(pack(address(number)), med=n)
        for n in range(count)
    }


async def announce_and_learn(listener: Node, speaker: Node, table: dict[Prefix, Attributes]) -> None:
    await speaker.agent.announce(table)
    await until(lambda: listener.learned.keys() == table.keys(), f"{len(table)} routes to arrive")


async def test_a_node_gets_its_routes_while_another_configured_node_is_dead(fabric: Fabric) -> None:
    async with node(fabric, 1) as a, node(fabric, 2) as b:
        for one in (a, b):
            await one.agent.configure(mesh(one.number, [1, 2, 3]))
            await one.agent.announce(routes(one.number, f"10.65.{one.number}.0/26"))
        await a.wait_for_routes({"10.65.2.0/26": [2]})
        await b.wait_for_routes({"10.65.1.0/26": [1]})
        peer = await a.wait_for_peer(3, state="start")
        assert peer["info"] == "Passive"
        assert not a.converged, "node c may still be coming"


async def test_a_dead_peer_is_given_up_when_its_restart_time_is_over(fabric: Fabric) -> None:
    async with node(fabric, 1) as a, node(fabric, 2) as b:
        full = mesh(1, [2, 3])
        hasty = tuple(replace(neighbour, restart_time=2) for neighbour in full.neighbours)
        await a.agent.configure(replace(full, neighbours=hasty))
        await a.agent.announce({})
        await b.agent.configure(mesh(2, [1]))
        await b.agent.announce({})
        await until(lambda: a.converged, "a to settle without c")


async def test_a_neighbour_added_later_gets_the_whole_table(fabric: Fabric) -> None:
    async with node(fabric, 1) as a, node(fabric, 2) as b, node(fabric, 3) as c:
        await a.agent.configure(mesh(1, [2]))
        await a.agent.announce(routes(1, "10.65.1.0/26", "10.65.9.7/32"))
        await b.agent.configure(mesh(2, [1]))
        await b.agent.announce({})
        both = {"10.65.1.0/26": [1], "10.65.9.7/32": [1]}
        await b.wait_for_routes(both)
        before = await a.wait_for_peer(2, state="up")
        await c.agent.configure(mesh(3, [1]))
        await c.agent.announce({})
        await a.agent.configure(mesh(1, [2, 3]))
        await c.wait_for_routes(both)
        await until(lambda: c.converged, "the end-of-RIB")
        after = await a.wait_for_peer(2, state="up")
        assert after["flaps"] == 0
        assert after["since"] == pytest.approx(before["since"], abs=0.1)


async def test_a_wrong_as_is_in_the_status(fabric: Fabric) -> None:
    async with node(fabric, 1) as a, node(fabric, 2) as b:
        wrong = mesh(1, [2])
        await a.agent.configure(replace(wrong, neighbours=(replace(wrong.neighbours[0], peer_as=65001),)))
        await a.agent.announce({})
        await b.agent.configure(mesh(2, [1]))
        await b.agent.announce({})

        on_a = (await a.wait_for_error(2, "AS"))["last_error"]
        on_b = (await b.wait_for_error(1, "AS"))["last_error"]
        assert on_a.startswith(("wrong AS number", "the peer's OPEN has AS 64512, configured is AS 65001"))
        assert on_b.startswith("wrong AS number")
        assert a.learned == {}
        shown = (await b.peers())[address(1)]
        assert shown["info"].endswith(f": {shown['last_error']}")


async def test_two_nodes_with_one_router_id_say_so_and_what_to_do(fabric: Fabric) -> None:
    def alike(number: int, other: int) -> Speaker:
        plain, router_id = mesh(number, [other]), pack("192.0.2.77")
        return replace(plain, router_id=router_id, local=replace(plain.local, router_id=router_id))

    async with node(fabric, 1) as a, node(fabric, 2) as b:
        await a.agent.configure(alike(1, 2))
        await a.agent.announce({})
        await b.agent.configure(alike(2, 1))
        await b.agent.announce({})
        for one, other in ((a, 2), (b, 1)):
            error = (await one.wait_for_error(other, "router id"))["last_error"]
            assert f": this node and {address(other)} have the same, 192.0.2.77; give one of them another" in error


async def test_sessions_with_a_password_come_up_and_with_two_different_ones_do_not(fabric: Fabric) -> None:
    def secured(number: int, *keys: tuple[int, str]) -> Speaker:
        plain = mesh(number, [other for other, _ in keys])
        locked = (replace(n, password=dict(keys)[int(n.address[-1])]) for n in plain.neighbours)
        return replace(plain, neighbours=tuple(locked))

    async with node(fabric, 1) as a, node(fabric, 2) as b, node(fabric, 3) as c:
        await a.agent.configure(secured(1, (2, "s3cret"), (3, "s3cret")))
        await a.agent.announce(routes(1, "10.65.1.0/26"))
        for one, key in ((b, "s3cret"), (c, "guess")):
            await one.agent.configure(secured(one.number, (1, key)))
            await one.agent.announce({})
        await b.wait_for_routes({"10.65.1.0/26": [1]})
        await a.wait_for_peer(3, state="start", flaps=0)
        await a.wait_for_info(3, "a peer signs with another password")  # c dials, and is given no answer
        assert c.learned == {}
        assert b"s3cret" not in (fabric.directory / "sidecar1.log").read_bytes()


async def test_an_occupied_port_is_reported_to_the_agent_and_taken_when_it_is_free(fabric: Fabric) -> None:
    occupy = f"import socket, time; s = socket.create_server(('{address(1)}', 179)); print(1); time.sleep(600)"
    other = fabric.run(1, sys.executable, "-u", "-c", occupy, log="other.log")
    await until(lambda: (fabric.directory / "other.log").read_text(), "the port to be taken")
    async with node(fabric, 1) as a, node(fabric, 2) as b:
        for one in (a, b):
            await one.agent.configure(mesh(one.number, [1, 2]))
            await one.agent.announce(routes(one.number, f"10.65.{one.number}.0/26"))
        problems = await until(lambda: [event for event in a.events if isinstance(event, Problem)], "the problem")
        assert "192.0.2.1 port 179: address already in use" in problems[0].text
        assert (await a.agent.status())["problem"] == problems[0].text
        other.kill()
        await a.wait_for_routes({"10.65.2.0/26": [2]})
        assert (await a.agent.status())["problem"] == ""


async def test_rejected_routes_are_counted_by_reason(fabric: Fabric) -> None:
    async with node(fabric, 1) as a, node(fabric, 2) as b:
        await a.agent.configure(mesh(1, [2]))
        await a.agent.announce({})
        await b.agent.configure(mesh(2, [1]))
        await b.agent.announce({**routes(2, "0.0.0.0/0", "10.65.2.0/26"), **routes(1, "10.65.5.0/26", "10.65.6.0/26")})
        await a.wait_for_routes({"10.65.2.0/26": [2]})
        await a.wait_for_peer(2, learned=1, refused={RejectReason.DEFAULT_ROUTE: 1, RejectReason.OWN_NEXT_HOP: 2})


async def test_what_is_over_a_limit_is_refused_and_asked_for_when_more_may_come(fabric: Fabric) -> None:
    def limited(to: int) -> Speaker:
        plain = mesh(1, [2])
        policy = ImportPolicy(prefix_limit=to)
        return replace(plain, neighbours=(replace(plain.neighbours[0], import_policy=policy),))

    async with node(fabric, 1) as a, node(fabric, 2) as b:
        await a.agent.configure(limited(15))
        await a.agent.announce({})
        await b.agent.configure(mesh(2, [1]))
        table = routes(2, *(f"10.66.{number}.0/26" for number in range(20)))
        await b.agent.announce(table)
        full = await a.wait_for_peer(2, learned=15, refused={RejectReason.OVER_LIMIT: 5})
        assert (full["used"]["paths"], full["limits"]["paths"]) == (15, 15)
        log = fabric.directory / "sidecar1.log"
        await until(lambda: f"{address(2)} uses 15 of 15 paths; what is beyond" in log.read_text(), "the warning")
        await a.agent.configure(limited(100))
        await until(lambda: a.learned.keys() == table.keys(), "the rest")
        await a.wait_for_peer(2, learned=20, refused={}, flaps=0)
        await b.agent.announce({})
        await a.wait_for_peer(2, learned=0)


async def test_a_thousand_single_updates_arrive_after_another_peer_has_died(fabric: Fabric) -> None:
    """A stock ExaBGP sleeps in each turn once a peer's socket was closed: tests/bgp/exabgp_launcher/test_visits.py."""
    async with node(fabric, 1) as a, node(fabric, 2) as b, node(fabric, 3) as c:
        await a.agent.configure(mesh(1, [2, 3]))
        await a.agent.announce({})
        for one in (b, c):
            await one.agent.configure(mesh(one.number, [1]))
            await one.agent.announce({})
        await a.wait_for_peer(2, state="up")
        await a.wait_for_peer(3, state="up")
        assert c.process is not None
        c.process.kill()
        await a.wait_for_peer(3, state="start")
        await announce_and_learn(a, b, single_updates(2, 1000))
        await announce_and_learn(a, b, {})


async def test_an_agent_that_does_not_read_loses_nothing_and_costs_no_session(fabric: Fabric) -> None:
    async with node(fabric, 2) as b:
        a = Node(fabric, 1)
        a.start_sidecar()
        await a.wait_for_sidecar()
        reader, writer = await asyncio.open_unix_connection(str(a.socket), limit=2**16)
        hasty = tuple(replace(neighbour, hold_time=3) for neighbour in mesh(1, [2]).neighbours)
        for message in (Hello("agent"), Configure(replace(mesh(1, [2]), neighbours=hasty))):
            writer.write(encode(message))
        await b.agent.configure(mesh(2, [1]))
        wide = single_updates(2, 3000)
        for _ in range(2):
            await b.agent.announce(wide)
            await a.wait_for_peer(2, state="up", learned=3000)
            await b.agent.announce({})
            await a.wait_for_peer(2, state="up", learned=0)
        final = dict(list(wide.items())[:2000])
        await b.agent.announce(final)
        peer = await a.wait_for_peer(2, state="up", learned=2000)
        assert peer["flaps"] == 0
        learned_so_far: dict[Prefix, LearnedPaths] = {}
        async with asyncio.timeout(60):
            while learned_so_far.keys() != final.keys():
                match decode(await read_line(reader)):
                    case Learned(learned):
                        learned_so_far.update(learned)
                    case Withdrawn(prefixes):
                        for prefix in prefixes:
                            del learned_so_far[prefix]
                    case Hello() | ReplayEnd():
                        pass
        writer.close()


async def read_line(reader: asyncio.StreamReader) -> bytes:
    """Read a line longer than the reader's own bound, which is small here so that the sidecar meets it early."""
    parts: list[bytes] = []
    while True:
        try:
            return b"".join([*parts, await reader.readuntil(b"\n")])
        except asyncio.LimitOverrunError as error:
            parts.append(await reader.readexactly(error.consumed))
