"""The sidecar's life, against an ExaBGP that is only a list of lines: no namespaces, no waiting."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from bgp.events import (
    AnnouncedPath,
    EndOfRib,
    PeerDown,
    PeerUp,
    SpeakerStarted,
    SpeakerStopped,
    UpdateReceived,
    UpdatesReceived,
)
from bgp.limits import Share
from bgp.protocol import Problem
from bgp.rib_in import PeerSession
from bgp.sidecar import EVENTS_PER_TURN, Sidecar
from bgp.speaker import Attributes, HeldBackSession, LearnedPath
from bgp.tcp_md5 import RECENTLY_SECONDS
from net.prefix import Prefix, pack
from tests.bgp.fabric import address, mesh, routes, until
from tests.bgp.fake_exabgp import PEER, Clock, FakeExaBGP, serving

BLOCK = "10.65.1.0/26"


def configured(sidecar: Sidecar) -> set[str]:
    """Return the addresses of the sessions that were configured last."""
    return {each.address for each in sidecar._speaker.neighbours} if sidecar._speaker else set()


async def test_a_change_of_import_policy_alone_is_no_reload(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, sidecar, one):
        one.start_agent()
        speaker = mesh(1, [2])
        await one.agent.configure(speaker)
        await until(lambda: exabgp.speakers, "the reload")
        claimed = replace(speaker, local=replace(speaker.local, own_blocks=(Prefix.parse(BLOCK),)))
        await one.agent.configure(claimed)
        await until(lambda: sidecar._speaker == claimed, "the change")
        await one.agent.configure(mesh(1, [2, 3]))
        await until(lambda: len(exabgp.speakers) > 1, "the reload")
        assert exabgp.speakers == [speaker, mesh(1, [2, 3])]


async def test_a_configuration_that_exabgp_refuses_is_reported_to_the_agent(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, sidecar, one):
        one.start_agent()
        exabgp.refuses = "configure ExaBGP: no"
        await one.agent.configure(mesh(1, [2]))
        await until(lambda: Problem("configure ExaBGP: no") in one.events, "the problem")
        assert sidecar.report()["problem"] == "configure ExaBGP: no"
        exabgp.refuses = None
        await one.agent.configure(mesh(1, [2, 3]))
        await until(lambda: exabgp.speakers, "the next configuration")
        assert sidecar.report()["problem"] == ""


async def test_updates_that_the_decoders_read_differently_are_counted_logged_and_a_problem(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as (_, sidecar, one):
        one.start_agent()
        await one.agent.configure(mesh(1, [2]))
        await until(lambda: address(2) in sidecar.rib_in.peers, "the peer")
        assert sidecar.report()["problem"] == ""
        sidecar.on_event(PeerUp(address(2)))
        sidecar.on_event(UpdateReceived(address(2), disagreement="decode the UPDATE 00: they differ"))
        report = sidecar.report()
        assert [row["disagreements"] for row in report["peers"]] == [1]
        assert report["problem"].startswith(f"ExaBGP and the sidecar read 1 UPDATE(s) differently, of {address(2)};")
        assert "decode the UPDATE 00: they differ" in caplog.messages


async def test_updates_that_came_together_are_folded_a_few_hundred_at_a_time(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, sidecar, one):
        one.start_agent()
        await one.agent.configure(mesh(1, [2]))
        await until(lambda: address(2) in sidecar.rib_in.peers, "the peer")
        together = UpdatesReceived(address(2), (UpdateReceived(address(2)),) * 64)
        exabgp.emit(PeerUp(address(2)), *[together] * 40)
        turns = 0
        while not exabgp.waiting.empty():
            turns += 1
            await asyncio.sleep(0)
        assert turns >= 40 * 64 // (EVENTS_PER_TURN + 64)


async def test_one_peer_that_cannot_be_rendered_is_held_back_and_the_others_come_up(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, sidecar, one):
        one.start_agent()
        speaker = mesh(1, [2, 3])
        good, other = speaker.neighbours
        await one.agent.configure(replace(speaker, neighbours=(good, replace(other, hold_time=65700))))
        await until(lambda: exabgp.speakers, "the reload")
        assert exabgp.speakers[0].neighbours == (good,)
        assert {row["address"]: (row["state"], row["info"]) for row in sidecar.report()["peers"]} == {
            good.address: ("start", "Passive"),
            other.address: ("held back", "its hold time is 65700, and must be 3 to 65535"),
        }


async def test_a_configuration_that_could_not_be_loaded_is_tried_again_by_itself(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, load_again_seconds=0.01) as (exabgp, sidecar, one):
        one.start_agent()
        exabgp.refuses = "write exabgp.conf: No space left on device"
        await one.agent.configure(mesh(1, [2]))
        await until(lambda: Problem("write exabgp.conf: No space left on device") in one.events, "the problem")
        exabgp.refuses = None
        await until(lambda: exabgp.speakers == [mesh(1, [2])], "another try")
        await until(lambda: sidecar.report()["problem"] == "", "the problem to be over")
        assert sum(isinstance(event, Problem) for event in one.events) == 1


async def test_a_session_that_exabgp_refuses_is_held_back_alone_until_it_is_another(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, sidecar, one):
        one.start_agent()
        speaker = mesh(1, [2, 3])
        good, bad = speaker.neighbours
        exabgp.unacceptable = {bad.address: "line 7: no such thing"}
        await one.agent.configure(speaker)
        await until(lambda: exabgp.speakers, "the reload")
        assert exabgp.speakers[0].neighbours == (good,)
        [row] = [row for row in sidecar.report()["peers"] if row["address"] == bad.address]
        assert (row["state"], row["info"]) == ("held back", "ExaBGP refuses it: line 7: no such thing")
        assert sidecar.report()["problem"] == ""
        exabgp.unacceptable = {}
        other = replace(bad, hold_time=30)
        await one.agent.configure(replace(speaker, neighbours=(good, other)))
        await until(lambda: exabgp.speakers[-1].neighbours == (good, other), "the next configuration")


async def test_a_peer_that_goes_and_comes_back_before_the_reload_is_still_up(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, sidecar, one):
        one.start_agent()
        await one.agent.configure(mesh(1, [2]))
        await until(lambda: exabgp.speakers, "the reload")
        exabgp.come_up()
        await until(lambda: sidecar.report()["peers"][0]["state"] == "up", "the session")
        exabgp.refuses = "no"
        await one.agent.configure(mesh(1, [3]))
        await until(lambda: Problem("no") in one.events, "the refusal")
        exabgp.refuses = None
        await one.agent.configure(mesh(1, [2]))
        await until(lambda: [peer["address"] for peer in sidecar.report()["peers"]] == [PEER], "the old peers")
        assert sidecar.report()["peers"][0]["state"] == "up"


async def test_a_session_is_held_back_once_exabgp_has_ended_it_and_not_before(tmp_path: Path) -> None:
    def rows() -> list[tuple[str, str]]:
        return [(row["state"], row["info"]) for row in sidecar.report()["peers"]]

    async with serving(tmp_path, load_again_seconds=0.01) as (exabgp, sidecar, one):
        one.start_agent()
        speaker = mesh(1, [2])
        await one.agent.configure(speaker)
        await until(lambda: exabgp.speakers, "the reload")
        exabgp.come_up()
        await until(lambda: rows() == [("up", "Established")], "the session")
        exabgp.refuses = "write exabgp.conf: No space left on device"
        held_back = (HeldBackSession(PEER, 64512, "mesh", "there is no Secret"),)
        await one.agent.configure(replace(speaker, neighbours=(), held_back=held_back))
        await until(lambda: sidecar.report()["problem"] == exabgp.refuses, "the refusal")
        assert rows() == [("up", "Established; it is about to be held back: there is no Secret")]
        exabgp.refuses = None
        await until(lambda: rows() == [("held back", "there is no Secret")], "the end of the session")
        assert exabgp.speakers[-1].neighbours == ()


async def test_a_session_that_is_to_have_another_password_says_so_until_it_has(tmp_path: Path) -> None:
    def info() -> str:
        [peer] = sidecar.report()["peers"]
        return str(peer["info"])

    async with serving(tmp_path) as (exabgp, sidecar, one):
        one.start_agent()
        speaker = mesh(1, [2])
        await one.agent.configure(speaker)
        await until(lambda: exabgp.speakers, "the reload")
        exabgp.come_up()
        await until(lambda: info() == "Established", "the session")
        exabgp.may_end.clear()
        await one.agent.configure(replace(speaker, neighbours=(replace(speaker.neighbours[0], password="s3cret"),)))
        await until(lambda: info() == "Established; it is about to come up anew with another password", "the hint")
        exabgp.may_end.set()
        await until(lambda: info() == "Established", "the load")


@pytest.mark.parametrize("overtaken", ["held back", "changed"])
async def test_a_load_that_would_end_a_session_in_vain_is_not_carried_out(tmp_path: Path, overtaken: str) -> None:
    """As when the Secret of a password is deleted and stored again while ExaBGP checks what follows from the first."""
    async with serving(tmp_path) as (exabgp, sidecar, one):
        one.start_agent()
        speaker = mesh(1, [2, 3])
        await one.agent.configure(speaker)
        await until(lambda: exabgp.speakers, "the reload")
        exabgp.come_up()
        await until(lambda: sidecar.report()["peers"][0]["state"] == "up", "the session")
        exabgp.may_end.clear()
        two, *others = speaker.neighbours
        changed = () if overtaken == "held back" else (replace(two, password="an0ther"),)
        await one.agent.configure(replace(speaker, neighbours=(*changed, *others)))
        await until(lambda: exabgp.checks == 2, "the check")
        latest = replace(speaker, neighbours=(two, *mesh(1, [4]).neighbours))
        await one.agent.configure(latest)
        await until(lambda: configured(sidecar) == {PEER, address(4)}, "the one that overtakes")
        exabgp.may_end.set()
        await until(lambda: exabgp.speakers[-1] == latest, "the next load")
        assert exabgp.speakers == [speaker, latest]


async def test_a_load_that_was_overtaken_and_ends_nothing_in_vain_is_carried_out(tmp_path: Path) -> None:
    """Else none would ever be while configurations come faster than ExaBGP checks them."""
    async with serving(tmp_path) as (exabgp, sidecar, one):
        one.start_agent()
        await one.agent.configure(mesh(1, [2]))
        await until(lambda: exabgp.speakers, "the reload")
        exabgp.may_end.clear()
        await one.agent.configure(mesh(1, [2, 3]))
        await until(lambda: exabgp.checks == 2, "the check")
        await one.agent.configure(mesh(1, [2, 3, 4]))
        await until(lambda: len(configured(sidecar)) == 3, "the one that overtakes")
        exabgp.may_end.set()
        await until(lambda: len(exabgp.speakers) == 3, "both")
        assert exabgp.speakers == [mesh(1, [2]), mesh(1, [2, 3]), mesh(1, [2, 3, 4])]


async def test_without_peers_everything_is_settled_once_that_is_known(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, _, one):
        one.start_agent()
        await until(lambda: one.replayed, "the replay")
        assert not one.converged
        await one.agent.configure(mesh(1, []))
        await until(lambda: one.converged, "it to settle")


async def test_what_is_learned_outlives_agent_and_exabgp(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, _, one):
        one.start_agent()
        await one.agent.configure(mesh(1, [2]))
        await until(lambda: exabgp.speakers, "the reload")
        exabgp.come_up()
        exabgp.emit(
            UpdateReceived(PEER, announced=(AnnouncedPath(Prefix.parse(BLOCK), 0, Attributes(pack(PEER))),)),
            EndOfRib(PEER, "ipv4"),
        )
        await until(lambda: one.learned, "the route")
        await one.stop_agent()
        exabgp.emit(SpeakerStopped("killed"))
        await until(lambda: exabgp.waiting.empty(), "the events to be read")
        one.start_agent()
        await until(lambda: one.replayed, "the replay")
        assert one.learned == {Prefix.parse(BLOCK): (LearnedPath(pack(PEER), PEER),)}
        assert one.converged


async def test_a_sessions_end_of_rib_follows_the_table_that_the_agent_states(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, _, one):
        one.start_agent()
        await one.agent.configure(mesh(1, [2]))
        await until(lambda: exabgp.speakers, "the reload")
        exabgp.come_up()
        await one.agent.announce(routes(1, BLOCK))
        await until(lambda: len(exabgp.lines) == 2, "announcement and end-of-RIB")
        assert BLOCK in exabgp.lines[0]
        assert exabgp.lines[1] == f"neighbor {PEER} announce eor ipv4 unicast"


async def test_the_clock_alone_drops_stale_routes_and_makes_late_ends_of_rib_due(tmp_path: Path) -> None:
    clock, exabgp = Clock(), FakeExaBGP()
    sidecar = Sidecar(exabgp, clock=clock)
    sidecar.configure(mesh(1, [2]))
    await sidecar.load()
    exabgp.come_up()
    path = AnnouncedPath(Prefix.parse(BLOCK), 0, Attributes(pack(PEER)))
    exabgp.emit(UpdateReceived(PEER, announced=(path,)), PeerDown(PEER, "closing connection"))
    while not exabgp.waiting.empty():
        sidecar.on_event(exabgp.waiting.get_nowait())
    sidecar.tick()
    assert sidecar.rib_in.prefixes()
    assert not sidecar.converged
    clock.now += 120
    sidecar.tick()
    assert not sidecar.rib_in.prefixes()
    assert sidecar.converged


async def test_while_a_session_is_down_the_kernels_counters_of_signatures_are_watched() -> None:
    clock, counted = Clock(), [9]

    def read_netstat() -> str:
        return f"TcpExt: TCPMD5Failure\nTcpExt: {counted[0]}\n"

    def info() -> str:
        [peer] = sidecar.report()["peers"]
        return str(peer["info"])

    sidecar = Sidecar(FakeExaBGP(), clock=clock, read_netstat=read_netstat)
    configured = mesh(1, [2])
    sidecar.configure(replace(configured, neighbours=(replace(configured.neighbours[0], password="s3cret"),)))
    await sidecar.load()
    sidecar.tick()
    assert "password" not in info(), "what was counted before says nothing"
    counted[0] += 1
    sidecar.tick()
    assert "a peer signs with another password" in info()
    sidecar.on_event(PeerUp(PEER))
    sidecar.tick()
    counted[0] += 1
    sidecar.tick()
    sidecar.on_event(PeerDown(PEER, "closing connection"))
    clock.now += RECENTLY_SECONDS
    sidecar.tick()
    assert "password" not in info(), "what was counted while it was up says nothing"


async def test_a_session_is_up_since_the_same_moment_however_far_apart_the_two_clocks_are_read() -> None:
    clock, wall = Clock(), Clock()
    sidecar = Sidecar(FakeExaBGP(), clock=clock, wall_clock=wall)
    sidecar.configure(mesh(1, [2]))
    await sidecar.load()
    sidecar.on_event(PeerUp(PEER))

    def since() -> float:
        [peer] = sidecar.report()["peers"]
        return float(peer["since"])

    before = since()
    wall.now += 0.004
    assert since() == before
    wall.now += 3600
    assert since() > before, "the wall clock was set"


async def test_a_tick_asks_for_the_limits_of_those_peers_only_that_something_happened_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    shares = PeerSession.shares

    def asking(peer: PeerSession) -> tuple[Share, ...]:
        asked.append(peer.neighbour.address)
        return shares(peer)

    monkeypatch.setattr(PeerSession, "shares", asking)
    sidecar = Sidecar(FakeExaBGP(), clock=Clock())
    sidecar.configure(mesh(1, [2, 3]))
    await sidecar.load()
    for number in (2, 3):
        sidecar.on_event(PeerUp(address(number)))
    sidecar.tick()
    assert set(asked) == {address(2), address(3)}
    asked.clear()
    sidecar.tick()
    assert asked == []
    sidecar.on_event(EndOfRib(address(3), "ipv4"))
    sidecar.tick()
    assert set(asked) == {address(3)}


async def test_a_session_that_comes_and_goes_does_not_grow_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "bgp")
    sidecar = Sidecar(FakeExaBGP(), clock=Clock())
    sidecar.configure(mesh(1, [2, 3]))
    await sidecar.load()
    for _ in range(1000):
        sidecar.on_event(PeerUp(PEER))
        sidecar.on_event(PeerDown(PEER, "closing connection"))
    assert 2 <= len(caplog.records) <= 20
    other = address(3)
    sidecar.on_event(PeerUp(other))
    assert f"session with {other} (AS 64512) is up" in caplog.messages


async def test_what_a_new_exabgp_lacks_is_the_problem_until_one_lacks_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, sidecar, one):
        one.start_agent()
        await one.agent.configure(mesh(1, [2]))
        await until(lambda: exabgp.speakers, "the reload")
        exabgp.emit(SpeakerStarted("listen on fd09::1: not there"))
        await until(lambda: Problem("listen on fd09::1: not there") in one.events, "the problem")
        await one.agent.configure(mesh(1, [2, 3]))
        await until(lambda: len(exabgp.speakers) == 2, "another reload, which changes nothing about it")
        assert sidecar.report()["problem"] == "listen on fd09::1: not there"
        exabgp.emit(SpeakerStarted())
        await until(lambda: sidecar.report()["problem"] == "", "the problem to be over")
