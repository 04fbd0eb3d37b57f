"""What is installed for the runtime, at first and when what it follows from changes."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from cni.request import VERSIONS
from datastore.kinds.pools import IPPool
from datastore.store import Changed, Gone
from felix_py import cni_network
from felix_py.cni_network import CniNetwork, given_network
from felix_py.configuration.settings import settings_from
from felix_py.identity import StartupError
from kernel.path_watch import PathWatch
from tests.cni.test_chain import plugin, speaks
from tests.felix_py.fake_node import FakeNode, node, pool
from tests.felix_py.fakes import until


class Installed:
    """An agent's network in folders of this test."""

    def __init__(self, folder: Path, template: str | None = None, **more: str) -> None:
        self.folder, self.bin = folder / "net.d", folder / "bin"
        self.bin.mkdir()
        given = {}
        self.template = folder / "template"
        if template is not None:
            self.template.write_text(template)
            given["FELIX_CNINETWORKCONFIG"] = str(self.template)
        settings = settings_from(
            {
                "FELIX_CNICONFDIR": str(self.folder),
                "FELIX_CNIBINDIR": str(self.bin),
                "FELIX_STATE_DIR": str(folder),
                **given,
                **more,
            }
        )
        self.agent = FakeNode(folder).agent
        self.network = CniNetwork(settings, self.agent)

    @property
    def file(self) -> Path:
        return self.folder / "10-felix.conflist"

    def types(self) -> list[str]:
        return [one["type"] for one in json.loads(self.file.read_text())["plugins"]]

    def notices(self) -> list[str]:
        return [notice.reason for notice in self.agent.notices.all()]


async def test_the_agent_is_not_ready_before_its_list_is_there_and_stays_so_when_it_cannot_be_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cni_network, "FIRST_RETRY_SECONDS", 0.01)
    here = Installed(tmp_path)
    here.folder.touch()  # no folder: nothing can be written into it
    progress = here.agent.progress
    installing = asyncio.create_task(here.network.install())
    await until(lambda: "it is tried again" in progress.not_installed)
    here.folder.unlink()
    await installing
    assert here.file.exists() and not progress.not_installed
    plugin(here.bin, "portmap", speaks(*VERSIONS))
    here.file.unlink()
    here.folder.rmdir()
    here.folder.touch()
    assert not await here.network.look(here.folder)
    assert not progress.not_installed


async def test_a_plugin_that_comes_later_is_chained_and_one_that_goes_is_left_out(tmp_path: Path) -> None:
    here = Installed(tmp_path)
    await here.network.install()
    assert here.types() == ["felix"]
    plugin(here.bin, "portmap", speaks(*VERSIONS))
    await here.network.look(here.folder)
    assert here.types() == ["felix", "portmap"]
    (here.bin / "portmap").unlink()
    await here.network.look(here.folder)
    assert here.types() == ["felix"]


async def test_what_is_written_by_hand_stays_so_until_the_list_changes(tmp_path: Path) -> None:
    here = Installed(tmp_path)
    await here.network.install()
    here.file.write_text("by hand")
    await here.network.look(here.folder)
    assert here.file.read_text() == "by hand"
    plugin(here.bin, "portmap", speaks(*VERSIONS))
    await here.network.look(here.folder)
    assert here.types() == ["felix", "portmap"]
    assert (here.folder / "10-felix.conflist.before").read_text() == "by hand"


async def test_a_list_that_somebody_removes_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cni_network, "SETTLING_SECONDS", 0.01)
    here = Installed(tmp_path)
    (here.bin / "felix").touch()
    await here.network.install()
    with PathWatch() as watch:
        keeping = asyncio.create_task(here.network.keep(watch))
        await asyncio.sleep(0)
        here.file.unlink()
        await until(here.file.exists)
        assert here.types() == ["felix"]
        keeping.cancel()
    assert "10-felix.conflist was removed by somebody; it is put back" in caplog.text


async def test_whoever_removes_the_list_has_time_for_the_plugin_whenever_the_next_look_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cni_network, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(cni_network, "SETTLING_SECONDS", settling := 0.2)
    here = Installed(tmp_path)
    (here.bin / "felix").touch()
    await here.network.install()
    with PathWatch() as watch:
        keeping = asyncio.create_task(here.network.keep(watch))
        for _ in range(2):  # the second where it was put back in the look before
            removed_at = time.monotonic()
            here.file.unlink()
            await until(here.file.exists)
            assert time.monotonic() - removed_at >= settling
        keeping.cancel()


async def test_a_list_that_is_removed_with_its_plugin_stays_away(tmp_path: Path) -> None:
    here = Installed(tmp_path)
    await here.network.install()
    here.file.unlink()
    await here.network.look(here.folder)
    assert not here.file.exists()


async def test_a_list_that_somebody_gave_is_followed_as_it_is_and_what_it_lacks_is_a_notice(tmp_path: Path) -> None:
    text = '{"name": "pods", "cniVersion": "0.3.1", "plugins": [{"type": "felix"}, {"type": "tuning"}]}'
    here = Installed(tmp_path, text)
    plugin(here.bin, "portmap", speaks(*VERSIONS))
    await here.network.install()
    assert here.types() == ["felix", "tuning"]
    assert here.notices() == [f"its plugin tuning is not in {here.bin}"]
    here.template.write_text(text.replace(', {"type": "tuning"}', ""))
    await here.network.look(here.folder)
    assert (here.types(), here.notices()) == (["felix"], [])


async def test_on_kubernetes_what_pods_may_ask_of_plugins_that_are_not_there_is_a_notice(tmp_path: Path) -> None:
    here = Installed(tmp_path, FELIX_DATASTORE="kubernetes://")
    plugin(here.bin, "bandwidth", speaks(*VERSIONS))
    await here.network.install()
    assert here.notices() == ["portmap cannot be used there, which hostPort of pods needs"]
    plugin(here.bin, "portmap", speaks(*VERSIONS))
    await here.network.look(here.folder)
    assert here.notices() == []


async def test_a_list_that_becomes_unusable_is_named_once_and_the_installed_one_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here = Installed(tmp_path, '{"name": "pods", "cniVersion": "0.3.1", "plugins": [{"type": "felix"}]}')
    await here.network.install()
    here.template.write_text("{")
    for _ in range(3):
        assert not await here.network.look(here.folder)
    assert here.types() == ["felix"]
    assert len([record for record in caplog.records if "it is not JSON" in record.getMessage()]) == 1


def test_a_list_that_cannot_be_used_ends_the_agent_before_it_begins(tmp_path: Path) -> None:
    settings = settings_from({"FELIX_CNINETWORKCONFIG": str(tmp_path / "none")})
    with pytest.raises(StartupError, match="No such file"):
        given_network(settings, "n1")


async def test_that_pods_get_addresses_of_other_families_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here = Installed(tmp_path)
    four, six = pool(), IPPool.make("six", cidr="fd00::/64")
    for resource in (node(**{"projectcalico.org/IPv6Address": "2001:db8::1/64"}), four, six):
        here.agent.snapshot.fold(Changed(resource))
    await here.network.look(here.folder)
    assert "address" not in caplog.text
    here.agent.snapshot.fold(Gone(IPPool, four.name))
    await here.network.look(here.folder)
    assert "pods attached from now on get no IPv4 address: there is no pool of it" in caplog.text
    here.agent.snapshot.fold(Changed(four))
    await here.network.look(here.folder)
    assert "pods attached from now on get an IPv4 address too" in caplog.text
