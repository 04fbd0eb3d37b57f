"""The agent's end, against a sidecar that is a script of lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bgp.client import Connected, Disconnected, SidecarClient, SidecarError, SidecarEvent, VersionDiffers
from bgp.protocol import (
    Announce,
    Complete,
    Configure,
    Converged,
    GetStatus,
    Hello,
    Learned,
    Problem,
    ReplayEnd,
    SidecarMessage,
    StatusReply,
    Withdraw,
    Withdrawn,
    decode,
    encode,
)
from bgp.protocol_version import UNSTATED, VERSION, difference
from bgp.speaker import LearnedPath
from kernel.path_watch import PathWatch
from net.prefix import Prefix, pack
from tests.bgp.fabric import mesh, routes

ONE, TWO = Prefix.parse("10.65.1.0/26"), Prefix.parse("10.65.2.0/26")
PATHS = (LearnedPath(pack("192.0.2.2"), "192.0.2.2"),)


class Script:
    """A sidecar's socket: each connection is handed to the test, after these first lines."""

    def __init__(self) -> None:
        self.first = encode(Hello("sidecar"))
        self.connections: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.first)
        await self.connections.put((reader, writer))


@asynccontextmanager
async def connected(directory: Path) -> AsyncIterator[tuple[SidecarClient, Script]]:
    script = Script()
    server = await asyncio.start_unix_server(script.accept, directory / "bgp.sock")
    client = SidecarClient(directory / "bgp.sock")
    running = asyncio.create_task(client.run())
    try:
        async with asyncio.timeout(30):
            yield client, script
    finally:
        running.cancel()
        server.close()


async def next_events(client: SidecarClient, count: int, held: Collection[Prefix] = ()) -> list[SidecarEvent]:
    events = client.events(lambda: held)
    return [await anext(events) for _ in range(count)]


async def read(reader: asyncio.StreamReader, count: int) -> list[SidecarMessage]:
    return [decode(await reader.readline()) for _ in range(count)]


async def test_what_a_new_connection_does_not_repeat_is_withdrawn_before_the_end_of_its_replay(tmp_path: Path) -> None:
    async with connected(tmp_path) as (client, script):
        _, writer = await script.connections.get()
        for message in (Learned({ONE: PATHS, TWO: PATHS}), ReplayEnd(converged=True)):
            writer.write(encode(message))
        writer.close()
        await next_events(client, 4)
        _, writer = await script.connections.get()
        for message in (Learned({TWO: PATHS}), ReplayEnd(converged=True)):
            writer.write(encode(message))
        assert await next_events(client, 4, held=[ONE, TWO]) == [
            Connected(),
            Learned({TWO: PATHS}),
            Withdrawn((ONE,)),
            ReplayEnd(converged=True),
        ]
        writer.close()


async def test_a_socket_that_comes_is_heard_of_and_connected_to_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bgp.client.FIRST_RETRY_SECONDS", 1e9)
    path, script = tmp_path / "bgp" / "bgp.sock", Script()
    with PathWatch() as watch:
        running = asyncio.create_task(SidecarClient(path, watch).run())
        for _ in range(10):
            await asyncio.sleep(0)
        path.parent.mkdir()
        async with await asyncio.start_unix_server(script.accept, path), asyncio.timeout(30):
            _, writer = await script.connections.get()
            writer.close()
            running.cancel()
            await asyncio.wait([running])


@pytest.mark.parametrize("turns", range(12))
async def test_it_ends_when_it_is_asked_to_just_as_the_sidecar_ends(tmp_path: Path, turns: int) -> None:
    """As both do when their pod is deleted. turns: of the loop in between, of which some find it closing."""
    script = Script()
    async with await asyncio.start_unix_server(script.accept, tmp_path / "bgp.sock"):
        running = asyncio.create_task(SidecarClient(tmp_path / "bgp.sock").run())
        reader, writer = await script.connections.get()
        await read(reader, 1)
        writer.close()
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        async with asyncio.timeout(30):
            await asyncio.wait([running])
        assert running.cancelled()


