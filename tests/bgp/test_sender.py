"""What ExaBGP is given, line by line, round by round: no sidecar, no waiting."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from bgp.exabgp_process import ExaBGPError
from bgp.export_policy import EVERY_PEER, ExportGroup, ExportPolicy
from bgp.rib_out import RibsOut
from bgp.sender import Sender
from bgp.speaker import Attributes, Neighbour
from net.prefix import Prefix, pack
from tests.bgp.fabric import mesh, routes
from tests.bgp.fake_exabgp import PEER, Clock, FakeExaBGP

OTHER = "192.0.2.3"
BLOCK, SECRET = "10.65.1.0/26", "10.66.1.0/26"


def end(peer: str) -> str:
    return f"neighbor {peer} announce eor ipv4 unicast"


def neighbours(*numbers: int) -> tuple[Neighbour, ...]:
    return mesh(1, numbers).neighbours


class SenderBench:
    """A sender with a fake ExaBGP and a clock that stands still."""

    def __init__(self, *numbers: int, policy: ExportPolicy | None = None) -> None:
        self.exabgp, self.clock = FakeExaBGP(), Clock()
        self.ribs = RibsOut(policy)
        self.sender = Sender(self.ribs, self.exabgp.send, self.clock)
        self.ribs.set_neighbours(neighbours(*numbers))

    def up(self, peer: str = PEER) -> None:
        rib = self.ribs.of(peer)
        assert rib is not None
        rib.up(peer, ("ipv4",), self.clock())

    async def lines(self) -> list[str]:
        """Send until nothing is due; return what was sent."""
        self.exabgp.lines.clear()
        while await self.sender.send_round():
            pass
        return list(self.exabgp.lines)


async def test_end_of_rib_waits_for_the_table_and_comes_behind_it() -> None:
    bench = SenderBench(2)
    bench.up()
    assert await bench.lines() == []
    bench.ribs.replace(routes(1, BLOCK))
    [announcement, eor] = await bench.lines()
    assert BLOCK in announcement
    assert eor == end(PEER)


async def test_every_new_session_gets_its_end_of_rib_and_only_one() -> None:
    bench = SenderBench(2)
    bench.ribs.replace({})
    for _ in range(3):
        bench.up()
        assert await bench.lines() == [end(PEER)]
        assert await bench.lines() == []


async def test_many_sessions_are_told_the_end_of_rib_by_one_command() -> None:
    numbers = range(2, 22)
    bench = SenderBench(*numbers)
    bench.ribs.replace({})
    peers = [each.address for each in neighbours(*numbers)]
    for each in peers:
        bench.up(each)
    [eor] = await bench.lines()
    assert set(eor.split()) >= set(peers)


async def test_an_end_of_rib_that_a_session_did_not_get_is_logged_with_its_peer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = SenderBench(2, 3)
    bench.ribs.replace({})
    bench.up(PEER)
    bench.up(OTHER)
    bench.exabgp.refused.add(end(OTHER))
    assert await bench.lines() == [end(PEER), end(OTHER)]
    assert [OTHER in message and PEER not in message for message in caplog.messages] == [True]


async def test_a_session_that_ended_before_its_end_of_rib_gets_none() -> None:
    bench = SenderBench(2)
    bench.up()
    rib = bench.ribs.of(PEER)
    assert rib is not None
    rib.down(PEER)
    bench.ribs.replace({})
    assert await bench.lines() == []


async def test_a_stream_of_changes_does_not_hold_the_end_of_rib_back() -> None:
    """Each round sends the ends-of-RIB that were due when it began, whatever changes meanwhile."""
    bench = SenderBench(2)
    bench.ribs.replace(routes(1, BLOCK))
    bench.up()
    send = bench.sender._send_lines
    med = 0

    async def change_meanwhile(lines: list[str]) -> list[bool]:
        nonlocal med
        med += 1
        bench.ribs.put({Prefix.parse(BLOCK): Attributes(pack("192.0.2.1"), med=med)})
        return await send(lines)

    bench.sender._send_lines = change_meanwhile  # type: ignore[assignment]
    assert await bench.sender.send_round()
    assert bench.exabgp.lines[-1] == end(PEER)


async def test_a_peer_does_not_wait_for_ever_for_an_agent_that_does_not_come() -> None:
    bench = SenderBench(2)
    bench.up()
    bench.clock.now += 100
    assert await bench.lines() == []
    bench.clock.now += 1
    assert await bench.lines() == [end(PEER)]


async def test_a_new_exabgp_is_given_everything_again() -> None:
    bench = SenderBench(2)
    bench.ribs.replace(routes(1, BLOCK))
    bench.up()
    first = await bench.lines()
    bench.ribs.speaker_started()
    bench.up()
    assert await bench.lines() == first


async def test_a_batch_that_exabgp_died_under_is_not_forgotten() -> None:
    bench = SenderBench(2)
    bench.ribs.replace(routes(1, BLOCK))
    bench.exabgp.dies_at = BLOCK
    with pytest.raises(ExaBGPError):
        await bench.sender.send_round()
    bench.ribs.speaker_started()
    [announcement] = await bench.lines()
    assert BLOCK in announcement


async def test_a_neighbour_that_a_reload_adds_is_given_the_table_apart_before_its_end_of_rib() -> None:
    bench = SenderBench(2)
    bench.ribs.replace(routes(1, BLOCK))
    await bench.lines()
    bench.ribs.set_neighbours(neighbours(2, 3), new={OTHER})
    bench.up(OTHER)
    assert await bench.lines() == []
    bench.ribs.reload_done()
    [announcement, eor] = await bench.lines()
    assert announcement.startswith(f"neighbor {OTHER} announce ")
    assert BLOCK in announcement
    assert eor == end(OTHER)


async def test_a_neighbour_whose_reload_exabgp_died_under_is_given_the_table_too() -> None:
    """The process that comes next may have started from the file before, and gets the neighbour by reload."""
    bench = SenderBench(2)
    bench.ribs.replace(routes(1, BLOCK))
    await bench.lines()
    bench.ribs.set_neighbours(neighbours(2, 3), new={OTHER})
    bench.ribs.speaker_started()
    [to_all] = await bench.lines()
    assert to_all.startswith("announce ")
    bench.ribs.reload_done()
    bench.up(OTHER)
    [to_other, eor] = await bench.lines()
    assert to_other.startswith(f"neighbor {OTHER} announce ")
    assert eor == end(OTHER)


async def test_a_batch_that_no_neighbour_of_exabgps_is_there_for_is_not_sent() -> None:
    """ExaBGP answers error to it; the neighbours that the reload makes get the table when they are up."""
    bench = SenderBench()
    bench.ribs.replace(routes(1, BLOCK))
    bench.ribs.set_neighbours(neighbours(2), new={PEER})
    assert await bench.lines() == []
    bench.ribs.reload_done()
    bench.up()
    [announcement, eor] = await bench.lines()
    assert announcement.startswith(f"neighbor {PEER} announce ")
    assert eor == end(PEER)


async def test_a_line_that_exabgp_refuses_is_logged_and_the_rest_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    bench = SenderBench(2)

    async def refuse(lines: list[str]) -> list[bool]:
        bench.exabgp.lines += lines
        return [False] * len(lines)

    bench.sender._send_lines = refuse  # type: ignore[assignment]
    bench.ribs.replace(routes(1, BLOCK))
    bench.up()
    assert len(await bench.lines()) == 2
    assert "it answered error" in caplog.text


async def test_all_is_sent_only_once_the_table_is_complete_and_given_to_exabgp() -> None:
    bench = SenderBench(2)
    bench.sender.running = True
    running = asyncio.create_task(bench.sender.run())
    waiting = asyncio.create_task(bench.sender.all_sent())
    bench.sender.wake()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    bench.ribs.replace(routes(1, BLOCK))
    bench.sender.wake()
    await asyncio.wait_for(waiting, 5)
    assert any(BLOCK in line for line in bench.exabgp.lines)
    running.cancel()


# Two groups: the first gets everything, the other nothing of SECRET


def group_of(neighbour: Neighbour) -> ExportGroup:
    return EVERY_PEER if neighbour.address == PEER else "outside"


def exported(group: ExportGroup, prefix: Prefix, attributes: Attributes) -> Attributes | None:
    if group == EVERY_PEER:
        return attributes
    return None if str(prefix) == SECRET else replace(attributes, communities=((64512, 7),))


TWO_GROUPS = ExportPolicy(group_of, exported)


async def test_each_group_is_given_its_own_table_and_nothing_else() -> None:
    bench = SenderBench(2, 3, 4, policy=TWO_GROUPS)
    bench.ribs.replace(routes(1, BLOCK, SECRET))
    inside, outside = await bench.lines()
    assert inside.startswith(f"neighbor {PEER} announce ")
    assert inside.endswith(f"nlri {BLOCK} {SECRET}")
    assert outside.startswith(f"neighbor {OTHER} , neighbor 192.0.2.4 announce ")
    assert "community [ 64512:7 ]" in outside
    assert outside.endswith(f"nlri {BLOCK}")


async def test_a_change_for_one_group_is_sent_to_that_group_only() -> None:
    bench = SenderBench(2, 3, policy=TWO_GROUPS)
    bench.ribs.replace(routes(1, BLOCK, SECRET))
    await bench.lines()
    bench.ribs.remove([Prefix.parse(SECRET)])
    [withdrawal] = await bench.lines()
    assert withdrawal.startswith(f"neighbor {PEER} withdraw ")
    assert withdrawal.endswith(f"nlri {SECRET}")


async def test_the_fence_is_per_group_a_prefix_is_once_in_a_batch_of_each() -> None:
    bench = SenderBench(2, 3, policy=TWO_GROUPS)
    batches: list[list[str]] = []
    send = bench.sender._send_lines

    async def record(lines: list[str]) -> list[bool]:
        batches.append(list(lines))
        if len(batches) < 4:  # the route changes while a batch is in flight
            bench.ribs.put(routes(1, BLOCK, med=len(batches)))
        return await send(lines)

    bench.sender._send_lines = record  # type: ignore[assignment]
    bench.ribs.replace(routes(1, BLOCK))
    await bench.lines()
    for batch in batches:
        assert sum(BLOCK in line for line in batch) == 1
    for peer in (PEER, OTHER):
        *_, last = [line for batch in batches for line in batch if line.startswith(f"neighbor {peer} ")]
        assert " med 3 " in last


async def test_an_end_of_rib_comes_behind_the_table_of_its_own_group() -> None:
    bench = SenderBench(2, 3, policy=TWO_GROUPS)
    bench.up(PEER)
    bench.up(OTHER)
    bench.ribs.replace(routes(1, BLOCK))
    lines = await bench.lines()
    for peer in (PEER, OTHER):
        [announcement, eor] = [line for line in lines if line.startswith(f"neighbor {peer} ")]
        assert BLOCK in announcement
        assert eor == end(peer)


async def test_a_peer_that_moves_to_another_group_is_withdrawn_what_that_does_not_get() -> None:
    moved: set[str] = set()
    policy = ExportPolicy(lambda neighbour: "outside" if neighbour.address in moved else EVERY_PEER, exported)
    bench = SenderBench(2, 3, policy=policy)
    bench.ribs.replace(routes(1, BLOCK, SECRET))
    await bench.lines()
    moved.add(OTHER)
    bench.ribs.set_neighbours(neighbours(2, 3))
    [withdrawal, announcement] = await bench.lines()
    assert withdrawal.startswith(f"neighbor {OTHER} withdraw ")
    assert withdrawal.endswith(f"nlri {SECRET}")
    assert announcement.startswith(f"neighbor {OTHER} announce ")
    assert announcement.endswith(f"nlri {BLOCK}")


async def test_a_question_for_routes_goes_to_its_peer_once() -> None:
    bench = SenderBench(2)
    bench.sender.ask_for_routes(PEER, ("ipv4", "ipv6"))
    assert await bench.lines() == [
        f"neighbor {PEER} announce route-refresh {family} unicast" for family in ("ipv4", "ipv6")
    ]
    assert await bench.lines() == []
