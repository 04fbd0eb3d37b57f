"""The network that the agent installs for the container runtime, and its upkeep.

What is written by hand into the installed file stays: it is written anew only when what is to be installed changes, and
what was there is kept aside then. Without the file the node is not ready, so one that is removed is put back, if the
plugin that it names is still there: who removes both takes the network from the host.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cni import chain
from cni.configurations import BINARY, CONFLIST
from cni.install import conflist, from_template, install_conflist
from datastore.backoff import Backoff
from datastore.notices import Notice
from datastore.url import has_namespaces
from felix_py.agent import Agent
from felix_py.configuration.settings import Settings
from felix_py.identity import StartupError
from kernel.path_watch import PathWatch

log = logging.getLogger("felix.cni_network")

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1.0, 10.0
LOOK_SECONDS = 10.0
"""How often the runtime's folders are looked at, and a conflist that is removed again and again is put back."""
SETTLING_SECONDS = 1.0
"""For which it must be gone: who takes the network from the host removes the plugin as well."""


def given_network(settings: Settings, node: str) -> Mapping[str, Any] | None:
    """Return the conflist that a file gives, None if none is named. Raises StartupError: it cannot be used."""
    if settings.cni_network_config is None:
        return None
    try:
        return from_template(settings.cni_network_config.read_text(), node=node, mtu=settings.mtu)
    except (OSError, ValueError) as error:
        raise StartupError(f"read the network configuration {settings.cni_network_config}: {error}") from None


class CniNetwork:
    """The installed conflist: its first writing, and what follows from plugins, pools and files that come and go."""

    def __init__(self, settings: Settings, agent: Agent) -> None:
        self._settings, self._agent = settings, agent
        self._marks: chain.Marks | None = None
        self._behind = chain.PluginChain()
        self._installed: Mapping[str, Any] | None = None
        self._families: frozenset[int] = frozenset()
        self._complaint = ""

    async def install(self) -> None:
        """Install the conflist, again and again while the disk does not take it: pods that run are served meanwhile.

        Until it is there, the agent is not ready, as its node is not. Later, what is there serves.
        """
        backoff, progress = Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS), self._agent.progress
        while (folder := self._settings.cni_conf_dir) is not None:
            progress.not_installed = self._complaint or f"the conflist is not in {folder} yet"
            if await self.look(folder):
                break
            progress.not_installed = self._complaint
            await asyncio.sleep(backoff.next())
        progress.not_installed = ""

    async def keep(self, watch: PathWatch) -> None:
        """Install it anew when what it follows from changes, or when somebody has removed it."""
        put_back = False
        while (folder := self._settings.cni_conf_dir) is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await (asyncio.sleep(LOOK_SECONDS) if put_back else self._removed(watch, folder))
            if self._was_removed(folder):
                await asyncio.sleep(SETTLING_SECONDS)
            put_back = self._was_removed(folder)
            await self.look(folder)

    async def _removed(self, watch: PathWatch, folder: Path) -> None:
        """Return when the installed file is gone, and the plugin is not."""
        while True:
            with watch.listening(folder / CONFLIST) as changes:
                if self._was_removed(folder):
                    return
                await changes.wait()

    async def look(self, folder: Path) -> bool:
        """Look once at what the conflist follows from; return whether the disk took what is to be installed."""
        try:
            wanted = await self._wanted()
            if removed := self._was_removed(folder):
                log.warning(
                    "%s was removed by somebody; it is put back, as without it no pod starts", folder / CONFLIST
                )
            if removed or wanted != self._installed:
                install_conflist(wanted, folder, self._settings.state_dir / "installed.conflist")
                self._installed = wanted
        except (StartupError, OSError) as error:
            complaint = f"install the conflist in {folder}: {error}; it is tried again"
            if complaint != self._complaint:
                log.error("%s", complaint)
            self._complaint = complaint
            return False
        self._complaint = ""
        self._agent.log_notices(self._agent.notices.put("conflist", self._notices(wanted)))
        return True

    def _was_removed(self, folder: Path) -> bool:
        """Whether the installed file is gone, and the plugin is not."""
        here = (folder / CONFLIST).exists() or not (self._settings.cni_bin_dir / BINARY).exists()
        return self._installed is not None and not here

    async def _wanted(self) -> Mapping[str, Any]:
        """Return the conflist: the one a file gives, else one that asks for the families this node has."""
        settings, agent = self._settings, self._agent
        if (given := given_network(settings, agent.identity.node)) is not None:
            return given
        if (marks := chain.marks(settings.cni_bin_dir)) != self._marks:
            self._behind = await asyncio.to_thread(chain.found_in, settings.cni_bin_dir)
            self._marks = marks
            log.info("%s", _described(self._behind, settings.cni_bin_dir))
        families = agent.pod_families()
        if self._families and families and families != self._families:
            log.warning("%s", _change_of_families(self._families, families))
        self._families = families or self._families  # without any pool an ADD says that there is none
        return conflist(
            ipv4=6 not in families or 4 in families,
            ipv6=6 in families,
            mtu=settings.mtu,
            socket=settings.run_dir / "cni.sock",
            state_dir=settings.state_dir,
            behind=self._behind,
            pod_cidrs=settings.use_pod_cidr,
        )

    def _notices(self, wanted: Mapping[str, Any]) -> Iterator[Notice]:
        settings = self._settings
        for name in chain.lacking(wanted, settings.cni_bin_dir):
            reason = f"its plugin {name} is not in {settings.cni_bin_dir}"
            yield Notice("Setting", "FELIX_CNINETWORKCONFIG", "", reason, "no pod is attached until it is there")
        if settings.cni_network_config is None and has_namespaces(settings.datastore):
            for name in self._behind.lacking():
                served = chain.SERVES[name]
                reason = f"{name} cannot be used there, which {served} of pods needs"
                yield Notice("Setting", "FELIX_CNIBINDIR", "", reason, f"no pod of this node gets its {served}")


def _change_of_families(before: frozenset[int], now: frozenset[int]) -> str:
    lost, gained = (
        " and ".join(f"IPv{version}" for version in sorted(found)) for found in (before - now, now - before)
    )
    parts = (
        lost and f"pods attached from now on get no {lost} address: there is no pool of it, or the node has no address",
        gained and f"pods attached from now on get an {gained} address too",
    )
    return "; ".join(filter(None, parts))


def _described(behind: chain.PluginChain, folder: Path) -> str:
    lacking = behind.lacking()
    without = f"; {' and '.join(lacking)} cannot be used in {folder}" if lacking else ""
    listed = " and ".join(behind.plugins) or "nothing"
    return f"the network's list has {listed} behind our plugin, in versions {', '.join(behind.versions)}{without}"