async def test_before_convergence_nothing_is_withdrawn(tmp_path: Path) -> None:
    async with connected(tmp_path) as (client, script):
        _, writer = await script.connections.get()
        writer.write(encode(Learned({ONE: PATHS})))
        writer.close()
        await next_events(client, 3)
        _, writer = await script.connections.get()
        writer.write(encode(ReplayEnd(converged=False)))
        assert await next_events(client, 2, held=[ONE]) == [Connected(), ReplayEnd(converged=False)]
        writer.write(encode(Converged()))
        assert await next_events(client, 2) == [Withdrawn((ONE,)), Converged()]
        writer.close()


async def test_everything_is_stated_on_each_connection_and_differences_after_that(tmp_path: Path) -> None:
    async with connected(tmp_path) as (client, script):
        await client.configure(mesh(1, [2]))
        await client.announce(routes(1, str(ONE)))
        for _ in range(2):
            reader, writer = await script.connections.get()
            hello, *stated = await read(reader, 4)
            assert isinstance(hello, Hello)
            assert stated == [Configure(mesh(1, [2])), Announce(routes(1, str(ONE))), Complete()]
            writer.close()
        reader, writer = await script.connections.get()
        await read(reader, 4)
        await client.announce(routes(1, str(TWO)))
        assert await read(reader, 2) == [Withdraw((ONE,)), Announce(routes(1, str(TWO)))]
        writer.close()


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (encode(Hello("sidecar", version=VERSION + 1)), difference(VERSION, VERSION + 1)),
        (encode(ReplayEnd(converged=True)), difference(VERSION, UNSTATED)),
        (b'{"of": "another version"}\n', difference(VERSION, UNSTATED)),
        (encode(Problem("restart the agent")), "restart the agent"),
    ],
)
async def test_to_a_sidecar_of_another_version_nothing_is_stated_and_that_is_said_once(
    tmp_path: Path, first: bytes, said: str
) -> None:
    async with connected(tmp_path) as (client, script):
        await client.configure(mesh(1, [2]))
        await client.announce({})
        reader, writer = await script.connections.get()
        writer.write(encode(Learned({ONE: PATHS})) + encode(ReplayEnd(converged=True)))
        assert await next_events(client, 3) == [Connected(), Learned({ONE: PATHS}), ReplayEnd(converged=True)]
        script.first = first
        writer.close()
        for _ in range(2):
            reader, writer = await script.connections.get()
            assert isinstance(decode(await reader.readline()), Hello)
            assert await reader.read() == b""
            writer.close()
        script.first = encode(Hello("sidecar"))
        assert await next_events(client, 3) == [Disconnected(), VersionDiffers(said), Connected()]
        reader, writer = await script.connections.get()
        assert isinstance((await read(reader, 2))[1], Configure)
        writer.close()


async def test_a_question_to_a_sidecar_of_another_version_says_what_to_do(tmp_path: Path) -> None:
    async with connected(tmp_path) as (client, script):
        script.first = encode(Hello("sidecar", version=VERSION + 1)) + encode(StatusReply({}))
        with pytest.raises(SidecarError, match="restart the agent, which is of the older release"):
            await client.status()


async def test_a_line_that_no_sidecar_sends_ends_the_connection(tmp_path: Path) -> None:
    async with connected(tmp_path) as (client, script):
        _, writer = await script.connections.get()
        writer.write(encode(Problem("no")) + encode(GetStatus()))
        assert await next_events(client, 3) == [Connected(), Problem("no"), Disconnected()]
        writer.close()


@pytest.mark.parametrize("question", ["status", "paths"])
async def test_a_question_that_gets_another_answer_or_none_is_an_error(tmp_path: Path, question: str) -> None:
    ask: dict[str, Callable[[SidecarClient], object]] = {
        "status": lambda client: client.status(),
        "paths": lambda client: client.paths(ONE),
    }
    with pytest.raises(SidecarError, match="No such file"):
        await ask[question](SidecarClient(tmp_path / "none"))  # type: ignore[misc]
    async with connected(tmp_path) as (client, script):
        asking = asyncio.ensure_future(ask[question](client))  # type: ignore[call-overload]
        while True:
            reader, writer = await script.connections.get()
            hello, *_ = await read(reader, 1)
            if hello == Hello("observer"):
                break
        writer.write(encode(StatusReply({}) if question == "paths" else Problem("no")))
        with pytest.raises(SidecarError, match="it answered"):
            await asking
        writer.close()
