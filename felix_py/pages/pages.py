"""Which page answers what: probes, metrics, and the agent's status for felixctl, explain and the lab.

An edge between the agent's values and web.py: it changes nothing. What a page needs of the agent is in `Reporter`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Protocol

from felix_py.pages.probes import PROBES, probe_pages
from felix_py.pages.web import Page, PageMakers, Query, text_page
from felix_py.status.status_json import to_json
from felix_py.status.status_summary import summary_of
from felix_py.status_model import (
    AgentCounts,
    AgentProgress,
    AgentStatus,
    InvariantReport,
    NodeTrace,
    RouteStatus,
    SessionStatus,
)
from kernel.netlink import KernelError
from net.prefix import Prefix

PAGES = (*PROBES, "/status", "/summary", "/routes", "/invariants", "/trace")
ROWS_AT_ONCE = 500  # routes written to the socket in one piece
_ROUTES = "routes ?prefix=PREFIX&limit=NUMBER"
_TRACE = "trace ?to=ADDRESS&from=ADDRESS"


class Reporter(Protocol):
    """What the agent can be asked about itself."""

    def progress(self) -> AgentProgress: ...

    def counts(self) -> AgentCounts: ...

    async def sessions(self) -> Sequence[SessionStatus]:
        """Return the BGP sessions; none while the sidecar does not answer."""

    async def status(self) -> AgentStatus: ...

    def routes(self, within: Prefix | None) -> AsyncIterator[RouteStatus]:
        """Yield the routes by source and prefix; of a prefix only those that hold it or lie in it."""

    async def trace(self, to: Prefix, from_: Prefix) -> NodeTrace:
        """Raises KernelError: the kernel could not be read."""

    async def check(self) -> InvariantReport:
        """Check the invariants now. Raises KernelError: the kernel could not be read."""


class StatusPages:
    """The pages of one agent."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def by_path(self) -> PageMakers:
        return {
            **probe_pages(self._readiness, self._metrics),
            "/status": self._status,
            "/summary": self._summary,
            "/routes": self._routes,
            "/invariants": self._invariants,
            "/trace": self._trace,
        }

    async def _readiness(self, query: Query) -> Page:
        progress = self._reporter.progress()
        warnings = "".join(f"warning: {warning}\n" for warning in progress.in_the_way)
        if progress.missing:
            return text_page(HTTPStatus.SERVICE_UNAVAILABLE, f"not ready: {'; '.join(progress.missing)}\n{warnings}")
        return text_page(HTTPStatus.OK, f"ready\n{warnings}")

    async def _metrics(self, query: Query) -> Page:
        # Prometheus' client brings servers and clients of its own, a tenth of a start: loaded for who asks
        from felix_py.pages.metrics import CONTENT_TYPE, exposition

        return Page(HTTPStatus.OK, CONTENT_TYPE, exposition(self._reporter.counts, await self._reporter.sessions()))

    async def _status(self, query: Query) -> Page:
        return _json_page(await self._reporter.status())

    async def _summary(self, query: Query) -> Page:
        return _json_page(summary_of(await self._reporter.status()))

    async def _invariants(self, query: Query) -> Page:
        try:
            return _json_page(await self._reporter.check())
        except KernelError as error:
            return text_page(HTTPStatus.SERVICE_UNAVAILABLE, f"check the invariants: {error}\n")

    async def _routes(self, query: Query) -> Page:
        """The routes, all or `?prefix=` those that hold it or lie in it, at most `?limit=` of them."""
        try:
            within = Prefix.parse(query["prefix"]) if "prefix" in query else None
            limit = int(query["limit"]) if "limit" in query else None
        except ValueError as error:
            return text_page(HTTPStatus.BAD_REQUEST, f"{_ROUTES}: {error}\n")
        return Page(HTTPStatus.OK, "application/json", routes_json(self._reporter.routes(within), limit))

    async def _trace(self, query: Query) -> Page:
        """What packets between two addresses of one family meet on this node."""
        try:
            to, from_ = (Prefix.host(query.get(key, "")) for key in ("to", "from"))
        except ValueError as error:
            return text_page(HTTPStatus.BAD_REQUEST, f"{_TRACE}: {error}\n")
        try:
            return _json_page(await self._reporter.trace(to, from_))
        except KernelError as error:
            text = f"trace {from_.address} to {to.address}: {error}\n"
            return text_page(HTTPStatus.SERVICE_UNAVAILABLE, text)


async def routes_json(routes: AsyncIterator[RouteStatus], limit: int | None) -> AsyncIterator[bytes]:
    """Yield a `RoutesPage` as JSON in pieces: a full table is never made into text at once."""
    rows: list[str] = []
    count, complete = 0, True
    yield b'{"routes": ['
    async for route in routes:
        if count == limit:
            complete = False
            break
        rows.append((", " if count else "") + json.dumps(to_json(route)))
        count += 1
        if len(rows) == ROWS_AT_ONCE:
            yield "".join(rows).encode()
            rows.clear()
    yield f'{"".join(rows)}], "complete": {json.dumps(complete)}}}\n'.encode()


def _json_page(value: object) -> Page:
    return Page(HTTPStatus.OK, "application/json", json.dumps(to_json(value)).encode() + b"\n")
