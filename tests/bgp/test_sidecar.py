"""The sidecar's life cycle, against an ExaBGP that is only a list of lines: no namespaces, no waiting."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bgp import events
from bgp import sidecar as module
from bgp.client import Connected, Disconnected, SidecarClient
from bgp.events import AnnouncedPath, SpeakerEvent, SpeakerStarted, SpeakerStopped
from bgp.exabgp_process import ExaBGPError
from bgp.exabgp_supervisor import ExaBGP
from bgp.protocol import Converged, Hello, Problem, ReplayEnd, decode, encode
from bgp.speaker import Attributes, LearnedPath, Speaker
from net.prefix import Prefix, pack
from tests.bgp.fabric import Agent, mesh, routes, until

PEER = "192.0.2.2"
BLOCK = "10.65.1.0/26"


class FakeExaBGP(ExaBGP):
    """Answers `done` to everything it is told while it runs."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[SpeakerEvent] = asyncio.Queue()
        self.lines: list[str] = []
        self.speakers: list[Speaker] = []
        self.refuses: str | None = None
        self.dies_at: str | None = None

    def say(self, *events: SpeakerEvent) -> None:
        for event in events:
            self.said.put_nowait(event)

    async def events(self) -> AsyncIterator[SpeakerEvent]:
        while True:
            yield await self.said.get()

    async def send(self, lines: Sequence[str]) -> list[bool]:
        await asyncio.sleep(0)
        for line in lines:
            if self.dies_at is not None and self.dies_at in line:
                self.dies_at = None
                raise ExaBGPError("died")
            self.lines.append(line)
        return [True] * len(lines)

    async def reload(self, speaker: Speaker) -> None:
        if self.refuses is not None:
            raise ExaBGPError(self.refuses)
        if not self.speakers:
            self.say(SpeakerStarted())
        self.speakers.append(speaker)

    def up(self, peer: str = PEER) -> None:
        restart = events.GracefulRestart(120, restarting=False, families=(("ipv4", True),))
        self.say(events.PeerOpen(peer, pack(peer), 64512, 90, ("ipv4",), restart=restart), events.PeerUp(peer))


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[tuple[FakeExaBGP, module.Sidecar, Agent]]:
    """A served sidecar, and an agent that is not started yet."""
    exabgp = FakeExaBGP()
    sidecar = module.Sidecar(exabgp)
    socket = directory / "bgp.sock"
    served = asyncio.create_task(sidecar.serve(socket))
    await until(lambda: served.done() or socket.exists(), "the sidecar to listen")
    one = Agent(socket)
    try:
        yield exabgp, sidecar, one
    finally:
        await one.stop_agent()
        sidecar.stop.set()
        await served


END = f"neighbor {PEER} announce eor ipv4 unicast"


async def test_end_of_rib_waits_for_the_table_and_comes_behind_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, _, one):
        one.start_agent()
        await one.agent.configure(mesh(1, [2]))
        await until(lambda: exabgp.speakers, "the reload")
        exabgp.up()
        await until(lambda: exabgp.said.empty(), "the events to be read")
        await asyncio.sleep(module.TICK_SECONDS * 2)
        assert exabgp.lines == []
        await one.agent.announce(routes(1, BLOCK))
        await until(lambda: END in exabgp.lines, "the end-of-RIB")
        [announcement, end] = exabgp.lines
        assert BLOCK in announcement
        assert end == END


async def test_every_new_session_gets_its_end_of_rib_and_only_one(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, _, one):
        one.start_agent()
        await one.agent.configure(mesh(1, [2]))
        await one.agent.announce({})
        await until(lambda: exabgp.speakers, "the reload")
        for _ in range(3):
            before = len(exabgp.lines)
            exabgp.up()
            await until(lambda before=before: len(exabgp.lines) > before, "the end-of-RIB")  # type: ignore[misc]
            exabgp.say(events.PeerDown(PEER, "closing connection"))
        await asyncio.sleep(module.TICK_SECONDS * 2)
        assert exabgp.lines == [END] * 3


async def test_a_stream_of_changes_does_not_hold_the_end_of_rib_back(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, sidecar, one):
        one.start_agent()
        await one.agent.configure(mesh(1, [2]))
        await one.agent.announce(routes(1, BLOCK))
        await until(lambda: len(exabgp.lines) == 1, "the announcement")
        med = 0

        async def churn() -> None:
            nonlocal med
            while True:
                med += 1
                sidecar.rib_out.put({Prefix.parse(BLOCK): Attributes(pack("192.0.2.1"), med=med)})
                sidecar._work.set()
                await asyncio.sleep(0)

        churning = asyncio.create_task(churn())
        exabgp.up()
        await until(lambda: END in exabgp.lines, "the end-of-RIB")
        churning.cancel()


