"""Who writes KubeControllersConfiguration, and who leaves it to Calico; on a real API server: tests/kube."""

from __future__ import annotations

import pytest

from controller.cluster_view import KubeControllersConfiguration
from controller.configuration_keeper import ConfigurationKeeper
from controller.running_config import DEFAULTS, Running
from datastore.cas import found_or_none
from datastore.errors import Unavailable
from datastore.record import Resource
from tests.datastore.memory_store import MemoryStore

RUNNING = Running(collects=True, port=9094, log_level="INFO")


class Kept:
    """A store, and a keeper beside which Calico's own may run."""

    def __init__(self, *resources: Resource) -> None:
        self.store, self.calicos = MemoryStore(*resources), ""
        self.keeper = ConfigurationKeeper(self.store, RUNNING, self._rival)

    async def _rival(self) -> str:
        if self.calicos == "unknown":
            raise Unavailable("list the pods: the API server is away")
        return self.calicos

    async def there(self) -> Resource | None:
        return await found_or_none(self.store.get(KubeControllersConfiguration, "default"))

    async def keep(self) -> Resource | None:
        await self.keeper.keep(await self.there(), 900)
        return await self.there()


def status(found: Resource | None) -> object:
    assert found is not None
    return (found.model_extra or {}).get("status")


async def test_it_is_made_where_there_is_none_and_says_what_runs() -> None:
    kept = Kept()
    found = await kept.keep()
    assert found is not None and found.spec.to_json() == DEFAULTS
    assert status(found) == RUNNING.status(900)


async def test_what_somebody_wrote_is_kept_and_what_is_right_is_not_written_again() -> None:
    kept = Kept(KubeControllersConfiguration.make("default", controllers={"node": {"leakGracePeriod": "15m"}}))
    found = await kept.keep()
    assert found is not None
    assert found.spec.to_json() == {"controllers": {"node": {"leakGracePeriod": "15m"}}}
    writes = kept.store.calls["update KubeControllersConfiguration"]
    assert (await kept.keep(), kept.store.calls["update KubeControllersConfiguration"]) == (found, writes)


@pytest.mark.parametrize("calicos", ["kube-system/calico-kube-controllers-1", "unknown"])
async def test_nothing_is_written_beside_calicos_own_nor_while_that_is_not_known(
    calicos: str, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Kept()
    kept.calicos = calicos
    assert await kept.keep() is None
    kept.store._put(KubeControllersConfiguration.make("default"), None)
    assert status(await kept.keep()) is None
    assert calicos == "unknown" or caplog.text.count("is its to write") <= 1
    kept.calicos = ""
    assert status(await kept.keep()) == RUNNING.status(900)


async def test_one_that_was_made_or_changed_meanwhile_is_left_to_the_next_time() -> None:
    kept = Kept(KubeControllersConfiguration.make("default"))
    await kept.keeper.keep(None, 900)
    assert status(await kept.there()) is None
    old = await kept.there()
    assert old is not None
    await kept.store.update(old.with_metadata(labels={"a": "b"}))
    await kept.keeper.keep(old, 900)
    assert status(await kept.there()) is None
