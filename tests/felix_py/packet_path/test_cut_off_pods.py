"""What is said of a pod's device that goes down, by an agent that hears of it from its kernel."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from msgspec.structs import replace

from felix_py.packet_path.cut_off_pods import CutOffPods
from tests.felix_py.fakes import until
from tests.felix_py.status.test_agent_status import CALI1, running


@pytest.mark.parametrize("changed", [{"up": False}, {"name": "other"}, None], ids=["down", "renamed", "gone"])
async def test_a_pods_device_that_goes_is_in_status_log_and_metric_until_it_is_back_with_its_route(
    tmp_path: Any, caplog: pytest.LogCaptureFixture, changed: dict[str, Any] | None
) -> None:
    caplog.set_level(logging.INFO, "felix.host")
    async with running(tmp_path) as found:
        agent, kernel = found.agent, found.kernel
        address = next(iter(agent.snapshot.endpoints.values())).addresses[0]
        await found.until_held(address)
        if changed is None:
            kernel.report(kernel.set_link(CALI1, gone=True))
        else:
            kernel.report(kernel.set_link(replace(CALI1, **changed)))
        await until(lambda: bool(agent.progress.cut_off))
        [warning] = (await found.reporter.status()).progress.in_the_way
        assert "cali1 of pod default/" in warning.text and found.reporter.counts().warnings == 1
        kernel.report(kernel.set_link(CALI1))
        await until(lambda: not agent.progress.cut_off)
        assert kernel.held(address) is not None
    lines = [record.getMessage() for record in caplog.records if record.name == "felix.host"]
    assert lines == [warning.text, "over: the device of each pod is up"]


async def test_a_device_that_is_up_again_by_the_look_is_not_spoken_of(tmp_path: Any) -> None:
    async with running(tmp_path) as found:
        agent = found.agent
        devices = CutOffPods(agent.routing.pods, agent.host, agent.progress, seconds=0.0)
        [[key, pod]] = agent.snapshot.endpoints.items()
        agent.routing.pods.update(agent.routing.rib, key, pod, {})
        await devices.look_soon()
        agent.routing.pods.update(agent.routing.rib, key, pod, agent.host.up)
        await until(lambda: not devices._is_due)
        assert not agent.progress.cut_off