async def test_a_peer_does_not_wait_for_ever_for_an_agent_that_does_not_come(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, _, one):
        one.start_agent()
        hasty = tuple(replace(neighbour, restart_time=2) for neighbour in mesh(1, [2]).neighbours)
        await one.agent.configure(replace(mesh(1, [2]), neighbours=hasty))
        await until(lambda: exabgp.speakers, "the reload")
        exabgp.up()
        await until(lambda: exabgp.lines == [END], "the end-of-RIB when half the restart time is over")


async def test_a_new_exabgp_is_told_everything_again(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, _, one):
        one.start_agent()
        await one.agent.configure(mesh(1, [2]))
        await one.agent.announce(routes(1, BLOCK))
        await until(lambda: exabgp.speakers, "the reload")
        exabgp.up()
        await until(lambda: END in exabgp.lines, "the end-of-RIB")
        first, exabgp.lines = exabgp.lines, []
        exabgp.say(SpeakerStopped("killed"), SpeakerStarted())
        exabgp.up()
        await until(lambda: END in exabgp.lines, "the end-of-RIB")
        assert exabgp.lines == first


async def test_a_batch_that_exabgp_died_under_is_not_forgotten(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, _, one):
        one.start_agent()
        exabgp.dies_at = BLOCK
        await one.agent.configure(mesh(1, [2]))
        await one.agent.announce(routes(1, BLOCK))
        await until(lambda: exabgp.dies_at is None, "ExaBGP to die")
        assert exabgp.lines == []
        exabgp.say(SpeakerStopped("killed"), SpeakerStarted())
        await until(lambda: any(BLOCK in line for line in exabgp.lines), "the announcement")


async def test_a_neighbour_that_a_reload_adds_is_told_apart_before_its_end_of_rib(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, _, one):
        one.start_agent()
        await one.agent.configure(mesh(1, [2]))
        await one.agent.announce(routes(1, BLOCK))
        await until(lambda: len(exabgp.lines) == 1, "the announcement")
        await one.agent.configure(mesh(1, [2, 3]))
        await until(lambda: len(exabgp.speakers) == 2, "the reload")
        exabgp.up("192.0.2.3")
        exabgp.up(PEER)
        await until(lambda: len(exabgp.lines) == 4, "announcement and ends-of-RIB")
        assert exabgp.lines[1].startswith("neighbor 192.0.2.3 announce ")
        assert BLOCK in exabgp.lines[1]
        assert set(exabgp.lines[2:]) == {END, "neighbor 192.0.2.3 announce eor ipv4 unicast"}


async def test_a_neighbour_whose_reload_exabgp_died_under_is_told_too(tmp_path: Path) -> None:
    """The process that comes next may have started from the file before, and gets the neighbour by reload."""
    async with serving(tmp_path) as (exabgp, _, one):
        one.start_agent()
        await one.agent.configure(mesh(1, [2]))
        await one.agent.announce(routes(1, BLOCK))
        await until(lambda: len(exabgp.lines) == 1, "the announcement")
        await one.agent.configure(mesh(1, [2, 3]))
        await until(lambda: len(exabgp.speakers) == 2, "the reload")
        exabgp.say(SpeakerStopped("killed"), SpeakerStarted())
        await until(lambda: len(exabgp.lines) == 2, "the announcement to those it started with")
        exabgp.up("192.0.2.3")
        await until(lambda: len(exabgp.lines) == 4, "announcement and end-of-RIB")
        assert exabgp.lines[2].startswith("neighbor 192.0.2.3 announce ")


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


async def test_of_two_agents_the_newer_is_served_even_if_the_older_does_not_read(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, sidecar, one):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "bgp.sock"))
        writer.write(encode(Hello("agent", started=1)))
        assert decode(await reader.readline()) == ReplayEnd(settled=False)
        one.start_agent()
        await until(lambda: one.replayed, "the newer agent's replay")
        assert await reader.read() == b""
        writer.close()
        assert sidecar.report()["agent"] is True


async def test_an_agent_that_was_let_go_does_not_take_over_again_while_the_newer_lives(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, _, one):
        one.start_agent()
        newer = Agent(tmp_path / "bgp.sock")
        newer.start_agent()
        try:
            await until(lambda: newer.replayed, "the newer agent's replay")
            await until(lambda: any(isinstance(event, Problem) for event in one.heard), "the older to be refused")
            await newer.agent.configure(mesh(1, [2]))
            await until(lambda: exabgp.speakers, "the newer one's configuration")
            assert Disconnected() not in newer.heard
        finally:
            await newer.stop_agent()
        one.replayed = False
        await until(lambda: one.replayed, "the older one to be served when it is the only one")


async def test_observers_disturb_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, _, one):
        one.start_agent()
        await one.agent.configure(mesh(1, [2]))
        await until(lambda: exabgp.speakers, "the reload")
        exabgp.up()
        await until(lambda: exabgp.said.empty(), "the events to be read")
        reports = await asyncio.gather(*(SidecarClient(tmp_path / "bgp.sock").status() for _ in range(20)))
        assert all(report["peers"][0]["state"] == "up" for report in reports)
        assert [type(event) for event in one.heard] == [Connected, ReplayEnd]


