"""The pages on a node's own socket, before there is an agent, with it, and after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from felix_py.configuration.settings import settings_from
from felix_py.pages.local_pages import LocalPages
from felix_py.pages.pages import StatusPages
from kernel import kept_paths
from kernel.path_watch import PathWatch
from tests.felix_py.fakes import until
from tests.felix_py.pages.test_pages import FakeReporter
from tests.felix_py.pages.test_web import ask
from tests.felix_py.test_pace import Attaching

READY = b"GET /readyz HTTP/1.0\r\n\r\n"


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[LocalPages]:
    settings = settings_from({"FELIX_RUN_DIR": str(folder), "FELIX_HEALTHPORT": "0"})
    with PathWatch() as watch:
        pages = LocalPages(settings, watch)
        async with pages.served():
            yield pages


async def test_they_are_there_from_the_first_moment_to_the_last(tmp_path: Path) -> None:
    socket, at_rest = tmp_path / "status.sock", Attaching()
    at_rest.quiet.set()
    async with served(tmp_path) as pages:
        assert (await ask(socket, READY))[1] == "not ready: the agent starts\n"
        with pages.showing(StatusPages(FakeReporter()).by_path(), at_rest):
            assert (await ask(socket, READY))[1] == "ready\n"
        assert (await ask(socket, READY))[1] == "not ready: the agent ends\n"


async def test_the_socket_is_made_anew_where_somebody_removes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_paths, "LEAST_SECONDS", 0.01)
    socket = tmp_path / "status.sock"
    async with served(tmp_path):
        for _ in range(2):
            socket.unlink()
            await until(socket.exists)
            assert (await ask(socket, READY))[1] == "not ready: the agent starts\n"
