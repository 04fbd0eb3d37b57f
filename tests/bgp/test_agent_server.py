"""Who is served on the sidecar's socket, and what is answered."""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from pathlib import Path
from typing import Literal

import pytest

from bgp.agent_server import AgentServer
from bgp.client import Connected, Disconnected, SidecarClient
from bgp.decision import DecisionStep
from bgp.events import AnnouncedPath, UpdateReceived
from bgp.protocol import Complete, Configure, Converged, GetStatus, Hello, Problem, ReplayEnd, decode, encode
from bgp.protocol_version import UNSTATED, VERSION, difference
from bgp.speaker import Attributes
from net.prefix import Prefix, pack
from tests.bgp.fabric import Agent, mesh, until
from tests.bgp.fake_exabgp import PEER, serving

BLOCK = "10.65.1.0/26"


async def test_of_two_agents_the_newer_is_served_even_if_the_older_does_not_read(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, sidecar, one):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "bgp.sock"))
        writer.write(encode(Hello("agent", started=1)))
        assert [decode(await reader.readline()) for _ in range(2)] == [Hello("sidecar"), ReplayEnd(converged=False)]
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
            await until(lambda: any(isinstance(event, Problem) for event in one.events), "the older to be refused")
            await newer.agent.configure(mesh(1, [2]))
            await until(lambda: exabgp.speakers, "the newer one's configuration")
            assert Disconnected() not in newer.events
        finally:
            await newer.stop_agent()
        one.replayed = False
        await until(lambda: one.replayed, "the older one to be served when it is the only one")


async def test_a_socket_that_somebody_removes_is_made_anew_for_the_next_agent(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, _, one):
        one.start_agent()
        await until(lambda: one.replayed, "the agent's replay")
        (tmp_path / "bgp.sock").unlink()
        newer = Agent(tmp_path / "bgp.sock")
        newer.start_agent()
        try:
            await until(lambda: newer.replayed, "the newer agent's replay")
        finally:
            await newer.stop_agent()


async def test_a_folder_that_somebody_removes_is_made_anew_for_the_next_agent(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, sidecar, _):
        socket = tmp_path / "bgp" / "other.sock"
        async with AgentServer(sidecar).listening(socket):
            shutil.rmtree(socket.parent)
            await until(socket.exists, "the socket in a folder made anew")


async def test_while_it_begins_to_listen_what_others_make_has_its_usual_mode(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, sidecar, _):
        made = tmp_path / "made"
        asyncio.get_running_loop().call_soon(made.mkdir)
        async with AgentServer(sidecar).listening(tmp_path / "other.sock"):
            await until(made.exists, "the folder of another task")
        assert made.stat().st_mode & 0o700 == 0o700


@pytest.mark.parametrize("version", [UNSTATED, VERSION + 1])
@pytest.mark.parametrize("role", ["agent", "observer"])
async def test_who_speaks_another_version_is_told_so_and_served_nothing(
    tmp_path: Path, role: Literal["agent", "observer"], version: int
) -> None:
    async with serving(tmp_path) as (exabgp, _, one):
        one.start_agent()
        await one.agent.configure(mesh(1, [2]))
        await until(lambda: exabgp.speakers, "the reload")
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "bgp.sock"))
        for message in (Hello(role, time.monotonic_ns(), version), Configure(mesh(1, [3])), Complete(), GetStatus()):
            writer.write(encode(message))
        assert decode(await reader.readline()) == Problem(str(difference(version, VERSION)))
        assert await reader.read() == b""
        writer.close()
        assert [event for event in one.events if not isinstance(event, Connected | ReplayEnd)] == []
        assert exabgp.speakers == [mesh(1, [2])]


async def test_an_agent_that_does_not_say_which_version_it_speaks_is_of_the_release_before(tmp_path: Path) -> None:
    async with serving(tmp_path):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "bgp.sock"))
        writer.write(b'{"hello":"agent","started":7}\n')
        assert decode(await reader.readline()) == Problem(str(difference(UNSTATED, VERSION)))
        writer.close()


