from __future__ import annotations

from controller.pages import ControllerPages
from controller.report import Report


async def test_probes_and_metrics_are_answered() -> None:
    report = Report(False, "", None)
    pages = ControllerPages(lambda: report).by_path()
    assert (await pages["/healthz"]({})).status == (await pages["/liveness"]({})).status == 200
    assert (await pages["/readyz"]({})).status == 503
    report = Report(True, "me", 1.0)
    ready = await pages["/readiness"]({})
    assert (ready.status, ready.body) == (200, b"ready, leading as me\n")
    assert b"felix_controller_leading" in bytes((await pages["/metrics"]({})).body)  # type: ignore[arg-type]
