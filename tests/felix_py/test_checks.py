"""The invariants' low rate: what it meets on the way ends nothing."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from datastore.errors import Unavailable
from datastore.store import Store
from felix_py.agent import Agent
from felix_py.checks import Checks
from felix_py.invariants import Violation
from kernel.netlink import KernelError
from kernel.rtnetlink import Rtnetlink


@pytest.mark.parametrize(
    "trouble", [Unavailable("the datastore is away"), KernelError("read the devices: they changed")]
)
async def test_a_look_that_fails_is_tried_again_and_ends_nothing(
    trouble: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen_again = asyncio.Event()
    troubles = [trouble]

    async def look(self: Checks) -> list[Violation]:
        if troubles:
            raise troubles.pop()
        seen_again.set()
        return []

    monkeypatch.setattr(Checks, "_look", look)
    checks = Checks(cast(Agent, None), cast(Store, None), cast(Rtnetlink, None), frozenset)
    running = asyncio.create_task(checks.run_at_times(0.001))
    await asyncio.wait([running, asyncio.create_task(seen_again.wait())], return_when=asyncio.FIRST_COMPLETED)
    assert not running.done()
    running.cancel()
