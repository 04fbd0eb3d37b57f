"""The page by which a kubelet sees that the sidecar lives."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest

from bgp import health
from bgp.health import HOST, MOST_CONNECTIONS, serving
from tests.bgp.fabric import until

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(30):
        while True:
            try:
                return await asyncio.open_connection(HOST, port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)


async def asked(port: int, request: bytes = REQUEST) -> bytes:
    reader, writer = await connected(port)
    try:
        writer.write(request)
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_it_says_that_it_is_alive(port: int) -> None:
    async with serving(port):
        answer = await asked(port)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\nalive\n")


async def test_an_endless_request_gets_no_answer(port: int) -> None:
    async with serving(port):
        assert await asked(port, b"x" * 4 * health.REQUEST_BYTES) == b""
        assert await asked(port)


async def test_those_who_do_not_ask_keep_nobody_from_it_for_long(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "REQUEST_SECONDS", 0.05)
    async with serving(port):
        silent = [await connected(port) for _ in range(MOST_CONNECTIONS)]
        assert await silent[0][0].read() == b""
        assert await asked(port)
        for _, writer in silent:
            writer.close()


async def test_a_port_that_another_program_has_is_asked_for_again(
    port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(health, "RETRY_SECONDS", 0.01)
    with socket.create_server((HOST, port)), caplog.at_level(logging.WARNING):
        async with serving(port):
            await until(lambda: caplog.records, "a line in the log")
    assert f"answer probes on 127.0.0.1 port {port}: " in caplog.text and "next try in" in caplog.text
    async with serving(port):
        assert await asked(port)


async def test_without_a_port_nothing_listens() -> None:
    async with serving(0):
        assert len(asyncio.all_tasks()) == 1
