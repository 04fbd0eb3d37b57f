"""The status on whichever addresses the node has."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from http import HTTPStatus
from pathlib import Path

import pytest

from datastore.kinds.node import Node
from felix_py.configuration.settings import settings_from
from felix_py.node import own_node_changes
from felix_py.pages.status_port import StatusPort, shown_pages, why_unserved
from felix_py.pages.web import Page, Query, WebServer, text_page
from tests.felix_py.fake_node import FakeNode, node
from tests.felix_py.fakes import until

LOOPBACK = ("127.0.0.2", "127.0.0.3")


def at(*internal: str) -> Node:
    """Return the agent's own Node, with these InternalIPs."""
    record = node("n1", f"{LOOPBACK[0]}/32").to_json()
    addresses = [{"type": "InternalIP", "address": address} for address in internal]
    return Node.read({**record, "status": {"addresses": addresses}})


async def hello(query: Query) -> Page:
    return text_page(HTTPStatus.OK, "hello\n")


def served() -> WebServer:
    return WebServer({"/felix/status": hello})


async def answers(address: str, port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(address, port)
    except ConnectionRefusedError:
        return False
    writer.write(b"GET /felix/status HTTP/1.1\r\n\r\n")
    body = await reader.read()
    writer.close()
    return b"hello" in body


def free_port() -> int:
    with socket.create_server((LOOPBACK[0], 0)) as listener:
        return int(listener.getsockname()[1])


async def test_it_follows_the_addresses_of_the_node(tmp_path: Path) -> None:
    one, number = FakeNode(tmp_path), free_port()
    async with one.running() as agent:
        one.store.put(at())
        await until(lambda: agent.snapshot.nodes["n1"].ipv4 == at().ipv4)
        port = StatusPort(agent, one.own_node_changes, served, number)
        await port.look()
        assert [await answers(address, number) for address in LOOPBACK] == [True, False]
        one.store.put(at(LOOPBACK[1]))
        await until(lambda: agent.snapshot.nodes["n1"].internal_addresses)
        await port.look()
        assert [await answers(address, number) for address in LOOPBACK] == [True, True]
        one.store.put(at())
        await until(lambda: not agent.snapshot.nodes["n1"].internal_addresses)
        await port.look()
        assert [await answers(address, number) for address in LOOPBACK] == [True, False]
        assert not agent.notices.all()
        await port.close()


async def test_it_looks_when_the_node_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_node_changes, "REST_SECONDS", 1e9)
    one, number = FakeNode(tmp_path), free_port()
    async with one.running() as agent:
        one.store.put(at())
        await until(lambda: agent.snapshot.nodes["n1"].ipv4 == at().ipv4)
        running = asyncio.create_task(StatusPort(agent, one.own_node_changes, served, number, look_seconds=0).run())
        for internal in ((), (LOOPBACK[1],)):
            one.store.put(at(*internal))
            async with asyncio.timeout(10):
                for address, wanted in zip(LOOPBACK, (True, bool(internal)), strict=True):
                    while await answers(address, number) != wanted:  # noqa: ASYNC110 - a port sets no event
                        await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_port_that_is_taken_is_a_notice_until_it_can_be_had(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        one.store.put(at())
        await until(lambda: agent.snapshot.nodes["n1"].ipv4 == at().ipv4)
        with socket.create_server((LOOPBACK[0], 0)) as taken:
            number = int(taken.getsockname()[1])
            port = StatusPort(agent, one.own_node_changes, served, number, look_seconds=0.01)
            running = asyncio.create_task(port.run())
            await until(lambda: agent.notices.all())
            [notice] = agent.notices.all()
            assert str(notice).startswith(
                f'Setting "FELIX_STATUSPORT": listen on {LOOPBACK[0]} port {number}: Address already in use'
            )
        await until(lambda: not agent.notices.all())
        assert await answers(LOOPBACK[0], number)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert not await answers(LOOPBACK[0], number), "it ends with its task"


async def test_an_address_that_is_on_no_device_is_said_only_where_none_is(tmp_path: Path) -> None:
    one, number = FakeNode(tmp_path), free_port()
    async with one.running() as agent:
        one.store.put(at("192.0.2.77"))
        await until(lambda: agent.snapshot.nodes["n1"].internal_addresses)
        port = StatusPort(agent, one.own_node_changes, served, number)
        await port.look()
        assert await answers(LOOPBACK[0], number)
        assert not agent.notices.all()
        one.store.put(node("n1", "192.0.2.77/24"))
        await until(lambda: not agent.snapshot.nodes["n1"].internal_addresses)
        await port.look()
        assert [one.reason for one in agent.notices.all()] == [
            f"listen on 192.0.2.77 port {number}: {os.strerror(errno.EADDRNOTAVAIL)}"
        ]
        await port.close()


def test_where_there_is_no_kubernetes_a_port_that_was_asked_for_is_a_notice() -> None:
    assert not why_unserved(settings_from({}))
    assert not why_unserved(settings_from({"FELIX_STATUSPORT": "0"}))
    [notice] = why_unserved(settings_from({"FELIX_STATUSPORT": "9098"}))
    assert "without Kubernetes nobody can say who may read it" in str(notice)


def test_metrics_probes_and_checks_are_not_shown() -> None:
    shown = ("/status", "/summary", "/routes", "/trace")
    pages = dict.fromkeys((*shown, "/healthz", "/metrics", "/invariants"), hello)
    assert set(shown_pages(pages)) == {f"/felix{page}" for page in shown}
