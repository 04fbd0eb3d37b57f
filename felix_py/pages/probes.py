"""The pages that kubelets and scrapers ask for, of agent and controller alike.

Kubernetes' programs have the names with a z, Calico's the others.
"""

from __future__ import annotations

from http import HTTPStatus

from felix_py.pages.web import Page, PageMaker, PageMakers, Query, text_page

LIVENESS = ("/healthz", "/liveness")
PROBES = (*LIVENESS, "/readyz", "/readiness", "/metrics")
"""What the health port serves, where anybody who reaches it may ask; all else is shown to who may read it."""


def probe_pages(readiness: PageMaker, metrics: PageMaker) -> PageMakers:
    """Return the makers of PROBES."""
    return dict(zip(PROBES, (alive, alive, readiness, readiness, metrics), strict=True))


async def alive(query: Query) -> Page:
    return text_page(HTTPStatus.OK, "alive\n")  # a program that cannot answer this is restarted
