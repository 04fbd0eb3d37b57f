"""What runs all the while, with each datastore and with what settings leave out."""

from __future__ import annotations

from pathlib import Path

from felix_py.configuration.settings_watch import SettingsWatch
from felix_py.duties import duties
from felix_py.pace import Pace
from tests.felix_py.fakes import FakeKernel
from tests.felix_py.test_parts import parts_of

EVERYWHERE = {
    "accepting the packets of pods",
    "watching over the host",
    "serving the container runtime",
    "watching over the settings file",
    "watching over the own Node",
    "checking the invariants",
}
ON_KUBERNETES = {
    "following the namespaces of pods",
    "watching the policies of Kubernetes",
    "writing Events about the own Node",
    "keeping the Node's condition",
    "serving the status to other machines",
}


async def titles(url: str, folder: Path, **settings: str) -> set[str]:
    async with parts_of(url, folder, **settings) as parts:
        file = SettingsWatch(Path("/nowhere"), dict, {})
        return {duty.title for duty in duties(parts, FakeKernel(), file, Pace())}


async def test_where_the_records_are_a_file_each_agent_collects_what_leaked(tmp_path: Path) -> None:
    assert await titles("sqlite:///:memory:", tmp_path) == EVERYWHERE | {"collecting what leaked"}
    assert await titles("sqlite:///:memory:", tmp_path, FELIX_LEAKGRACEPERIOD="0") == EVERYWHERE


async def test_on_kubernetes_the_node_is_told_and_the_controller_collects(tmp_path: Path) -> None:
    url = "kubernetes:///nowhere"
    assert await titles(url, tmp_path) == EVERYWHERE | ON_KUBERNETES
    without = ON_KUBERNETES - {"serving the status to other machines"}
    assert await titles(url, tmp_path, FELIX_STATUSPORT="0") == EVERYWHERE | without
