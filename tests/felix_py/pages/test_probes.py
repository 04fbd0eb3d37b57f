"""The pages of probes, wherever they are served."""

from __future__ import annotations

from http import HTTPStatus

from felix_py.pages.probes import PROBES, probe_pages
from felix_py.pages.web import Page, Query, text_page


async def test_each_path_is_answered_by_what_it_is_for() -> None:
    async def readiness(query: Query) -> Page:
        return text_page(HTTPStatus.SERVICE_UNAVAILABLE, "not yet\n")

    async def metrics(query: Query) -> Page:
        return text_page(HTTPStatus.OK, "up 1\n")

    pages = probe_pages(readiness, metrics)
    said = {path: (await make({})).body for path, make in pages.items()}
    assert tuple(said) == PROBES
    assert said == {
        "/healthz": b"alive\n",
        "/liveness": b"alive\n",
        "/readyz": b"not yet\n",
        "/readiness": b"not yet\n",
        "/metrics": b"up 1\n",
    }