async def test_a_line_that_makes_no_sense_is_answered_and_the_connection_closed(tmp_path: Path) -> None:
    async with serving(tmp_path):
        for lines in (b"nonsense\n", encode(Hello("agent")) + b"nonsense\n", encode(Converged())):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "bgp.sock"))
            writer.write(lines)
            answers = [decode(line) for line in (await reader.read()).splitlines()]
            assert isinstance(answers[-1], Problem)
            writer.close()


async def test_a_configuration_that_exabgp_refuses_is_told_to_the_agent(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, sidecar, one):
        one.start_agent()
        exabgp.refuses = "configure ExaBGP: no"
        await one.agent.configure(mesh(1, [2]))
        await until(lambda: Problem("configure ExaBGP: no") in one.heard, "the problem")
        assert sidecar.report()["problem"] == "configure ExaBGP: no"
        exabgp.refuses = None
        await one.agent.configure(mesh(1, [2, 3]))
        await until(lambda: exabgp.speakers, "the next configuration")
        assert sidecar.report()["problem"] == ""


async def test_a_configuration_that_could_not_be_loaded_is_tried_again_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOAD_AGAIN_SECONDS", 0.01)
    async with serving(tmp_path) as (exabgp, sidecar, one):
        one.start_agent()
        exabgp.refuses = "write exabgp.conf: No space left on device"
        await one.agent.configure(mesh(1, [2]))
        await until(lambda: Problem("write exabgp.conf: No space left on device") in one.heard, "the problem")
        exabgp.refuses = None
        await until(lambda: exabgp.speakers == [mesh(1, [2])], "another try")
        await until(lambda: sidecar.report()["problem"] == "", "the problem to be over")
        assert sum(isinstance(event, Problem) for event in one.heard) == 1


async def test_a_peer_that_goes_and_comes_back_before_the_reload_is_still_up(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, sidecar, one):
        one.start_agent()
        await one.agent.configure(mesh(1, [2]))
        await until(lambda: exabgp.speakers, "the reload")
        exabgp.up()
        await until(lambda: sidecar.report()["peers"][0]["state"] == "up", "the session")
        exabgp.refuses = "no"
        await one.agent.configure(mesh(1, [3]))
        await until(lambda: Problem("no") in one.heard, "the refusal")
        exabgp.refuses = None
        await one.agent.configure(mesh(1, [2]))
        await until(lambda: [peer["address"] for peer in sidecar.report()["peers"]] == [PEER], "the old peers")
        assert sidecar.report()["peers"][0]["state"] == "up"


async def test_without_peers_everything_is_settled_once_that_is_known(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, _, one):
        one.start_agent()
        await until(lambda: one.replayed, "the replay")
        assert not one.settled
        await one.agent.configure(mesh(1, []))
        await until(lambda: one.settled, "it to settle")


async def test_what_is_learned_outlives_agent_and_exabgp(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, _, one):
        one.start_agent()
        await one.agent.configure(mesh(1, [2]))
        await until(lambda: exabgp.speakers, "the reload")
        exabgp.up()
        exabgp.say(
            events.UpdateReceived(PEER, announced=(AnnouncedPath(Prefix.parse(BLOCK), 0, Attributes(pack(PEER))),)),
            events.EndOfRib(PEER, "ipv4"),
        )
        await until(lambda: one.learned, "the route")
        await one.stop_agent()
        exabgp.say(SpeakerStopped("killed"))
        await until(lambda: exabgp.said.empty(), "the events to be read")
        one.start_agent()
        await until(lambda: one.replayed, "the replay")
        assert one.learned == {Prefix.parse(BLOCK): (LearnedPath(pack(PEER), PEER),)}
        assert one.settled


def run(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    places = ["--socket", str(directory / "bgp.sock"), "--state-dir", str(directory / "state")]
    return subprocess.run(
        [sys.executable, "-m", "bgp", *places, *options],
        capture_output=True,
        text=True,
        timeout=60,
        env=dict(os.environ),
    )


async def test_leaving_where_nothing_runs_says_so(tmp_path: Path) -> None:
    done = run(tmp_path, "--leave")
    assert done.returncode == 1
    assert "to leave: No such file or directory; nothing done" in done.stderr


async def test_a_second_sidecar_in_one_place_does_not_start(tmp_path: Path) -> None:
    places = ["--socket", str(tmp_path / "bgp.sock"), "--state-dir", str(tmp_path / "state")]
    first = await asyncio.create_subprocess_exec(sys.executable, "-m", "bgp", *places)
    try:
        await until((tmp_path / "bgp.sock").exists, "the first to listen")
        done = await asyncio.to_thread(run, tmp_path)
        assert done.returncode == 1
        assert "another one runs there" in done.stderr
        assert oct((tmp_path / "bgp.sock").stat().st_mode & 0o777) == "0o600"
    finally:
        first.terminate()
        assert await asyncio.wait_for(first.wait(), 20) == 0
    assert not (tmp_path / "bgp.sock").exists()
