"""The agent's socket: requests in, answers out."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import random
import socket
from pathlib import Path
from typing import Any

import pytest

from cni.errors import CniError, Code
from cni.request import CniRequest
from cni.server import CniServer, respond
from ipam.arrivals import Arrivals
from kernel import kept_paths
from kernel.path_watch import PathWatch
from tests.cni.conftest import call
from tests.cni.node import on_a_node, serving_node, until


class FakeHandler:
    """Answers every request alike, or fails alike."""

    def __init__(self, outcome: dict[str, object] | Exception | None) -> None:
        self.outcome = outcome
        self.requests: list[tuple[str, int | None]] = []

    async def run(self, request: CniRequest, netns: int | None) -> dict[str, object] | None:
        self.requests.append((request.verb, netns))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def message(verb: str = "DEL", stdin: bytes = b'{"cniVersion":"1.0.0","name":"net"}') -> bytes:
    return b"".join(f"{key}={value}\0".encode() for key, value in call(verb).items()) + b"\0" + stdin


async def answered(handler: FakeHandler, sent: bytes) -> tuple[int, dict[str, Any] | None]:
    status, *body = await respond(handler, sent, 7)
    return status, json.loads(bytes(body)) if bytes(body).strip() else None


async def test_a_request_that_succeeds_is_answered_with_status_0_and_what_is_to_be_printed() -> None:
    handler = FakeHandler({"cniVersion": "1.0.0"})
    assert await answered(handler, message()) == (0, {"cniVersion": "1.0.0"})
    assert handler.requests == [("DEL", 7)]
    assert await answered(FakeHandler(None), message()) == (0, None)


async def test_a_verb_that_fails_is_answered_with_its_code_in_the_version_asked_for() -> None:
    status, error = await answered(FakeHandler(CniError(Code.NO_ADDRESS, "no address is left")), message())
    assert (status, error) == (1, {"cniVersion": "1.0.0", "code": 101, "msg": "no address is left"})


async def test_a_bug_is_an_error_object_too_and_the_log_has_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    status, error = await answered(FakeHandler(ZeroDivisionError("by zero")), message())
    assert status == 1 and error is not None
    assert (error["code"], "ZeroDivisionError: by zero" in error["msg"]) == (104, True)
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(("sent", "code"), [(b"CNI_COMMAND=ADD", 6), (message(stdin=b"{"), 6), (message("BAD"), 4)])
async def test_a_request_that_cannot_be_read_reaches_no_verb(sent: bytes, code: int) -> None:
    handler = FakeHandler(None)
    status, error = await answered(handler, sent)
    assert status == 1 and error is not None and error["code"] == code
    assert handler.requests == []


async def test_a_server_that_stops_lets_a_request_in_flight_end(tmp_path: Path) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow(FakeHandler):
        async def run(self, request: CniRequest, netns: int | None) -> dict[str, object] | None:
            begun.set()
            await go_on.wait()
            return await super().run(request, netns)

    server = CniServer(tmp_path / "cni.sock", Slow({"cniVersion": "1.0.0"}))
    await server.start()
    reader, writer = await asyncio.open_unix_connection(tmp_path / "cni.sock")
    writer.write(message())
    writer.write_eof()
    await begun.wait()
    stopping = asyncio.create_task(server.stop())
    await until(lambda: not (tmp_path / "cni.sock").exists())
    assert not stopping.done()
    go_on.set()
    assert await reader.read() == b'\0{"cniVersion":"1.0.0"}\n'
    await stopping
    writer.close()


async def test_requests_that_come_together_are_counted_before_the_first_is_served(tmp_path: Path) -> None:
    arrivals, were_one = Arrivals(), list[bool]()

    class Looking(FakeHandler):
        async def run(self, request: CniRequest, netns: int | None) -> dict[str, object] | None:
            were_one.append(arrivals.is_one)
            return await super().run(request, netns)

    server = CniServer(tmp_path / "cni.sock", Looking(None), arrivals)
    await server.start()
    for together in (2, 1):
        were_one.clear()
        shims = [socket.socket(socket.AF_UNIX) for _ in range(together)]
        for shim in shims:
            shim.connect(str(tmp_path / "cni.sock"))
            shim.sendall(message())
            shim.shutdown(socket.SHUT_WR)
        await until(lambda: bool(were_one) and server.is_quiet)
        for shim in shims:
            shim.close()
        assert were_one[0] is (together == 1)
    await server.stop()


async def test_a_socket_that_somebody_removes_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_paths, "LEAST_SECONDS", 0.01)
    path = tmp_path / "cni.sock"
    server = CniServer(path, FakeHandler({"cniVersion": "1.0.0"}))
    await server.start()
    with PathWatch() as watch:
        keeping = asyncio.create_task(server.keep(watch))
        for _ in range(2):
            path.unlink()
            await until(path.exists)
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(message())
            writer.write_eof()
            assert await reader.read() == b'\0{"cniVersion":"1.0.0"}\n'
            writer.close()
        assert path.stat().st_mode & 0o777 == 0o600
        keeping.cancel()
    await server.stop()


async def test_it_is_quiet_for_as_long_as_no_request_came_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[asyncio.Event] = []
    sleep = asyncio.sleep

    async def sleep_or_pause(seconds: float) -> None:
        if seconds > 1000:
            pauses.append(asyncio.Event())
            await pauses[-1].wait()
        else:
            await sleep(seconds)

    async def request() -> None:
        _, writer = await asyncio.open_unix_connection(tmp_path / "cni.sock")
        await until(lambda: not server.is_quiet)
        writer.close()
        await until(lambda: server.is_quiet)

    monkeypatch.setattr(asyncio, "sleep", sleep_or_pause)
    server = CniServer(tmp_path / "cni.sock", FakeHandler(None))
    await server.start()
    await server.wait_until_quiet_for(3600)  # there was none
    await request()
    waiting = asyncio.create_task(server.wait_until_quiet_for(3600))
    await until(lambda: len(pauses) == 1)
    await request()
    pauses[0].set()
    await until(lambda: len(pauses) == 2)
    assert not waiting.done()
    await server.wait_until_quiet_for(0)
    waiting.cancel()
    await server.stop()


async def test_a_connection_that_cannot_be_accepted_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    accept, failures = socket.socket.accept, [OSError(errno.EMFILE, "too many open files")]

    def accept_or_fail(listener: socket.socket) -> tuple[socket.socket, Any]:
        if failures:
            raise failures.pop()
        return accept(listener)

    server = CniServer(tmp_path / "cni.sock", FakeHandler({"cniVersion": "1.0.0"}))
    await server.start()
    monkeypatch.setattr(socket.socket, "accept", accept_or_fail)
    reader, writer = await asyncio.open_unix_connection(tmp_path / "cni.sock")
    writer.write(message())
    writer.write_eof()
    assert await reader.read() == b'\0{"cniVersion":"1.0.0"}\n'
    assert (failures, "too many open files; next try in 0.1 s" in caplog.text) == ([], True)
    writer.close()
    await server.stop()


@on_a_node
async def test_an_add_whose_runtime_went_away_is_whole_and_a_del_takes_it_away(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with connection:
            connection.connect(str(tmp_path / "cni.sock"))
            environment = b"".join(f"{key}={value}\0".encode() for key, value in pod.environment("ADD").items())
            body = b'{"cniVersion":"1.1.0","name":"k8s-pod-network"}'
            socket.send_fds(connection, [environment + b"\0" + body], [pod.netns])
            connection.shutdown(socket.SHUT_WR)
        await until(lambda: bool(node.router.attached))
        await node.add(pod)
        assert len(await node.assigned(pod)) == 1
        await node.delete(pod)
        assert await node.holds_nothing()


@on_a_node
async def test_only_root_may_ask(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        del node
        assert os.stat(tmp_path / "cni.sock").st_mode & 0o777 == 0o600


@on_a_node
async def test_a_second_agent_does_not_take_the_socket_away(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        with pytest.raises(OSError, match="another agent answers"):
            await CniServer(tmp_path / "cni.sock", node.verbs).start()
        await node.add(node.sandbox())


async def test_a_connection_that_brings_many_descriptors_is_dropped_at_once(tmp_path: Path) -> None:
    handler = FakeHandler(None)
    server = CniServer(tmp_path / "cni.sock", handler)
    before = len(os.listdir("/proc/self/fd"))
    await server.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sender:
        sender.connect(str(tmp_path / "cni.sock"))
        for _ in range(100):
            socket.send_fds(sender, [b"x"], [0, 1, 2])
        sender.shutdown(socket.SHUT_WR)
        sender.setblocking(False)
        with pytest.raises(ConnectionResetError):  # it hung up before it had read everything
            await asyncio.get_running_loop().sock_recv(sender, 1)
    await server.stop()
    assert (handler.requests, len(os.listdir("/proc/self/fd"))) == ([], before)


def hostile(seed: int) -> list[bytes]:
    """Requests as no shim sends them: noise, and good ones that are cut short, damaged, or nested without end."""
    noise, good = random.Random(seed), message()
    damaged = bytearray(good)
    for _ in range(5):
        damaged[noise.randrange(len(good))] = noise.randrange(256)
    cut = good[: noise.randrange(len(good))]
    return [b"", noise.randbytes(50_000), cut, bytes(damaged), message(stdin=b"[" * 50_000), b"\0" * 5000, b"A=" * 9000]


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_others_send_a_request_is_answered_meanwhile(tmp_path: Path, seed: int) -> None:
    server = CniServer(tmp_path / "cni.sock", FakeHandler({"cniVersion": "1.0.0"}))
    before = len(os.listdir("/proc/self/fd"))
    await server.start()
    others = []
    for sent in hostile(seed):
        for half_open in (False, True):
            other = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            other.connect(str(tmp_path / "cni.sock"))
            socket.send_fds(other, [sent or b"x"], [0])
            if not half_open:
                other.shutdown(socket.SHUT_WR)
            others.append(other)
    reader, writer = await asyncio.open_unix_connection(tmp_path / "cni.sock")
    writer.write(message())
    writer.write_eof()
    assert await reader.read() == b'\0{"cniVersion":"1.0.0"}\n'
    writer.close()
    for other in others:
        other.shutdown(socket.SHUT_WR)
        other.setblocking(False)
        status, *body = await asyncio.get_running_loop().sock_recv(other, 65536)
        assert status in (0, 1) and isinstance(json.loads(bytes(body)), dict)
        other.close()
    await server.stop()
    assert len(os.listdir("/proc/self/fd")) == before
