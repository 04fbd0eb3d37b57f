"""What the agent's pages say while there is nothing to report yet: it is alive, and not ready, and what it waits for.

An edge between the start-up and web.py: it changes nothing.
"""

from __future__ import annotations

from http import HTTPStatus

from felix_py.pages.pages import PAGES
from felix_py.pages.probes import LIVENESS, alive
from felix_py.pages.web import Page, PageMakers, Query, text_page

STARTS, ENDS = "the agent starts", "the agent ends"


class StartPages:
    """waits_for: why the agent is not ready, as a clause."""

    def __init__(self) -> None:
        self.waits_for = STARTS

    def by_path(self) -> PageMakers:
        return {path: alive if path in LIVENESS else self._not_ready for path in PAGES}

    async def _not_ready(self, query: Query) -> Page:
        # No metrics of 0 and no empty table: they would be taken for what this node has.
        return text_page(HTTPStatus.SERVICE_UNAVAILABLE, f"not ready: {self.waits_for}\n")
