"""What the pages say while there is nothing to report."""

from __future__ import annotations

from http import HTTPStatus

from felix_py.pages.pages import StatusPages
from felix_py.pages.start_pages import StartPages
from tests.felix_py.pages.test_pages import FakeReporter, text


async def test_every_page_of_an_agent_is_there_and_only_liveness_is_well() -> None:
    starting = StartPages()
    pages = starting.by_path()
    assert pages.keys() == StatusPages(FakeReporter()).by_path().keys()
    starting.waits_for = "waiting for the API server: connection refused"
    answers = {path: await make({}) for path, make in pages.items()}
    assert {path for path, page in answers.items() if page.status == HTTPStatus.OK} == {"/healthz", "/liveness"}
    for path in ("/readyz", "/metrics", "/status"):
        assert answers[path].status == HTTPStatus.SERVICE_UNAVAILABLE
        assert await text(answers[path]) == "not ready: waiting for the API server: connection refused\n"
