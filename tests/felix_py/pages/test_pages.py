"""Every page, asked over a reporter that has no agent behind it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import pytest
from msgspec.structs import replace

from felix_py.pages.pages import ROWS_AT_ONCE, StatusPages
from felix_py.pages.web import Page
from felix_py.status.status_json import from_json
from felix_py.status_model import (
    AgentCounts,
    AgentProgress,
    AgentStatus,
    BrokenInvariant,
    HostIssue,
    HostWarning,
    InvariantReport,
    KernelFacts,
    NodeTrace,
    RoutesPage,
    RouteStatus,
    SessionStatus,
)
from kernel.netlink import KernelError
from net.ip_route import IpRoute
from net.prefix import Prefix

STATUS = AgentStatus("n1", "0.1.0", ready=True, routes={"pods": 1})
TRACE = NodeTrace("n1", KernelFacts(), {})
READY = AgentProgress(fib_read=True, datastore_in_sync=True, first_write=True)


@dataclass
class FakeReporter:
    """An agent that is ready and has these routes; failure: what a trace or a check meets in the kernel."""

    reached: AgentProgress = READY
    table: list[RouteStatus] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    failure: KernelError | None = None

    def progress(self) -> AgentProgress:
        return self.reached

    def counts(self) -> AgentCounts:
        return AgentCounts(pods=5)

    async def sessions(self) -> tuple[SessionStatus, ...]:
        return (SessionStatus("192.0.2.2", state="up"),)

    async def status(self) -> AgentStatus:
        return STATUS

    async def routes(self, within: Prefix | None) -> AsyncIterator[RouteStatus]:
        for route in self.table:
            if within is None or within.overlaps(route.prefix):
                self.asked.append(route.prefix)
                yield route

    async def trace(self, to: Prefix, from_: Prefix) -> NodeTrace:
        if self.failure:
            raise self.failure
        self.asked += [to, from_]
        return TRACE

    async def check(self) -> InvariantReport:
        if self.failure:
            raise self.failure
        return InvariantReport(8, (BrokenInvariant(1, "two owners"),))


def routes(count: int) -> list[RouteStatus]:
    return [RouteStatus(IpRoute(Prefix(bytes((10, 0, *divmod(i, 256))), 32)), "learned") for i in range(count)]


async def ask(reporter: FakeReporter, path: str, **query: str) -> Page:
    return await StatusPages(reporter).by_path()[path](query)


async def pieces(page: Page) -> list[bytes]:
    if isinstance(page.body, bytes):
        return [page.body]
    return [piece async for piece in page.body]


async def text(page: Page) -> str:
    return b"".join(await pieces(page)).decode()


@pytest.mark.parametrize("path", ["/healthz", "/liveness"])
async def test_an_agent_that_answers_is_alive_before_it_is_ready(path: str) -> None:
    page = await ask(FakeReporter(reached=AgentProgress()), path)
    assert (page.status, await text(page)) == (HTTPStatus.OK, "alive\n")


@pytest.mark.parametrize("path", ["/readyz", "/readiness"])
async def test_readiness_names_what_it_waits_for(path: str) -> None:
    page = await ask(FakeReporter(reached=AgentProgress(fib_read=True)), path)
    assert page.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert await text(page) == "not ready: the datastore is not in sync; the first routes are not written\n"
    assert (await ask(FakeReporter(), path)).status == HTTPStatus.OK


async def test_readiness_names_what_of_the_host_is_in_the_way_and_is_not_lost_by_it() -> None:
    warning = HostWarning(HostIssue.OTHER_NETWORK_FIRST, "another configuration comes first")
    page = await ask(FakeReporter(reached=replace(READY, in_the_way=(warning,))), "/readyz")
    assert (page.status, await text(page)) == (
        HTTPStatus.OK,
        "ready\nwarning: another configuration comes first\n",
    )


async def test_a_sidecar_that_is_away_does_not_make_a_node_unready() -> None:
    assert not FakeReporter().progress().sidecar_connected
    assert (await ask(FakeReporter(), "/readyz")).status == HTTPStatus.OK


async def test_metrics_are_in_the_format_of_prometheus() -> None:
    page = await ask(FakeReporter(), "/metrics")
    assert page.content_type.startswith("text/plain; version=0.0.4")
    assert "felix_active_local_endpoints 5.0" in await text(page)


async def test_status_and_invariants_are_values_as_json() -> None:
    status, checked = await ask(FakeReporter(), "/status"), await ask(FakeReporter(), "/invariants")
    assert from_json(AgentStatus, json.loads(await text(status))) == STATUS
    assert from_json(InvariantReport, json.loads(await text(checked))) == await FakeReporter().check()


async def test_a_trace_is_asked_for_two_addresses() -> None:
    reporter = FakeReporter()
    page = await ask(reporter, "/trace", **{"to": "10.0.0.1", "from": "10.0.0.2"})
    assert from_json(NodeTrace, json.loads(await text(page))) == TRACE
    assert reporter.asked == [Prefix.host("10.0.0.1"), Prefix.host("10.0.0.2")]


async def test_a_trace_without_addresses_says_how_it_is_asked_for() -> None:
    page = await ask(FakeReporter(), "/trace", to="10.0.0.1")
    assert page.status == HTTPStatus.BAD_REQUEST
    assert (await text(page)).startswith("trace ?to=ADDRESS&from=ADDRESS: not an IP address")


async def test_a_kernel_that_cannot_be_read_is_a_sentence() -> None:
    reporter = FakeReporter(failure=KernelError("read the devices: no memory"))
    page = await ask(reporter, "/trace", **{"to": "10.0.0.1", "from": "10.0.0.2"})
    assert page.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert await text(page) == "trace 10.0.0.2 to 10.0.0.1: read the devices: no memory\n"
    page = await ask(reporter, "/invariants")
    assert (page.status, await text(page)) == (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "check the invariants: read the devices: no memory\n",
    )


async def read(reporter: FakeReporter, **query: str) -> RoutesPage:
    return from_json(RoutesPage, json.loads(await text(await ask(reporter, "/routes", **query))))


@pytest.mark.parametrize("count", [0, 1, ROWS_AT_ONCE - 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1])
async def test_routes_of_any_number_are_one_page(count: int) -> None:
    table = routes(count)
    assert await read(FakeReporter(table=table)) == RoutesPage(tuple(table), complete=True)


async def test_many_routes_are_never_made_text_at_once() -> None:
    page = await ask(FakeReporter(table=routes(10 * ROWS_AT_ONCE)), "/routes")
    assert len(await pieces(page)) > 10


async def test_a_limit_cuts_the_routes_off_and_says_so() -> None:
    table = routes(5)
    reporter = FakeReporter(table=table)
    assert await read(reporter, limit="3") == RoutesPage(tuple(table[:3]), complete=False)
    assert len(reporter.asked) == 4, "no more is looked at than it takes to see that there is more"
    assert (await read(FakeReporter(table=table), limit="5")).complete


async def test_routes_can_be_asked_for_by_prefix() -> None:
    table = routes(5)
    assert (await read(FakeReporter(table=table), prefix="10.0.0.3")).routes == (table[3],)


@pytest.mark.parametrize("query", [{"prefix": "10.0.0.1/8"}, {"limit": "many"}])
async def test_a_query_that_makes_no_sense_says_how_routes_are_asked_for(query: dict[str, str]) -> None:
    page = await ask(FakeReporter(), "/routes", **query)
    assert page.status == HTTPStatus.BAD_REQUEST
    assert (await text(page)).startswith("routes ?prefix=PREFIX&limit=NUMBER: ")
