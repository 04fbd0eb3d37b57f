"""Says when the settings file is not what the agent was started with: it is read at the start only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from datastore.notices import Notice
from felix_py.agent import Agent
from felix_py.configuration.settings import SettingsError
from kernel.path_watch import PathWatch

SETTLING_SECONDS = 1.0
"""For which whoever changes the file is left in peace, as an editor removes it to put another there."""


class SettingsWatch:
    """The settings file as it was at the start, and as it is."""

    def __init__(self, path: Path, read: Callable[[], Mapping[str, str]], begun_with: Mapping[str, str]) -> None:
        """read: raises SettingsError. begun_with: what it held at the start."""
        self._path, self._read, self._begun_with = path, read, begun_with

    async def run(self, agent: Agent, watch: PathWatch) -> None:
        """Look at it whenever it changes, and note in the agent each setting that is not obeyed yet."""
        while True:
            with watch.listening(self._path) as changes:
                agent.log_notices(agent.notices.put("settings file", self.notices()))
                await changes.wait()
            await asyncio.sleep(SETTLING_SECONDS)

    def notices(self) -> tuple[Notice, ...]:
        """Read it once more; return what of it is not obeyed yet."""
        try:
            now = self._read()
        except SettingsError as error:
            return (Notice("Setting", "the settings file", "", str(error), "what it held at the start applies"),)
        before = self._begun_with
        return tuple(
            Notice("Setting", name, "", "the file is read when the agent starts", "restart it to obey a change")
            for name in sorted(now.keys() | before.keys())
            if now.get(name) != before.get(name)
        )