async def test_leave_is_obeyed_of_every_version(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, sidecar, _one):
        _, writer = await asyncio.open_unix_connection(str(tmp_path / "bgp.sock"))
        writer.write(b'{"hello":"leave","started":0}\n')
        await until(sidecar.stop.is_set, "the sidecar to end")
        writer.close()


async def test_observers_disturb_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, _, one):
        one.start_agent()
        await one.agent.configure(mesh(1, [2]))
        await until(lambda: exabgp.speakers, "the reload")
        exabgp.come_up()
        await until(lambda: exabgp.waiting.empty(), "the events to be read")
        reports = await asyncio.gather(*(SidecarClient(tmp_path / "bgp.sock").status() for _ in range(20)))
        assert all(report["peers"][0]["state"] == "up" for report in reports)
        assert [type(event) for event in one.events] == [Connected, ReplayEnd]


async def test_a_line_that_makes_no_sense_is_answered_and_the_connection_closed(tmp_path: Path) -> None:
    async with serving(tmp_path):
        for lines in (b"nonsense\n", encode(Hello("agent")) + b"nonsense\n", encode(Converged())):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "bgp.sock"))
            writer.write(lines)
            answers = [decode(line) for line in (await reader.read()).splitlines()]
            assert isinstance(answers[-1], Problem)
            writer.close()


async def test_an_observer_is_told_every_path_and_what_became_of_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as (exabgp, _, one):
        one.start_agent()
        await one.agent.configure(mesh(1, [2, 3]))
        await until(lambda: exabgp.speakers, "the reload")
        prefix = Prefix.parse(BLOCK)
        for peer, preference in ((PEER, 200), ("192.0.2.3", 100)):
            path = AnnouncedPath(prefix, 0, Attributes(pack(peer), local_preference=preference))
            exabgp.emit(UpdateReceived(peer, announced=(path,)))
        await until(lambda: one.learned, "the route")
        best, other = await SidecarClient(tmp_path / "bgp.sock").paths(prefix)
        assert (best.peer, best.in_use, best.attributes.local_preference) == (PEER, True, 200)
        assert (other.peer, other.lost_at) == ("192.0.2.3", DecisionStep.LOCAL_PREFERENCE)
        assert await one.agent.paths(Prefix.parse("10.66.0.0/26")) == ()


def nonsense(seed: int) -> list[bytes]:
    """Whole lines that no client of ours sends: noise, and nesting without end."""
    noise = random.Random(seed).randbytes(50_000).replace(b"\n", b"")
    return [noise + b"\n", b"[" * 100_000 + b"\n", encode(Hello("observer")) + b'{"paths":' * 20_000 + b"\n"]


def unending(seed: int) -> list[bytes]:
    """What keeps a connection open: lines that do not end, and questions whose answers nobody reads."""
    noise = random.Random(seed).randbytes(50_000).replace(b"\n", b"")
    return [b"", noise, encode(Hello("agent"))[:9], encode(Hello("observer")) + encode(GetStatus()) * 2000]


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_others_send_the_agent_is_served(
    tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def other(sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "bgp.sock"))
        writer.write(sent)
        return reader, writer

    async with serving(tmp_path) as (exabgp, _, one):
        one.start_agent()
        await until(lambda: one.replayed, "the agent's replay")
        others = [await other(sent) for sent in unending(seed)]
        for reader, writer in [await other(sent) for sent in nonsense(seed)]:
            assert isinstance(decode((await reader.read()).splitlines()[-1]), Problem)
            writer.close()
        await one.agent.configure(mesh(1, [2]))
        await until(lambda: exabgp.speakers, "the agent's configuration")
        assert (await SidecarClient(tmp_path / "bgp.sock").status())["agent"] is True
        assert Disconnected() not in one.events
        for _, writer in others:
            writer.transport.abort()
    assert not [record for record in caplog.records if record.exc_info]
