"""A node of a run: its agent in a network namespace, started again when it was killed.

An edge.
"""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import closing
from pathlib import Path

from bench.agent_environment import AGENT, environment
from bench.hosts import end, have_address, start_within
from bench.patience import PATIENCE_SECONDS
from cni.build import build
from kernel.links import Devices
from kernel.netns import inside, new_network_namespace
from lab.paths import SHIM


class SoakNode:
    """pid: of the agent that runs just now."""

    def __init__(self, name: str, address: str, folder: Path, datastore: str) -> None:
        build(SHIM)
        self.name, self.folder = name, folder
        folder.mkdir()
        (folder / "state" / "deletes").mkdir(parents=True)
        self.netns = new_network_namespace()
        with inside(self.netns):
            have_address(address)
        self._environment = {**environment(folder, datastore, address=address), "NODENAME": name}
        self._log = self.log.open("ab")
        self._agent = self._started()

    @property
    def pid(self) -> int:
        return self._agent.pid

    @property
    def log(self) -> Path:
        return self.folder / "agent.log"

    def wait_until_ready(self) -> None:
        """Wait until pods may be attached. Raises RuntimeError: the agent ends, or takes too long."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.is_ready():
            if self._agent.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the agent of {self.name} is not ready: {self.log.read_text()[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill -9."""
        self._agent.kill()
        self._agent.wait()

    def start(self) -> None:
        """Start the agent again, when it was killed."""
        self._agent = self._started()

    def close(self) -> None:
        end(self._agent)
        self._log.close()
        os.close(self.netns)

    def devices(self) -> list[str]:
        """Return the devices beyond the loopback device."""
        with inside(self.netns), closing(Devices()) as devices:
            return [link.name for index, link in devices.links().items() if index != 1]

    def _started(self) -> subprocess.Popen[bytes]:
        return start_within(self.netns, AGENT, environment=self._environment, log=self._log)

    def is_ready(self) -> bool:
        """Ask the plugin whether pods may be attached."""
        status = subprocess.run(
            [SHIM],
            input=b'{"cniVersion": "1.1.0", "name": "bench", "type": "felix"}',
            env={"CNI_COMMAND": "STATUS", "FELIX_CNI_SOCKET": str(self.folder / "run" / "cni.sock")},
            capture_output=True,
            check=False,
        )
        return status.returncode == 0
