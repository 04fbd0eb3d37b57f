"""Which page of a controller answers what: probes and metrics.

An edge that changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from controller.report import Report
from felix_py.pages.probes import probe_pages
from felix_py.pages.web import Page, PageMakers, Query, text_page


class ControllerPages:
    def __init__(self, report: Callable[[], Report]) -> None:
        self._report = report

    def by_path(self) -> PageMakers:
        return probe_pages(self._readiness, self._metrics)

    async def _readiness(self, query: Query) -> Page:
        report = self._report()
        if report.missing:
            return text_page(HTTPStatus.SERVICE_UNAVAILABLE, f"not ready: {report.missing}\n")
        held = "".join(f"nothing is given back: {why}\n" for why in report.work.held)
        return text_page(HTTPStatus.OK, f"ready, {report.role}\n{held}")

    async def _metrics(self, query: Query) -> Page:
        # Prometheus' client brings servers and clients of its own, a tenth of a start: loaded for who asks
        from controller.metrics import CONTENT_TYPE, exposition

        return Page(HTTPStatus.OK, CONTENT_TYPE, exposition(self._report))
